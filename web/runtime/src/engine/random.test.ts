import { expect, test } from "vitest";
import { Random } from "./random.ts";

// numpy.random.Generator(numpy.random.PCG64(seed)).random(3)
const NUMPY: [bigint, number[]][] = [
  [0n, [0.6369616873214543, 0.2697867137638703, 0.04097352393619469]],
  [1n, [0.5118216247002567, 0.9504636963259353, 0.14415961271963373]],
  [42n, [0.7739560485559633, 0.4388784397520523, 0.8585979199113825]],
  [2n ** 40n + 7n, [0.829812891829413, 0.25530515834910417, 0.15379071585298754]],
  [2n ** 64n - 1n, [0.6800266789616931, 0.8453117585624743, 0.007403081599260064]],
];

test.each(NUMPY)("seed %s draws numpy's numbers", (seed, numbers) => {
  const random = new Random(seed);
  expect(numbers.map(() => random.next())).toEqual(numbers);
});

test("without a seed the numbers differ", () => {
  expect(new Random().next()).not.toBe(new Random().next());
});
