import { expect, test } from "vitest";
import { Engine } from "../../src/engine/engine.ts";
import type { SamplingParams } from "../../src/engine/params.ts";
import type { TokenEvent } from "../../src/engine/sequence.ts";
import { ToyForward } from "../toy_forward.ts";

const prompt = (seed: number, length: number): number[] => Array.from({ length }, (_, i) => (seed * 31 + i * 17 + ((i * i * seed) % 7)) % 60);

const greedy = (maxTokens: number, more: Partial<SamplingParams> = {}): Partial<SamplingParams> => ({ temperature: 0, maxTokens, ...more });

interface Request {
  readonly promptIds: readonly number[];
  readonly params: Partial<SamplingParams>;
  readonly signal?: AbortSignal;
}

async function all(engine: Engine, request: Request): Promise<{ tokens: number[]; last: TokenEvent }> {
  const tokens: number[] = [];
  let last: TokenEvent = {};
  for await (const event of engine.generate(request.promptIds, request.params, { signal: request.signal })) {
    if (event.token !== undefined) tokens.push(event.token);
    last = event;
  }
  return { tokens, last };
}

test("six requests at once each get the tokens they would get alone", async () => {
  const forward = new ToyForward();
  const engine = new Engine(forward, [], { chunkTokens: 8 });
  const prompts = [3, 40, 1, 17, 9, 25].map((length, seed) => prompt(seed + 1, length));
  const found = await Promise.all(prompts.map((promptIds) => all(engine, { promptIds, params: greedy(12) })));
  found.forEach(({ tokens, last }, i) => {
    expect(tokens).toEqual(forward.greedyReference(prompts[i]!, 12));
    expect(last.finish).toBe("length");
  });
  expect(Math.max(...forward.batches.map(({ blockTable, blockTableStride }) => blockTable.length / blockTableStride))).toBe(4);
});

test("with too few pages for all, sequences wait or are computed again, to the same tokens", async () => {
  const forward = new ToyForward(12);
  const engine = new Engine(forward, [], { context: 40 });
  const prompts = [1, 2, 3, 4].map((seed) => prompt(seed, 10));
  const found = await Promise.all(prompts.map((promptIds) => all(engine, { promptIds, params: greedy(20) })));
  found.forEach(({ tokens }, i) => expect(tokens).toEqual(forward.greedyReference(prompts[i]!, 20)));
});

test("a prompt that goes on from an earlier one computes only what is new", async () => {
  const forward = new ToyForward();
  const engine = new Engine(forward);
  const first = await all(engine, { promptIds: prompt(1, 21), params: greedy(9) });
  const longer = [...prompt(1, 21), ...first.tokens, 5, 6];
  const before = forward.numComputed;
  const second = await all(engine, { promptIds: longer, params: greedy(4) });
  expect(second.tokens).toEqual(forward.greedyReference(longer, 4));
  expect(second.last.usage?.cachedTokens).toBe(29); // all tokens that were computed: seven full pages, and one of the eighth
  expect(forward.numComputed - before).toBe(32 - 29 + 3);
});

test("a page that is left partly filled is gone on from by one, and by nobody while it is held", async () => {
  const forward = new ToyForward();
  const engine = new Engine(forward, [], { chunkTokens: 8 });
  const text = prompt(1, 10);
  await all(engine, { promptIds: text, params: greedy(1) });
  const wanted = [7, 8, 9].map((token) => [...text, token, 5, 6]);
  const found = await Promise.all(wanted.map((promptIds) => all(engine, { promptIds, params: greedy(5) })));
  found.forEach(({ tokens }, i) => expect(tokens).toEqual(forward.greedyReference(wanted[i]!, 5)));
  expect(found.map(({ last }) => last.usage?.cachedTokens)).toEqual([10, 8, 8]);
  // The same prompt once more, whose last token is computed again: in its own page where that is full, and nobody's.
  const full = prompt(2, 12);
  await all(engine, { promptIds: full, params: greedy(1) });
  const again = await Promise.all([1, 2].map(() => all(engine, { promptIds: full, params: greedy(6) })));
  again.forEach(({ tokens }) => expect(tokens).toEqual(forward.greedyReference(full, 6)));
  expect(again.map(({ last }) => last.usage?.cachedTokens)).toEqual([11, 8]);
});

test("what is cached is evicted where pages lack, and nothing wrong is found", async () => {
  const forward = new ToyForward(16);
  const engine = new Engine(forward, [], { context: 40 });
  for (const seed of [1, 2, 3, 4, 1, 2, 5, 1]) {
    const { tokens } = await all(engine, { promptIds: prompt(seed, 26), params: greedy(6) });
    expect(tokens).toEqual(forward.greedyReference(prompt(seed, 26), 6));
  }
});

test("answers end at an end token, a stop token and the context", async () => {
  const forward = new ToyForward();
  const tokens = forward.greedyReference(prompt(3, 5), 10);
  const end = tokens[4]!;
  const upTo = tokens.slice(0, tokens.indexOf(end) + 1);
  const engine = new Engine(forward, [end], { context: 12 });
  const request = { promptIds: prompt(3, 5) };
  expect(await all(engine, { ...request, params: greedy(10) })).toMatchObject({ tokens: upTo, last: { finish: "stop" } });
  const going = await all(engine, { ...request, params: greedy(10, { ignoreEos: true }) });
  expect(going).toMatchObject({ tokens: tokens.slice(0, 7), last: { finish: "length" } });
  const stopped = await all(engine, { ...request, params: greedy(10, { ignoreEos: true, stopTokenIds: [end] }) });
  expect(stopped.tokens).toEqual(upTo);
});

