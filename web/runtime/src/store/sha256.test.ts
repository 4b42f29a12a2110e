import { createHash } from "node:crypto";
import { expect, test, vi } from "vitest";
import { digest, sha256 } from "./sha256.ts";

const CONTENTS = [0, 1, 55, 56, 63, 64, 65, 119, 120, 1000].map((size) => Uint8Array.from({ length: size }, (_, i) => (i * 31 + size) % 251));
const expected = (content: Uint8Array): string => createHash("sha256").update(content).digest("hex");

test("a page without the browser's own has the same", async () => {
  for (const content of CONTENTS) {
    expect(Buffer.from(digest(content)).toString("hex")).toBe(expected(content));
    expect(await sha256(content)).toBe(expected(content));
  }
  vi.stubGlobal("crypto", {});
  expect(await sha256(CONTENTS[3]!)).toBe(expected(CONTENTS[3]!));
  vi.unstubAllGlobals();
});

test("what begins within a larger buffer", () => {
  const part = CONTENTS[9]!.subarray(100, 300);
  expect(Buffer.from(digest(part)).toString("hex")).toBe(expected(part));
});
