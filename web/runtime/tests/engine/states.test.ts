import { expect, test } from "vitest";
import { Engine, type EngineOptions, type RequestOptions } from "../../src/engine/engine.ts";
import type { SamplingParams } from "../../src/engine/params.ts";
import type { TokenEvent } from "../../src/engine/sequence.ts";
import { slotsFor } from "../../src/engine/states.ts";
import { ToyForward } from "../toy_forward.ts";

// Models with recurrent layers, whose state cannot be cut: which tokens are computed again, with pages of 4 tokens.

const prompt = (seed: number, length: number): number[] => Array.from({ length }, (_, i) => (seed * 31 + i * 17 + ((i * i * seed) % 7)) % 60);
const greedy = (maxTokens: number, more: Partial<SamplingParams> = {}): Partial<SamplingParams> => ({ temperature: 0, maxTokens, ...more });

interface Answer {
  readonly tokens: number[];
  readonly finish: string | undefined;
  /** Tokens of the prompt that were not computed again. */
  readonly cached: number | undefined;
}

class Toy {
  readonly forward: ToyForward;
  readonly engine: Engine;

  constructor(slots: number, options: EngineOptions = {}, pages = 64) {
    this.forward = new ToyForward(pages, {}, slots);
    this.engine = new Engine(this.forward, [], options);
  }

  async ask(promptIds: readonly number[], params: Partial<SamplingParams>, options: RequestOptions = {}): Promise<Answer> {
    const tokens: number[] = [];
    let last: TokenEvent = {};
    for await (const event of this.engine.generate(promptIds, params, options)) {
      if (event.token !== undefined) tokens.push(event.token);
      last = event;
    }
    return { tokens, finish: last.finish, cached: last.usage?.cachedTokens };
  }

  /** The same, with what the model itself goes on with held against it. */
  async right(promptIds: readonly number[], count: number, options: RequestOptions = {}): Promise<Answer> {
    const answer = await this.ask(promptIds, greedy(count), options);
    expect(answer.tokens).toEqual(this.forward.greedyReference(promptIds, count));
    return answer;
  }
}

test("six requests at once each get the tokens they would get alone, with slots for few of them, too", async () => {
  for (const slots of [slotsFor(4), 5, 3, 2]) {
    const toy = new Toy(slots, { chunkTokens: 8 });
    await Promise.all([3, 40, 1, 17, 9, 25].map((length, i) => toy.right(prompt(i + 1, length), 12)));
    await Promise.all([1, 2, 3].map((seed) => toy.right(prompt(seed, 3), 4)));
    const most = Math.max(...toy.forward.batches.map(({ stateFrom }) => stateFrom!.length));
    expect(most).toBe(Math.min(4, slots));
  }
});

test("the next turn, the same prompt once more and another end of it compute what is new", async () => {
  const toy = new Toy(slotsFor(1));
  const first = prompt(1, 21);
  const { tokens, cached } = await toy.right(first, 9);
  expect(cached).toBe(0);
  const turn = [...first, ...tokens, 5, 6];
  expect((await toy.right(turn, 4)).cached).toBe(29); // all but the last token drawn, which was never computed
  expect((await toy.right(first, 9)).cached).toBe(20); // the last full page before its last token
  expect((await toy.right([...first, 3, 4], 5)).cached).toBe(20);
  expect((await toy.right([...first.slice(0, 18), 3, 4], 5)).cached).toBe(0); // no state before the twentieth
});

test("an answer that is rendered otherwise goes on from the last page that it had filled", async () => {
  const toy = new Toy(slotsFor(1));
  const first = prompt(1, 21);
  const { tokens } = await toy.right(first, 12);
  expect((await toy.right([...first, ...tokens.slice(0, 10), 59, 58], 4)).cached).toBe(28);
});

test("what other texts begin with, too, is kept where its last page is full", async () => {
  const toy = new Toy(slotsFor(1));
  const system = prompt(3, 14);
  await toy.right([...system, ...prompt(1, 9)], 5, { keepTokens: system.length });
  expect((await toy.right([...system, ...prompt(2, 9)], 5)).cached).toBe(12);
});

test("long texts have states on their way", async () => {
  const long = Array.from({ length: 620 }, (_, i) => (i * i * 7 + i) % 60);
  const engine = new Engine(new ToyForward(200, { maxPosition: 1024 }, 12), [], { chunkTokens: 32, context: 700 });
  const cached = async (promptIds: readonly number[]): Promise<number | undefined> => {
    let last: TokenEvent = {};
    for await (const event of engine.generate(promptIds, greedy(1))) last = event;
    return last.usage?.cachedTokens;
  };
  expect(engine.hasState).toBe(true);
  expect(await cached(long)).toBe(0);
  expect(await cached([...long.slice(0, 600), 1, 2, 3])).toBe(512);
  expect(await cached(long)).toBe(616);
});

