// A stack of our own: the demo's processes and simulated vendors, started here and stopped again, or one that runs already.
import { spawn } from "node:child_process";
import { OWN_CONNECTORS } from "./simulators.mjs";

const PATIENCE_MS = 180_000;

/** What the demo prints: where the web app is, and who signs in. */
function doors(text) {
  const find = (pattern) => pattern.exec(text)?.[1];
  const found = {
    url: find(/^Web app\s+(\S+?)\/?$/m),
    email: find(/^Sign-in\s+(\S+) \/ \S+$/m),
    password: find(/^Sign-in\s+\S+ \/ (\S+)$/m),
    hookUrl: find(/^Hook of the shop\s+(\S+)$/m),
    erp: find(/^ERP simulator\s+(\S+?)\/_control\/stats$/m),
    logs: find(/^Logs\s+(\S+)$/m),
  };
  return Object.values(found).every(Boolean) && text.includes("stays up until") ? found : null;
}

/** Those that run: the demo must clean up, whoever ends us. */
const running = new Set();
// Sent to the whole group by a terminal's Ctrl-C, and to us alone by a runner.
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => void Promise.all([...running].map((stop) => stop())).then(() => process.exit(1)));

/** `more` of the environment than all of them have. */
export async function demo(more = {}) {
  const { CROSSDOCK_DEMO: program, CROSSDOCK_WEB_DIR: folder } = process.env;
  if (!program || !folder) {
    throw new Error("Set CROSSDOCK_DEMO to the built demo (target/debug/demo) and CROSSDOCK_WEB_DIR to frontend/dist; `cargo xtask test` does both.");
  }
  // What is normal is learned in days elsewhere, and here of the demo's orders.
  const env = { ...process.env, CROSSDOCK_CONNECTORS: OWN_CONNECTORS, CROSSDOCK_DRIFT_DOCUMENTS: "30", CROSSDOCK_DRIFT_HOURS: "0", CROSSDOCK_DRIFT_FLUSH_MS: "1000", ...more };
  const child = spawn(program, [], { stdio: ["ignore", "pipe", "pipe"], env });
  let said = "";
  const note = (bytes) => (said += bytes);
  child.stdout.on("data", note);
  child.stderr.on("data", note);
  const ended = new Promise((resolve) => child.on("exit", resolve));
  const stop = async () => {
    if (child.exitCode === null) child.kill("SIGINT");
    await ended;
    running.delete(stop);
  };
  running.add(stop);
  const end = Date.now() + PATIENCE_MS;
  while (Date.now() < end && child.exitCode === null) {
    const found = doors(said);
    if (found) return { ...found, stop };
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  await stop();
  throw new Error(`The demo did not come up:\n${said}`);
}
