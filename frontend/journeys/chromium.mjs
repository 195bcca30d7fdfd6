// The browser of the distribution: found, or installed after saying so. None is ever downloaded from elsewhere.
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";

const NAMES = ["chromium", "chromium-browser", "google-chrome-stable", "google-chrome"];

function find() {
  if (process.env.CHROMIUM) return process.env.CHROMIUM;
  const folders = (process.env.PATH ?? "").split(delimiter);
  return NAMES.flatMap((name) => folders.map((folder) => join(folder, name))).find((file) => existsSync(file));
}

export function browser() {
  const found = find();
  if (found) return found;
  const isRoot = process.getuid?.() === 0;
  const install = isRoot ? ["apt-get"] : ["sudo", "-n", "apt-get"];
  console.log(`No Chromium on the PATH: installing the distribution's package (${install.join(" ")} install chromium)`);
  // Whoever else installs something at this moment is waited for.
  const run = (...words) => execFileSync(install[0], [...install.slice(1), "-o", "DPkg::Lock::Timeout=120", ...words], { stdio: "ignore", env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" } });
  try {
    run("update");
    run("install", "-y", "--no-install-recommends", "chromium", "fonts-liberation");
  } catch {
    // What follows says what to do.
  }
  const installed = find();
  if (!installed) throw new Error("There is no Chromium, and it cannot be installed. Install the package `chromium`, or set CHROMIUM to the browser's path.");
  return installed;
}
