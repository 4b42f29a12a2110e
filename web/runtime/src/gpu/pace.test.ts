import { expect, test } from "vitest";
import { Pace } from "./pace.ts";

/** What it comes to where reading and a step take so long. */
function steady(readMs: number, stepMs: number): Pace {
  const pace = new Pace(() => readMs);
  for (let i = 0; i < 20; i++) pace.took(pace.steps, readMs + stepMs * pace.steps);
  return pace;
}

test("reading that costs little beside a step goes after each one", () => {
  expect(new Pace(() => 100).steps).toBe(1);
  expect(steady(1, 20).steps).toBe(1);
});

test("reading that costs much goes after many, so that it costs a sixteenth of them", () => {
  expect(steady(2, 5).steps).toBe(7);
  expect(steady(1, 5).steps).toBe(4);
});

test("an answer neither stutters nor is computed far beyond its end", () => {
  expect(steady(100, 1).steps).toBe(16);
  expect(steady(100, 50).steps).toBe(5);
  expect(steady(100, 400).steps).toBe(1);
});

test("a submit keeps the GPU busy for no longer than is allowed", () => {
  expect(new Pace(() => 1).stepsWithin(8)).toBe(1);
  expect(steady(8, 2.5).stepsWithin(8)).toBe(3);
  expect(steady(8, 20).stepsWithin(8)).toBe(1);
  expect(steady(8, 20).stepsWithin(Infinity)).toBe(Infinity);
});

test("times that waiting hides do not count as nothing", () => {
  const pace = new Pace(() => 8);
  pace.took(1, 7);
  expect(pace.steps).toBe(16);
});
