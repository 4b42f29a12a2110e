import { expect, test } from "vitest";
import { Engine, type EngineOptions } from "../../src/engine/engine.ts";
import type { SamplingParams } from "../../src/engine/params.ts";
import type { TokenEvent } from "../../src/engine/sequence.ts";
import { ToyForward } from "../toy_forward.ts";

// Several tokens are computed before they are read: everything else is as with one at a time.

const prompt = (seed: number, length: number): number[] => Array.from({ length }, (_, i) => (seed * 31 + i * 17 + ((i * i * seed) % 7)) % 60);
const greedy = (maxTokens: number, more: Partial<SamplingParams> = {}): Partial<SamplingParams> => ({ temperature: 0, maxTokens, ...more });

function far(worthwhile: number, numPages = 64): ToyForward {
  const forward = new ToyForward(numPages);
  forward.worthwhile = worthwhile;
  return forward;
}

async function all(events: AsyncIterable<TokenEvent>, most = Infinity): Promise<{ tokens: number[]; last: TokenEvent }> {
  const tokens: number[] = [];
  let last: TokenEvent = {};
  for await (const event of events) {
    if (event.token !== undefined) tokens.push(event.token);
    last = event;
    if (tokens.length === most) break;
  }
  return { tokens, last };
}

const eights: EngineOptions = { tokensPerReadBack: 8 };

test("an answer of 33 tokens is waited for five times, and is the same", async () => {
  const forward = far(1);
  const { tokens, last } = await all(new Engine(forward, [], eights).generate(prompt(1, 5), greedy(33)));
  expect(tokens).toEqual(forward.greedyReference(prompt(1, 5), 33));
  expect(last).toMatchObject({ finish: "length", usage: { outputTokens: 33 } });
  expect(forward.decoded).toEqual([8, 8, 8, 8]); // the first token is the prompt's
});

test("by default as many as are worth it", async () => {
  const forward = far(5);
  await all(new Engine(forward).generate(prompt(1, 5), greedy(12)));
  expect(forward.decoded).toEqual([5, 5, 1]);
  const near = new ToyForward();
  await all(new Engine(near, [], eights).generate(prompt(1, 5), greedy(12)));
  expect(near.decoded).toEqual([]);
});

test("several sequences at once, of different lengths, each get what they would get alone", async () => {
  const forward = far(1);
  const engine = new Engine(forward, [], { ...eights, chunkTokens: 8 });
  const wanted = [3, 40, 1, 17, 9, 25].map((length, i) => ({ promptIds: prompt(i + 1, length), count: 5 + 4 * i }));
  const found = await Promise.all(wanted.map(({ promptIds, count }) => all(engine.generate(promptIds, greedy(count)))));
  found.forEach(({ tokens }, i) => expect(tokens).toEqual(forward.greedyReference(wanted[i]!.promptIds, wanted[i]!.count)));
  expect(Math.max(...forward.decoded)).toBeGreaterThan(2);
});

test("what lies behind the end of an answer is thrown away, for its neighbours nothing changes", async () => {
  const forward = far(1);
  const reference = forward.greedyReference(prompt(3, 5), 20);
  const end = reference[4]!;
  const upTo = reference.slice(0, reference.indexOf(end) + 1);
  const engine = new Engine(forward, [], eights);
  const [stopped, going] = await Promise.all([
    all(engine.generate(prompt(3, 5), greedy(20, { stopTokenIds: [end] }))),
    all(engine.generate(prompt(4, 7), greedy(20))),
  ]);
  expect(stopped).toMatchObject({ tokens: upTo, last: { finish: "stop", usage: { outputTokens: upTo.length } } });
  expect(going.tokens).toEqual(forward.greedyReference(prompt(4, 7), 20));
  // What is kept of the stopped answer is what was told of it: a prompt that goes on otherwise finds no more than that.
  const longer = [...prompt(3, 5), ...upTo, 1, 2, 3, 4, 5, 6, 7, 8];
  const again = await all(engine.generate(longer, greedy(6)));
  expect(again.tokens).toEqual(forward.greedyReference(longer, 6));
  expect(again.last.usage?.cachedTokens).toBe(5 + upTo.length - 1);
});

test("who leaves in the middle of what was computed has cost what was told", async () => {
  const forward = far(1);
  const controller = new AbortController();
  const engine = new Engine(forward, [], eights);
  const seen: TokenEvent[] = [];
  for await (const event of engine.generate(prompt(1, 4), greedy(100), { signal: controller.signal })) {
    seen.push(event);
    if (seen.length === 4) controller.abort();
  }
  expect(seen.at(-1)).toMatchObject({ finish: "cancelled", usage: { outputTokens: 4 } });
  const left = await all(engine.generate(prompt(2, 4), greedy(100)), 3);
  expect(left.tokens).toEqual(forward.greedyReference(prompt(2, 4), 3));
  expect((await all(engine.generate(prompt(2, 4), greedy(9)))).tokens).toEqual(forward.greedyReference(prompt(2, 4), 9));
});

test("answers end at the context, and with few pages fewer steps are taken at once", async () => {
  const forward = far(1);
  const full = await all(new Engine(forward, [], { ...eights, context: 12 }).generate(prompt(3, 5), greedy(100)));
  expect(full).toMatchObject({ tokens: forward.greedyReference(prompt(3, 5), 7), last: { finish: "length" } });
  const small = far(1, 12);
  const engine = new Engine(small, [], { ...eights, context: 40 });
  const prompts = [1, 2, 3, 4].map((seed) => prompt(seed, 10));
  const found = await Promise.all(prompts.map((promptIds) => all(engine.generate(promptIds, greedy(20)))));
  found.forEach(({ tokens }, i) => expect(tokens).toEqual(small.greedyReference(prompts[i]!, 20)));
  expect(new Set(small.decoded).size).toBeGreaterThan(2);
});

test("where one draws by chance, or is told of probabilities, all are computed one token at a time", async () => {
  const forward = far(8);
  const engine = new Engine(forward);
  const chance = { seed: 9n, maxTokens: 12 };
  const alone = await all(new Engine(new ToyForward()).generate(prompt(2, 6), chance));
  const [drawn, plain] = await Promise.all([all(engine.generate(prompt(2, 6), chance)), all(engine.generate(prompt(5, 6), greedy(12)))]);
  expect(drawn.tokens).toEqual(alone.tokens);
  expect(plain.tokens).toEqual(forward.greedyReference(prompt(5, 6), 12));
  await all(engine.generate(prompt(7, 6), greedy(12, { logprobs: 0 })));
  await all(engine.generate(prompt(7, 6), greedy(12, { presencePenalty: 0.1 })));
  expect(forward.decoded).toEqual([]);
});

test("steps that fail by chance end none of several requests", async () => {
  const forward = far(1);
  const engine = new Engine(forward, [], eights);
  const prompts = [1, 2].map((seed) => prompt(seed, 7));
  const fail = async (): Promise<void> => {
    while (forward.decoded.length < 2) await new Promise((resolve) => setTimeout(resolve));
    forward.failNext = new Error("by chance");
  };
  const found = await Promise.all([...prompts.map((promptIds) => all(engine.generate(promptIds, greedy(60)))), fail()]);
  found.slice(0, 2).forEach((each, i) => expect(each).toMatchObject({ tokens: forward.greedyReference(prompts[i]!, 60) }));
});

test("a count that cannot be is refused", () => {
  for (const tokensPerReadBack of [0, 1.5, 65, NaN]) {
    expect(() => new Engine(far(1), [], { tokensPerReadBack })).toThrow("must be 1 to 64");
  }
});
