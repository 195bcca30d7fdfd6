/// <reference types="vitest/config" />
import { readFile, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { brotliCompress, constants, gzip } from "node:zlib";
import react from "@vitejs/plugin-react";
import { defineConfig, type Plugin } from "vite";

// A running api to develop against: what `cargo xtask demo` prints.
const api = process.env["CROSSDOCK_API"] ?? "http://127.0.0.1:8080";

/** Packs text once, here, and not for each request: `api` serves what lies beside the file. */
function packed(): Plugin {
  return {
    name: "packed",
    apply: "build",
    async closeBundle() {
      const folder = join(import.meta.dirname, "dist");
      for (const name of await readdir(folder, { recursive: true })) {
        if (!/\.(js|css|html|svg|json)$/.test(name)) continue;
        const bytes = await readFile(join(folder, name));
        const quality = { params: { [constants.BROTLI_PARAM_QUALITY]: constants.BROTLI_MAX_QUALITY } };
        await writeFile(join(folder, `${name}.br`), await promisify(brotliCompress)(bytes, quality));
        await writeFile(join(folder, `${name}.gz`), await promisify(gzip)(bytes, { level: 9 }));
      }
    },
  };
}

export default defineConfig({
  plugins: [react(), packed()],
  build: {
    target: "es2022",
    // Nothing inline: the pages' Content-Security-Policy would refuse it.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
  server: { proxy: { "/graphql": api, "/session": api, "/sso": api, "/audit/": api } },
  test: { environment: "node", include: ["src/**/*.test.{ts,tsx}"] },
});
