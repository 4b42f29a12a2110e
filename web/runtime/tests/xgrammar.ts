// @mlc-ai/web-xgrammar in Node, which takes its script for a module because of its package.json.

import { readFileSync } from "node:fs";
import { createRequire, Module } from "node:module";

interface Compiling extends NodeJS.Module {
  _compile(source: string, path: string): void;
}

export function xgrammar(): Promise<unknown> {
  const path = createRequire(import.meta.url).resolve("@mlc-ai/web-xgrammar");
  const script = new Module(path) as unknown as Compiling;
  script._compile(readFileSync(path, "utf8"), path.replace(/\.js$/, ".cjs"));
  return Promise.resolve(script.exports as unknown);
}