test("what was used longest ago is evicted, and nothing wrong is found", async () => {
  const toy = new Toy(9, { context: 40 }, 40);
  for (const seed of [1, 2, 3, 4, 1, 2, 5, 1]) await toy.right(prompt(seed, 26), 6);
  expect((await toy.right(prompt(1, 26), 6)).cached).toBe(24);
  expect((await toy.right(prompt(5, 26), 6)).cached).toBe(24);
  const few = new Toy(6, { context: 40 }, 16);
  for (const seed of [1, 2, 3, 4, 1, 2, 5, 1]) await few.right(prompt(seed, 26), 6);
});

test("two go on from one state at the same time, and neither writes it", async () => {
  const toy = new Toy(slotsFor(3));
  const first = prompt(1, 20);
  const { tokens } = await toy.right(first, 5);
  const text = [...first, ...tokens.slice(0, 4)]; // 24 tokens, all of them in full pages
  const found = await Promise.all([7, 8, 9].map((token) => toy.right([...text, token], 6)));
  expect(found.map(({ cached }) => cached)).toEqual([24, 24, 24]);
  expect((await toy.right([...text, 7], 6)).cached).toBe(24);
});

test("several steps are waited for at once, and an answer that ends among them is gone on from where they began", async () => {
  const toy = new Toy(slotsFor(2), { tokensPerReadBack: 8 });
  toy.forward.worthwhile = 1;
  const first = prompt(3, 5);
  const reference = toy.forward.greedyReference(first, 40);
  await Promise.all([toy.right(first, 33), toy.right(prompt(4, 7), 20)]);
  expect(Math.max(...toy.forward.decoded)).toBe(8);
  const end = reference.findIndex((token, i) => i > 12 && i < 16 && reference.indexOf(token) === i);
  const stopped = await toy.ask(prompt(3, 5), greedy(40, { stopTokenIds: [reference[end]!] }));
  expect(stopped.tokens).toEqual(reference.slice(0, end + 1));
  const turn = [...first, ...stopped.tokens, 1, 2, 3];
  const { cached } = await toy.right(turn, 6);
  expect(cached).toBeGreaterThanOrEqual(first.length + end - 8);
  expect(cached).toBeLessThan(first.length + end + 1);
});

test("steps at once with no slot to spare compute the same", async () => {
  for (const slots of [2, 3]) {
    const toy = new Toy(slots, { tokensPerReadBack: 8 });
    toy.forward.worthwhile = 1;
    for (const seed of [1, 2, 1]) await toy.right(prompt(seed, 9), 21);
    await Promise.all([1, 2, 3].map((seed) => toy.right(prompt(seed, 9), 21)));
  }
});

test("who draws among few reads these alone where the state is not written over, and draws the same", async () => {
  for (const slots of [2, 6]) {
    const few = new ToyForward(64, { likeliest: 12 }, slots);
    few.tie(2, 40);
    const whole = new ToyForward(64, {}, slots);
    whole.tie(2, 40);
    const params = { topK: 8, seed: 5n, maxTokens: 20 };
    const drawn = async (forward: ToyForward): Promise<number[]> => {
      const tokens: number[] = [];
      for await (const { token } of new Engine(forward).generate(prompt(1, 6), params)) if (token !== undefined) tokens.push(token);
      return tokens;
    };
    expect(await drawn(few)).toEqual(await drawn(whole));
  }
});

test("where states are lost, or a forward fails by chance, answers go on and nothing lost is found", async () => {
  const toy = new Toy(slotsFor(4), { chunkTokens: 8 });
  [2, 9, 10, 23].forEach((number) => toy.forward.losing.add(number));
  await Promise.all([1, 2, 3, 4, 5].map((seed) => toy.right(prompt(seed, 10), 12)));
  toy.forward.failNext = new Error("by chance");
  await Promise.all([1, 2].map((seed) => toy.right(prompt(seed, 4), 12)));
  await toy.right(prompt(1, 10), 4);
  toy.forward.losing.add(toy.forward.batches.length + 3);
  expect((await toy.right([...prompt(1, 10), 3], 8)).cached).toBeGreaterThan(0);
});

test("who is cancelled gives all slots back", async () => {
  const toy = new Toy(3);
  for (let round = 0; round < 12; round++) {
    let seen = 0;
    for await (const { token } of toy.engine.generate(prompt(round, 9), greedy(30))) if (token !== undefined && ++seen > round % 5) break;
  }
  await toy.right(prompt(99, 9), 10);
});

test("hidden states are those of one pass, however the tokens are cut", async () => {
  const tokens = prompt(3, 50);
  const whole = await new Engine(new ToyForward(64, { maxTokens: 64 }, 2)).hidden(tokens);
  const toy = new Toy(2);
  const [cut] = await Promise.all([toy.engine.hidden(tokens), toy.right(prompt(2, 5), 5)]);
  expect(cut).toEqual(whole);
  expect(await toy.engine.hidden(tokens)).toEqual(whole);
});

test("one slot alone is refused", () => {
  expect(() => new Engine(new ToyForward(64, {}, 1))).toThrow("There are 1 slots of state, but must be 2 at least.");
});
