// Vendors' simulators: one of our own for each that a journey connects, served by `crossdock connector simulate`, and what is ordered from any of them.
import { spawn } from "node:child_process";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const PATIENCE_MS = 20_000;

/** Vendors that nobody sells, for what those of the catalog do not show on one machine. */
export const OWN_CONNECTORS = fileURLToPath(new URL("../../tests/connectors", import.meta.url));

/** Serves a vendor until it is stopped; gives its settings and credential as it said them. Of the catalog, or of another folder. */
export async function simulate(name, catalog) {
  const program = process.env.CROSSDOCK_BIN ?? join(dirname(process.env.CROSSDOCK_DEMO ?? ""), "crossdock");
  const child = spawn(program, ["connector", "simulate", name, "--listen", "127.0.0.1:0", ...(catalog ? ["--catalog", catalog] : [])], { stdio: ["ignore", "pipe", "ignore"] });
  process.on("exit", () => child.kill());
  let said = "";
  child.stdout.on("data", (bytes) => (said += bytes));
  const end = Date.now() + PATIENCE_MS;
  while (Date.now() < end && child.exitCode === null) {
    const url = /simulated at (\S+) /.exec(said)?.[1];
    const settings = /^settings\s+(\{.*\})$/m.exec(said)?.[1];
    if (url && settings && said.includes("control ")) {
      const credential = Object.fromEntries([...said.matchAll(/^credential\s+(\S+): (\S*)$/gm)].map(([, key, value]) => [key, value]));
      // Its settings name the address that it was asked for, and not the port that it got.
      return { url, settings: { ...JSON.parse(settings), base_url: url }, credential, stop: () => child.kill() };
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  child.kill();
  throw new Error(`the simulator of ${name} did not come up: ${said}`);
}

async function control(url, what, body) {
  const answer = await fetch(`${url}/_control/${what}`, body ? { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) } : {});
  if (!answer.ok) throw new Error(`the simulator refused ${what}: ${await answer.text()}`);
  return answer.json();
}

/** What goes wrong next: `order.write` three times with a class of failure. */
export const fail = (url, operation, count, fault) => control(url, "fail", { operation, count, fault });
export const records = (url, kind) => control(url, `records?kind=${kind}`);
export const put = (url, kind, value) => control(url, "records", { kind, value });
export const seed = (url, kind, count) => control(url, "records", { kind, count });
/** How a person decides there who is asked for consent. */
export const consenting = (url, how) => control(url, "consent", how);
/** A key that a person makes there, and one that they remove. */
export const keyAdd = (url, label, secrets) => control(url, "keys", { label, secrets });
export const keyRemove = async (url, label) => {
  const answer = await fetch(`${url}/_control/keys?label=${encodeURIComponent(label)}`, { method: "DELETE" });
  if (!answer.ok) throw new Error(`the simulator removed no key: ${await answer.text()}`);
};
