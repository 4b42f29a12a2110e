import { expect, test } from "vitest";
import { checkedParams, type SamplingParams } from "./params.ts";
import { Sampler } from "./sampling.ts";

/** Which tokens are drawn in many draws. */
function drawn(logits: number[], params: Partial<SamplingParams>, prompt: number[] = []): number[] {
  const sampler = new Sampler(checkedParams({ seed: 3, ...params }), prompt);
  const tokens = Array.from({ length: 400 }, () => sampler.sample(Float32Array.from(logits), 0));
  return [...new Set(tokens)].sort((a, b) => a - b);
}

const LOGITS = [Math.log(0.4), Math.log(0.1), Math.log(0.3), Math.log(0.2), -Infinity];

test("only the tokens that a setting leaves are drawn", () => {
  expect(drawn(LOGITS, {})).toEqual([0, 1, 2, 3]);
  expect(drawn(LOGITS, { topK: 2 })).toEqual([0, 2]);
  expect(drawn([1, 1, 0, 1], { topK: 2 })).toEqual([0, 1, 3]); // as likely as the second
  expect(drawn(LOGITS, { topP: 0.65 })).toEqual([0, 2]);
  expect(drawn(LOGITS, { topP: 0.75 })).toEqual([0, 2, 3]);
  expect(drawn(LOGITS, { minP: 0.6 })).toEqual([0, 2]);
  expect(drawn(LOGITS, { temperature: 0.01 })).toEqual([0]);
});

test("probabilities are the softmax of the logits", () => {
  const sampler = new Sampler(checkedParams({ seed: 5 }), []);
  const counts = [0, 0, 0, 0, 0];
  for (let i = 0; i < 20000; i++) counts[sampler.sample(Float32Array.from(LOGITS), 0)]!++;
  [0.4, 0.1, 0.3, 0.2, 0].forEach((share, i) => expect(counts[i]! / 20000).toBeCloseTo(share, 1.7));
});

test("penalties turn the likeliest token to another", () => {
  const greedy = (params: Partial<SamplingParams>, prompt: number[]): number[] => {
    const sampler = new Sampler(checkedParams({ temperature: 0, ...params }), prompt);
    return [1, 2, 3].map(() => sampler.sample(Float32Array.from([2, 1.9, -1]), 0));
  };
  expect(greedy({}, [])).toEqual([0, 0, 0]);
  expect(greedy({ repetitionPenalty: 1.5 }, [0])).toEqual([1, 0, 0]);
  expect(greedy({ presencePenalty: 0.5 }, [])).toEqual([0, 1, 0]);
  expect(greedy({ frequencyPenalty: 0.5 }, [])).toEqual([0, 1, 0]);
});

test("a logit that is no number is an error, not a token", () => {
  const sampler = new Sampler(checkedParams({}), []);
  expect(() => sampler.sample(Float32Array.from([1, NaN]), 0)).toThrow("Logit 1 is not a number");
});

test.each([
  [{ temperature: -1 }, "temperature is -1, but must be a number, 0 to 100."],
  [{ topP: 0 }, "topP is 0, but must be a number, above 0 to 1."],
  [{ topK: 1.5 }, "topK is 1.5, but must be a whole number, 0 or more."],
  [{ maxTokens: NaN }, "maxTokens is NaN, but must be a whole number, 1 or more."],
])("%o is refused in words", (params, words) => {
  expect(() => checkedParams(params)).toThrow(words);
});
