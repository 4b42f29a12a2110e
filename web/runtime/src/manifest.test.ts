import { expect, test } from "vitest";
import { ABI_VERSION, FORMAT_VERSION, readManifest } from "./manifest.ts";

const VERSIONS = { format_version: FORMAT_VERSION, abi_version: ABI_VERSION };

test.each([
  ["", "corrupt", "manifest.json is no JSON."],
  ["null", "corrupt", "manifest.json is no manifest of a bundle"],
  ["[1]", "corrupt", "manifest.json is no manifest of a bundle"],
  [{ ...VERSIONS, format_version: 1 }, "mismatch", "This bundle has format 1"],
  [{ ...VERSIONS, source_name: "m", target: "x86_64-linux-gnu" }, "mismatch", "hearth compile m --target wasm32"],
])("%o is refused in words", (manifest, kind, words) => {
  const text = typeof manifest === "string" ? manifest : JSON.stringify(manifest);
  expect(() => readManifest(text)).toThrow(expect.objectContaining({ kind, message: expect.stringContaining(words) as string }));
});

test("a bundle for WebAssembly is read", () => {
  expect(readManifest(JSON.stringify({ ...VERSIONS, target: "wasm32" })).target).toBe("wasm32");
});
