import { expect, test } from "vitest";
import { Engine } from "../../src/engine/engine.ts";
import { Likeliest } from "../../src/engine/likeliest.ts";
import { samplingParams, type SamplingParams } from "../../src/engine/params.ts";
import { Random } from "../../src/engine/random.ts";
import { Sampler } from "../../src/engine/sampling.ts";
import { likeliestOf, ToyForward } from "../toy_forward.ts";

// Who draws among few of the likeliest tokens reads these alone, and draws what it would of the whole row.

const VOCAB = 61;
const TOLD = 12;
const prompt = (seed: number, length: number): number[] => Array.from({ length }, (_, i) => (seed * 31 + i * 17 + ((i * i * seed) % 7)) % 60);

function told(row: Float32Array): Likeliest {
  const { logits, tokens } = likeliestOf(row, TOLD);
  return new Likeliest(Float32Array.from(logits), Int32Array.from(tokens));
}

test("the likeliest alone give the draws of the row, for every seed, with ties anywhere", async () => {
  const random = new Random(7n);
  const below = (count: number): number => Math.floor(random.next() * count);
  let fallbacks = 0;
  for (let seed = 0; seed < 400; seed++) {
    const levels = 1 + below(60); // with few of them many tokens are as likely as each other
    const row = Float32Array.from({ length: VOCAB }, () => below(levels) / 4);
    const settings = {
      topK: 1 + below(TOLD - 1),
      topP: [0.3, 0.9, 1][below(3)]!,
      minP: [0, 0.2][below(2)]!,
      temperature: [0.2, 1, 4][below(3)]!,
      seed,
    };
    const last = row.slice().sort()[VOCAB - settings.topK]!;
    const expected = [...row.keys()].filter((token) => row[token]! >= last);
    const found = told(row).among(settings.topK);
    if (found === undefined) {
      expect(expected.length).toBeGreaterThanOrEqual(TOLD);
      fallbacks++;
      continue;
    }
    expect([...found.ids]).toEqual(expected);
    expect([...found.logits]).toEqual(expected.map((token) => row[token]));
    const [ofRow, ofFew] = [0, 1].map(() => new Sampler(samplingParams(settings), [])) as [Sampler, Sampler];
    expect(ofFew.drawsAmong(TOLD)).toBe(true);
    const argmax = row.indexOf(Math.max(...row));
    for (let draw = 0; draw < 8; draw++) {
      expect(await ofFew.sample(new Float32Array(), argmax, told(row))).toEqual(await ofRow.sample(row, argmax));
    }
  }
  expect(fallbacks).toBeGreaterThan(10);
});

test("where they are fewer than asked for, or no numbers, the row is needed", () => {
  const of = (logits: number[], tokens: number[]): Likeliest => new Likeliest(Float32Array.from(logits), Int32Array.from(tokens));
  expect(of([3, 2, 1], [5, 7, 6]).among(2)).toEqual({ ids: Int32Array.of(5, 7), logits: Float32Array.of(3, 2) });
  expect(of([3, 2, 1], [5, 7, 6]).among(3)).toBeUndefined();
  expect(of([3, 2, 2], [5, 6, 7]).among(2)).toBeUndefined();
  expect(of([3, 2, 0], [5, 6, -1]).among(2)).toBeUndefined();
  expect(of([0, 0, 0], [-1, -1, -1]).among(1)).toBeUndefined();
  expect(of([Infinity, 2, 1], [5, 6, 7]).among(1)).toBeUndefined();
  expect(of([NaN, 2, 1], [5, 6, 7]).among(1)).toBeUndefined();
});

interface Asked {
  readonly promptIds: readonly number[];
  readonly params: Partial<SamplingParams>;
}

/** The tokens of requests that run at the same time, and which outputs were read. */
async function drawn(likeliest: number, requests: readonly Asked[], isTied = false): Promise<{ tokens: number[][]; outputs: Set<string> }> {
  const forward = new ToyForward(64, { likeliest });
  if (isTied) forward.tie(2, 40);
  const engine = new Engine(forward, [], { chunkTokens: 8 });
  const tokens = await Promise.all(
    requests.map(async ({ promptIds, params }) => {
      const found: number[] = [];
      for await (const { token } of engine.generate(promptIds, params)) found.push(token!);
      return found;
    }),
  );
  return { tokens, outputs: new Set(forward.batches.map(({ outputs }) => outputs.join())) };
}

