import { defineConfig } from "vite";

// What is one file, and imports the package itself: a service worker's module may neither wait for a list of models, which it does not
// need, nor load more later.
const WHOLE = "@hearth/web/webllm";
const LISTED = `${import.meta.dirname}/web-llm.ts`;

const SINGLE = ["service", "background", "popup"];

export default defineConfig(({ mode }) => {
  const isSingle = SINGLE.includes(mode);
  return {
    resolve: { alias: { "@mlc-ai/web-llm": isSingle ? WHOLE : LISTED } },
    worker: { format: "es" }, // since a list of models is waited for
    build: {
      target: "es2022",
      minify: false,
      reportCompressedSize: false,
      emptyOutDir: !isSingle,
      copyPublicDir: !isSingle,
      ...(isSingle && {
        lib: { entry: `workers/${mode}.ts`, formats: ["es"], fileName: () => `${mode}.js` },
        rolldownOptions: { output: { codeSplitting: false } },
      }),
    },
  };
});
