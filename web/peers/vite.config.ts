import { defineConfig } from "vite";

// A service worker's module may neither wait for anything nor load more later: what it imports is the package itself, in one file. It
// needs no list of models.
const WHOLE = "@hearth/web/webllm";
const LISTED = `${import.meta.dirname}/web-llm.ts`;

export default defineConfig(({ mode }) => {
  const isServiceWorker = mode === "service-worker";
  return {
    resolve: { alias: { "@mlc-ai/web-llm": isServiceWorker ? WHOLE : LISTED } },
    worker: { format: "es" }, // since a list of models is waited for
    build: {
      target: "es2022",
      minify: false,
      reportCompressedSize: false,
      emptyOutDir: !isServiceWorker,
      ...(isServiceWorker && { lib: { entry: "workers/service.ts", formats: ["es"], fileName: () => "service.js" }, rolldownOptions: { output: { codeSplitting: false } } }),
    },
  };
});
