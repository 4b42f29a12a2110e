import { expect, test } from "vitest";
import { NUMBERS, parseNumber } from "./sampling";

const temperature = NUMBERS.find(({ name }) => name === "temperature")!;
const topK = NUMBERS.find(({ name }) => name === "top_k")!;

test("an empty field is the model's own default", () => {
  expect(parseNumber(temperature, "  ")).toBeNull();
});

test("numbers are read with a point or a comma", () => {
  expect(parseNumber(temperature, "0.7")).toBe(0.7);
  expect(parseNumber(temperature, "0,7")).toBe(0.7);
});

test("what is out of range or no number is refused", () => {
  for (const typed of ["3", "-1", "warm", "NaN", "Infinity", "1e9"]) expect(parseNumber(temperature, typed)).toBeUndefined();
  expect(parseNumber(topK, "2.5")).toBeUndefined();
  expect(parseNumber(topK, "40")).toBe(40);
});