test.each([
  { topK: 5 },
  { topK: 11, topP: 0.8, temperature: 2 },
  { topK: 3, minP: 0.1 },
  { topK: 1 },
])("an engine that draws with %j reads the likeliest alone, and the row where too many are as likely", async (settings) => {
  const requests = [{ promptIds: prompt(1, 20), params: { seed: 5, maxTokens: 30, ...settings } }];
  for (const isTied of [false, true]) {
    const rows = await drawn(0, requests, isTied);
    const few = await drawn(TOLD, requests, isTied);
    expect(few.tokens).toEqual(rows.tokens);
    expect(rows.outputs).toEqual(new Set(["", "argmax,logits"]));
    expect(few.outputs).toEqual(new Set(["", "argmax,likeliest", ...(isTied ? ["argmax,logits"] : [])]));
  }
});

test.each([{ topK: TOLD }, { topK: 0 }, { topK: 5, presencePenalty: 1 }, { topK: 5, logprobs: 2 }, { topK: 5, logitBias: new Map([[3, 2]]) }])(
  "with %j the row is read as ever",
  async (settings) => {
    const requests = [{ promptIds: prompt(1, 6), params: { seed: 5, maxTokens: 12, ...settings } }];
    const few = await drawn(TOLD, requests);
    expect(few.tokens).toEqual((await drawn(0, requests)).tokens);
    expect(few.outputs).toEqual(new Set(["argmax,logits"]));
  },
);

test("a structure or a program's own processor needs the row", () => {
  const params = samplingParams({ topK: 5 });
  const constraint = { mask: () => new Int32Array(2).fill(-1), accept: () => {}, close: () => {} };
  const processor = { reset: () => {}, process: (logits: Float32Array) => logits, sampled: () => {} };
  expect(new Sampler(params, []).drawsAmong(TOLD)).toBe(true);
  expect(new Sampler(params, [], constraint).drawsAmong(TOLD)).toBe(false);
  expect(new Sampler(params, [], undefined, processor).drawsAmong(TOLD)).toBe(false);
});

test("sequences of several kinds at once each draw what they would alone", async () => {
  const few = [4, 5, 6].map((seed) => ({ promptIds: prompt(seed, 3 + 5 * seed), params: { seed, topK: 2 * seed - 3, maxTokens: 10 + seed } }));
  const greedy = { promptIds: prompt(2, 9), params: { temperature: 0, maxTokens: 20 } };
  const wide = { promptIds: prompt(3, 4), params: { seed: 3, topP: 0.9, maxTokens: 6 } };
  for (const isTied of [false, true]) {
    for (const requests of [[...few, greedy], [...few, greedy, wide]]) {
      const together = await drawn(TOLD, requests, isTied);
      const alone = await Promise.all(requests.map((each) => drawn(0, [each], isTied)));
      expect(together.tokens).toEqual(alone.map(({ tokens }) => tokens[0]));
      expect(together.outputs).toContain("argmax,likeliest");
      expect(together.outputs.has("argmax,logits")).toBe(isTied || requests.includes(wide));
    }
  }
});

test("a row without numbers is told also where only the likeliest are read, and ends its own request alone", async () => {
  const forward = new ToyForward(64, { likeliest: TOLD });
  const engine = new Engine(forward);
  const answer = async (promptIds: readonly number[]): Promise<number> => {
    let count = 0;
    for await (const { token } of engine.generate(promptIds, { seed: 1, topK: 3, maxTokens: 1 })) count += Number(token !== undefined);
    return count;
  };
  forward.poisonToken = 60;
  const bad = expect(answer([1, 60])).rejects.toThrow("61 of 61 logits are NaN");
  expect(await answer([1, 2])).toBe(1);
  await bad;
});
