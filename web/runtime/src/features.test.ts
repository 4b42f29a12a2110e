import { expect, test } from "vitest";
import { hasFeature } from "./features.ts";

test("this engine has SIMD, and not what nobody has heard of", () => {
  expect(hasFeature("simd128")).toBe(true);
  expect(hasFeature("avx2")).toBe(false);
});
