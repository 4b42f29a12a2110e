import { fileURLToPath } from "node:url";
import { defineConfig } from "vite";
import { dependenciesOf, licences, PAGE_SOURCES, stamp, woff2Only } from "./build/stamp.ts";

const root = fileURLToPath(new URL(".", import.meta.url));

// It comes with its Preact binding.
const SIGNALS_CORE = ["@preact/signals-core"];

export default defineConfig({
  root,
  plugins: [woff2Only(), stamp(root, PAGE_SOURCES), licences(`${root}node_modules`, [...dependenciesOf(root), ...SIGNALS_CORE])],
  build: {
    outDir: "../src/hearth/server/page",
    emptyOutDir: true,
    target: ["chrome123", "firefox128", "safari17.5"],
    assetsInlineLimit: 0, // a data: address would need a wider Content-Security-Policy
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
  },
  server: { proxy: { "/api": process.env["HEARTH_APP"] ?? "http://127.0.0.1:8000" } },
});
