import { fileURLToPath } from "node:url";
import { defineConfig } from "vite";
import { dependenciesOf, licences, stamp, threadAddress } from "../build/stamp.ts";
import runtime from "./package.json" with { type: "json" };

const root = fileURLToPath(new URL(".", import.meta.url));

export default defineConfig({
  root,
  plugins: [threadAddress(), licences(`${root}../node_modules`, dependenciesOf(root)), stamp(root, ["package.json", "src", "tsconfig.json", "tsconfig.types.json", "vite.config.ts"])],
  build: {
    outDir: "dist",
    emptyOutDir: true,
    target: "es2022",
    lib: { entry: { index: "src/index.ts", node: "src/node.ts", thread: "src/thread.ts", webllm: "src/webllm/index.ts" }, formats: ["es"] },
    rollupOptions: { external: [/^node:/, ...Object.keys(runtime.optionalDependencies)], output: { chunkFileNames: "[name].js" } },
    reportCompressedSize: false,
  },
});