test("the same seed draws the same whatever else is in the batch", async () => {
  const request = { promptIds: prompt(2, 6), params: { seed: 9n, maxTokens: 12 } };
  const alone = await all(new Engine(new ToyForward()), request);
  const engine = new Engine(new ToyForward());
  const [together] = await Promise.all([all(engine, request), all(engine, { promptIds: prompt(4, 30), params: { maxTokens: 20 } })]);
  expect(together.tokens).toEqual(alone.tokens);
});

test("a signal ends a request, and so does leaving its loop; the others go on", async () => {
  const forward = new ToyForward();
  const engine = new Engine(forward);
  const controller = new AbortController();
  const other = all(engine, { promptIds: prompt(7, 9), params: greedy(30) });
  const seen: TokenEvent[] = [];
  for await (const event of engine.generate(prompt(1, 4), greedy(100), { signal: controller.signal })) {
    seen.push(event);
    if (seen.length === 3) controller.abort();
  }
  expect(seen.at(-1)).toMatchObject({ finish: "cancelled", usage: { outputTokens: 3 } });
  for await (const event of engine.generate(prompt(1, 4), greedy(100))) if (event.token !== undefined) break;
  expect((await other).tokens).toEqual(forward.greedyReference(prompt(7, 9), 30));
  const last = await all(engine, { promptIds: prompt(1, 4), params: greedy(5), signal: AbortSignal.abort() });
  expect(last).toMatchObject({ tokens: [], last: { finish: "cancelled" } });
});

test("a row of NaN ends its own request alone", async () => {
  const forward = new ToyForward();
  const [poison] = forward.greedyReference(prompt(5, 6), 1);
  forward.poisonToken = poison;
  const engine = new Engine(forward);
  const params = { temperature: 0, maxTokens: 8, presencePenalty: 0.1 };
  const bad = expect(all(engine, { promptIds: prompt(5, 6), params })).rejects.toThrow("NaN");
  const good = await all(engine, { promptIds: [1], params: greedy(1) });
  await bad;
  expect(good.last.finish).toBe("length");
});

test("a forward that fails ends the request at fault alone; one that failed by chance ends none", async () => {
  const forward = new ToyForward();
  const engine = new Engine(forward);
  const others = [1, 2].map((seed) => prompt(seed, 7).map((token) => (token === 60 ? 0 : token)));
  forward.failingToken = 60;
  const bad = expect(all(engine, { promptIds: [60, 1, 2], params: greedy(3) })).rejects.toThrow("the device broke");
  const found = await Promise.all(others.map((promptIds) => all(engine, { promptIds, params: greedy(3) })));
  await bad;
  forward.failingToken = undefined;
  found.forEach(({ tokens }, i) => expect(tokens).toEqual(forward.greedyReference(others[i]!, 3)));
  forward.failNext = new Error("by chance");
  const again = await Promise.all(others.map((promptIds) => all(engine, { promptIds, params: greedy(3) })));
  again.forEach(({ tokens }, i) => expect(tokens).toEqual(forward.greedyReference(others[i]!, 3)));
});

test("where keys and values are lost all answers go on, no token is told twice, and nothing lost is found", async () => {
  const forward = new ToyForward();
  const engine = new Engine(forward, [], { chunkTokens: 8 });
  [2, 9, 10, 23].forEach((number) => forward.losing.add(number));
  const prompts = [1, 2, 3, 4, 5].map((seed) => prompt(seed, 10));
  const found = await Promise.all(prompts.map((promptIds) => all(engine, { promptIds, params: greedy(12) })));
  found.forEach(({ tokens }, i) => expect(tokens).toEqual(forward.greedyReference(prompts[i]!, 12)));
  const request = { promptIds: prompt(1, 10), params: { seed: 9n, maxTokens: 12 } };
  const alone = await all(new Engine(new ToyForward()), request);
  forward.losing.add(forward.batches.length + 1);
  forward.losing.add(forward.batches.length + 5);
  expect((await all(engine, request)).tokens).toEqual(alone.tokens);
  forward.losing.add(forward.batches.length + 1);
  const hidden = await new Engine(new ToyForward()).hidden(prompt(3, 50));
  expect(await engine.hidden(prompt(3, 50))).toEqual(hidden);
});

test("logits are only asked for where a draw may read them", async () => {
  const forward = new ToyForward();
  const engine = new Engine(forward);
  await all(engine, { promptIds: prompt(1, 40), params: greedy(3) });
  expect(new Set(forward.batches.map(({ outputs }) => outputs.join()))).toEqual(new Set(["", "argmax"]));
});

test("hidden states are those of one pass, however the tokens are cut", async () => {
  const tokens = prompt(3, 50);
  const whole = await new Engine(new ToyForward(64, { maxTokens: 64 })).hidden(tokens);
  const engine = new Engine(new ToyForward());
  const [cut] = await Promise.all([engine.hidden(tokens), all(engine, { promptIds: prompt(2, 5), params: greedy(5) })]);
  expect(cut).toEqual(whole);
});

test("what cannot be asked is refused at once, and a closed engine gives its pages back", async () => {
  const forward = new ToyForward();
  const engine = new Engine(forward, [], { context: 10 });
  expect(() => engine.generate(prompt(1, 10))).toThrow("The prompt has 10 tokens, which leaves no room for an answer. The context holds 10.");
  expect(() => engine.generate([61])).toThrow("The request has the token 61.");
  expect(() => engine.generate([])).toThrow("no tokens");
  const open = all(engine, { promptIds: [1], params: greedy(5) });
  await engine.close();
  expect((await open).last.finish).toBe("cancelled");
  expect(forward.closed).toBe(true);
});
