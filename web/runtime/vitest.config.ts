import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

export default defineConfig({
  resolve: { alias: { "@mlc-ai/web-llm": fileURLToPath(new URL("src/webllm/index.ts", import.meta.url)) } },
  test: { include: ["src/**/*.test.ts", "tests/**/*.test.ts"] },
});
