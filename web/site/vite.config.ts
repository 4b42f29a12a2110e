// The page of a packaged model. Its files have names that stay, so that a site may be written over by a newer one, and
// addresses relative to the page, so that it may lie in any folder of a server.

import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { defineConfig, type Plugin } from "vite";
import { dependenciesOf, licences, SITE_SOURCES, stamp, threadAddress, woff2Only } from "../build/stamp.ts";

const root = fileURLToPath(new URL(".", import.meta.url));
const web = fileURLToPath(new URL("..", import.meta.url));
const PACKAGES = [...dependenciesOf(`${web}runtime`), ...dependenciesOf(web), "@preact/signals-core"];
/** What only some answers need: it is loaded when the first of them comes. */
const LATER = "later/";
const isOfLater = (name: string | undefined): boolean => /^katex|^languages$|\.woff2$/i.test(name ?? "");
const ICONS = ["hearth.svg", "icon-192.png", "icon-512.png"];
const NAMES: Readonly<Record<string, string>> = { worker: "runtime", Markdown: "markdown" };

/** Tells the service worker which files the page is made of. */
function shell(): Plugin {
  return {
    name: "hearth-shell",
    apply: "build",
    buildStart() {
      for (const name of ICONS) this.emitFile({ type: "asset", fileName: name, source: readFileSync(`${web}public/${name}`) });
    },
    generateBundle: {
      order: "post",
      handler(_, bundle) {
        const built = Object.keys(bundle).filter((name) => !["build.json", "licenses.txt", "sw.js", "index.html"].includes(name));
        const names = ["./", ...readdirSync(`${root}public`), ...built].sort();
        const [later, shell] = [true, false].map((is) => names.filter((name) => name.startsWith(LATER) === is));
        const worker = bundle["sw.js"];
        if (worker?.type !== "chunk") throw new Error("There is no service worker.");
        worker.code = worker.code.replace("__SHELL__", () => JSON.stringify(shell)).replace("__LATER__", () => JSON.stringify(later));
      },
    },
  };
}

export default defineConfig({
  root,
  base: "./",
  plugins: [woff2Only(), shell(), threadAddress(), stamp(web, SITE_SOURCES), licences(`${web}node_modules`, PACKAGES)],
  build: {
    outDir: "../../src/hearth/package/page",
    emptyOutDir: true,
    target: ["chrome123", "firefox128", "safari17.5"],
    assetsInlineLimit: 0,
    modulePreload: false,
    reportCompressedSize: false,
    rollupOptions: {
      input: { page: `${root}index.html`, worker: `${root}src/worker.ts`, thread: `${web}runtime/src/thread.ts`, sw: `${root}src/sw.ts` },
      output: {
        entryFileNames: "[name].js",
        chunkFileNames: ({ name }) => `${isOfLater(name) ? LATER : ""}${NAMES[name] ?? "[name]"}.js`,
        assetFileNames: ({ names }) => (names.some(isOfLater) ? `${LATER}[name][extname]` : "[name][extname]"),
      },
    },
  },
});
