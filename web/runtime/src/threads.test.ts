import { expect, test } from "vitest";
import { chooseThreads, threadsOf } from "./threads.ts";

test("small machines give all their processors, large ones half of them, and 8 at most", () => {
  const counts = [1, 2, 3, 4, 6, 8, 12, 16, 64].map(threadsOf);
  expect(counts).toEqual([1, 2, 3, 4, 4, 4, 6, 8, 8]);
});

test("a number that was asked for is taken, or it is said why not", () => {
  expect(chooseThreads(1)).toEqual({ count: 1, why: "" });
  const { count, why } = chooseThreads(3);
  expect(count).toBe(why === "" ? 3 : 1);
});
