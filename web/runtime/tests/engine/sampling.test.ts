import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { samplingParams, type SamplingParams } from "../../src/engine/params.ts";
import { Random } from "../../src/engine/random.ts";
import { Sampler } from "../../src/engine/sampling.ts";

type Drawn = [token: number, logprob: number | null, top: [number, number][] | null];

interface Golden {
  random: Record<string, number[]>;
  quarters: Record<string, number[][]>;
  cases: { params: Record<string, number | string | Record<string, number>>; shape: string; prompt: number[]; choices: Drawn[] }[];
}

const golden = JSON.parse(readFileSync(new URL("../golden/sampling.json", import.meta.url), "utf8")) as Golden;

const NAMES: Record<string, keyof SamplingParams> = {
  temperature: "temperature",
  top_k: "topK",
  top_p: "topP",
  min_p: "minP",
  repetition_penalty: "repetitionPenalty",
  presence_penalty: "presencePenalty",
  frequency_penalty: "frequencyPenalty",
  logprobs: "logprobs",
};

function paramsOf(given: Golden["cases"][number]["params"]): SamplingParams {
  const named = Object.entries(given).flatMap(([name, value]) => (NAMES[name] ? [[NAMES[name], value]] : []));
  const bias = Object.entries((given["logit_bias"] ?? {}) as Record<string, number>).map(([id, value]) => [Number(id), value] as const);
  return samplingParams({ ...Object.fromEntries(named), logitBias: new Map(bias), seed: BigInt(given["seed"] as string) });
}

test.each(Object.entries(golden.random))("seed %s draws numpy's numbers", (seed, numbers) => {
  const random = new Random(BigInt(seed));
  expect(numbers.map(() => random.next())).toEqual(numbers);
});

test.each(golden.cases.map((each) => [`${JSON.stringify(each.params)} ${each.shape}`, each] as const))("%s draws as in Python", async (_, each) => {
  const sampler = new Sampler(paramsOf(each.params), each.prompt);
  for (const [row, [token, logprob, top]] of each.choices.entries()) {
    const logits = Float32Array.from(golden.quarters[each.shape]![row]!, (value) => value / 4);
    const choice = await sampler.sample(logits, logits.indexOf(Math.max(...logits)));
    expect(choice.token, `draw ${row}`).toBe(token);
    expect(choice.logprob === undefined).toBe(logprob === null);
    if (logprob !== null) expect(choice.logprob).toBeCloseTo(logprob, 5);
    expect(choice.topLogprobs?.map(([id]) => id) ?? null).toEqual(top?.map(([id]) => id) ?? null);
    for (const [place, [, value]] of (top ?? []).entries()) expect(choice.topLogprobs![place]![1]).toBeCloseTo(value, 5);
  }
});

test("a setting out of its range says which range", () => {
  expect(() => samplingParams({ topP: 0 })).toThrow("topP is 0, but must be a number, above 0 and at most 1.");
  expect(() => samplingParams({ maxTokens: 1.5 })).toThrow("maxTokens is 1.5, but must be a whole number, 1 or more.");
  expect(() => samplingParams({ logitBias: new Map([[5, 101]]) })).toThrow("logitBias[5]");
});

test("a constraint's mask is kept to, and no draw can come where nothing may", async () => {
  const logits = Float32Array.from([5, 4, 3, 2]);
  const told: number[] = [];
  const masked = (bits: number): Sampler =>
    new Sampler(samplingParams({ temperature: 0 }), [], { mask: () => Int32Array.of(bits), accept: (token) => told.push(token), close: () => {} });
  expect((await masked(0b1100).sample(logits, 0)).token).toBe(2);
  expect(told).toEqual([2]);
  await expect(masked(0).sample(logits, 0)).rejects.toThrow("no token of the vocabulary is allowed");
});

test("logits that are no numbers are an error, not a token", async () => {
  const sampler = new Sampler(samplingParams(), []);
  await expect(sampler.sample(Float32Array.of(1, NaN, Infinity), 0)).rejects.toThrow("2 of 3 logits are NaN or infinite");
});
