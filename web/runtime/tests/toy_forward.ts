// A tiny language model that satisfies `Forward` honestly. Two attention layers whose keys and values live in pages and are read
// through the block table, so that a wrong page, a wrong position or a page that another sequence is still writing gives other
// tokens. Pages start as NaN: what was never written cannot be read unnoticed. Each token is computed alone, so its result does not
// depend on the batch. With slots there is a recurrent layer before them, whose state is of all tokens in their order.

import { type Forward, type ForwardBatch, type ForwardInfo, type ForwardResult, StatesLost, type StepsAhead } from "../src/engine/forward.ts";

const NUM_LAYERS = 2;

/** Deterministic numbers about zero; nothing but spread is asked of them. */
function noise(seed: number, size: number): Float64Array {
  let state = seed;
  return Float64Array.from({ length: size }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    return (state / 2 ** 31) * 1.7;
  });
}

export class ToyForward implements Forward {
  readonly info: ForwardInfo;
  readonly numPages: number;
  readonly numSlots: number;
  readonly batches: ForwardBatch[] = [];
  /** Steps that `decode` was asked for, each time. */
  readonly decoded: number[] = [];
  /** As of a device from which reading takes a while, so many steps worth. */
  worthwhile: number | undefined;
  /** Thrown by the next forward. */
  failNext: Error | undefined;
  /** In these forwards, by their number, all keys and values are lost. */
  readonly losing = new Set<number>();
  /** A forward with it fails. */
  failingToken: number | undefined;
  /** The logits after it are NaN. */
  poisonToken: number | undefined;
  closed = false;
  readonly #weights: { embedding: Float64Array; position: Float64Array; projections: Float64Array; head: Float64Array };
  readonly #keys: Float64Array;
  readonly #values: Float64Array;
  readonly #slots: Float64Array[];

  constructor(numPages = 64, info: Partial<ForwardInfo> = {}, numSlots = 0) {
    this.info = {
      vocabSize: 61,
      hiddenSize: 12,
      maxTokens: 32,
      maxSequences: 4,
      maxLogitRows: 8,
      pageTokens: 4,
      maxPosition: 512,
      likeliest: 0,
      ...info,
    };
    this.numPages = numPages;
    this.numSlots = numSlots;
    const { vocabSize, hiddenSize: size, maxPosition, pageTokens } = this.info;
    this.#weights = {
      embedding: noise(1, vocabSize * size),
      position: noise(2, maxPosition * size),
      projections: noise(3, NUM_LAYERS * 3 * size * size).map((value) => value / Math.sqrt(size)),
      head: noise(4, vocabSize * size),
    };
    this.#keys = new Float64Array(NUM_LAYERS * numPages * pageTokens * size).fill(NaN);
    this.#values = this.#keys.slice();
    this.#slots = Array.from({ length: numSlots }, () => new Float64Array(size).fill(NaN));
  }

  get numComputed(): number {
    return this.batches.reduce((sum, { tokenIds }) => sum + tokenIds.length, 0);
  }

  async forward(batch: ForwardBatch): Promise<ForwardResult> {
    await Promise.resolve();
    this.#check(batch);
    this.batches.push(batch);
    const error = this.failNext;
    this.failNext = undefined;
    if (error !== undefined) throw error;
    if (this.losing.has(this.batches.length)) {
      this.#keys.fill(NaN);
      this.#values.fill(NaN);
      for (const slot of this.#slots) slot.fill(NaN);
      throw new StatesLost("device", "lost");
    }
    const { tokenIds, positions, tokenSeq, blockTable, blockTableStride: stride, logitRows, outputs } = batch;
    if (this.failingToken !== undefined && tokenIds.includes(this.failingToken)) throw new Error("the device broke");
    const states = Array.from(batch.stateFrom ?? [], (slot) => (slot < 0 ? this.#begin() : this.#slots[slot]!.slice()));
    const rows = [...tokenIds].map((token, i) => {
      const table = blockTable.subarray(tokenSeq[i]! * stride, (tokenSeq[i]! + 1) * stride);
      const state = states[tokenSeq[i]!];
      const row = this.#token(token, positions[i]!, table, state);
      const slot = batch.stateTo?.[i] ?? -1;
      if (slot >= 0) this.#slots[slot]!.set(state!);
      return row;
    });
    const logits = [...logitRows].map((row) => this.#logits(rows[row]!, tokenIds[row] === this.poisonToken));
    const flat = (wants: boolean, parts: ArrayLike<number>[]): Float32Array => Float32Array.from(wants ? parts.flatMap((part) => [...Array.from(part)]) : []);
    const told = outputs.includes("likeliest") ? logits.map((row) => likeliestOf(row, this.info.likeliest)) : [];
    return {
      logits: flat(outputs.includes("logits"), logits),
      argmax: Int32Array.from(outputs.includes("argmax") ? logits.map((row) => row.indexOf(Math.max(...row))) : []),
      hidden: flat(outputs.includes("hidden"), rows),
      likeliest: {
        logits: flat(true, told.map(({ logits }) => logits)),
        tokens: Int32Array.from(told.flatMap(({ tokens }) => tokens)),
      },
    };
  }

  get ahead(): StepsAhead | undefined {
    return this.worthwhile === undefined ? undefined : { worthwhile: this.worthwhile, decode: (batch, steps) => this.#decode(batch, steps) };
  }

  async #decode(batch: ForwardBatch, steps: number): Promise<Int32Array[]> {
    this.decoded.push(steps);
    const found: Int32Array[] = [];
    for (let step = 0; step < steps; step++) {
      const tokenIds = step === 0 ? batch.tokenIds : found.at(-1)!;
      const positions = batch.positions.map((position) => position + step);
      const written = (at: number): Int32Array | undefined => batch.stateTo?.slice(at * tokenIds.length, (at + 1) * tokenIds.length);
      const stateFrom = step === 0 ? batch.stateFrom : written(step - 1);
      found.push((await this.forward({ ...batch, tokenIds, positions, stateFrom, stateTo: written(step) })).argmax);
    }
    return found;
  }

  close(): void {
    this.closed = true;
  }

  /** From now on the tokens [first, end) are as likely as each other, and often likelier than all others. */
  tie(first: number, end: number): void {
    const { head } = this.#weights;
    const size = this.info.hiddenSize;
    const row = head.slice(first * size, (first + 1) * size).map((value) => 10 * value);
    for (let token = first; token < end; token++) head.set(row, token * size);
  }

  /** The next `count` greedy tokens, by one plain loop over one contiguous list of pages. */
  greedyReference(prompt: readonly number[], count: number): number[] {
    const plain = new ToyForward(this.numPages, this.info, this.numSlots);
    const state = this.numSlots > 0 ? this.#begin() : undefined;
    const table = Int32Array.from({ length: plain.numPages }, (_, page) => page);
    const tokens = [...prompt];
    for (let position = 0; tokens.length < prompt.length + count; position++) {
      const row = plain.#logits(plain.#token(tokens[position]!, position, table, state), false);
      if (position === tokens.length - 1) tokens.push(row.indexOf(Math.max(...row)));
    }
    return tokens.slice(prompt.length);
  }

  #logits(hidden: Float64Array, isPoisoned: boolean): Float32Array {
    const { vocabSize, hiddenSize } = this.info;
    return Float32Array.from({ length: vocabSize }, (_, token) => (isPoisoned ? NaN : dot(this.#weights.head, token * hiddenSize, hidden)));
  }

  /** The state before a text. */
  #begin(): Float64Array {
    return new Float64Array(this.info.hiddenSize);
  }

  /** @param state goes on by the token. */
  #token(token: number, position: number, table: Int32Array, state: Float64Array | undefined): Float64Array {
    const { hiddenSize: size, pageTokens } = this.info;
    const { embedding, position: places, projections } = this.#weights;
    let x = Float64Array.from({ length: size }, (_, i) => embedding[token * size + i]! + places[position * size + i]!);
    if (state !== undefined) {
      state.set(state.map((_, i) => Math.tanh(0.9 * state[(i + 1) % size]! + x[i]!)));
      x = x.map((value, i) => value + state[i]!);
    }
    for (let layer = 0; layer < NUM_LAYERS; layer++) {
      const project = (which: number): Float64Array =>
        Float64Array.from({ length: size }, (_, i) => dot(projections, ((layer * 3 + which) * size + i) * size, x));
      const place = (p: number): number => ((layer * this.numPages + table[Math.floor(p / pageTokens)]!) * pageTokens + (p % pageTokens)) * size;
      const query = project(0);
      this.#keys.set(project(1), place(position));
      this.#values.set(project(2), place(position));
      const scores = Array.from({ length: position + 1 }, (_, p) => dot(this.#keys, place(p), query));
      const largest = Math.max(...scores);
      const weights = scores.map((score) => Math.exp(score - largest));
      const total = weights.reduce((sum, weight) => sum + weight, 0);
      x = x.map((value, i) => value + weights.reduce((sum, weight, p) => sum + (weight / total) * this.#values[place(p) + i]!, 0));
      const norm = Math.sqrt(x.reduce((sum, value) => sum + value * value, 0) / size);
      x = x.map((value) => value / norm);
    }
    return x;
  }

  /** What the contract asks of the caller. */
  #check(batch: ForwardBatch): void {
    const { tokenIds, positions, tokenSeq, blockTable, blockTableStride: stride, logitRows, numPromptTokens, outputs } = batch;
    const { info } = this;
    const numSeqs = blockTable.length / stride;
    const holds =
      tokenIds.length >= 1 &&
      tokenIds.length <= info.maxTokens &&
      positions.length === tokenIds.length &&
      tokenSeq.length === tokenIds.length &&
      logitRows.length <= info.maxLogitRows &&
      numSeqs >= 1 &&
      numSeqs <= info.maxSequences &&
      numPromptTokens <= tokenIds.length &&
      !(outputs.includes("likeliest") && info.likeliest === 0) &&
      tokenIds.every((token) => token >= 0 && token < info.vocabSize) &&
      positions.every((position) => position >= 0 && position < info.maxPosition) &&
      blockTable.every((page) => page < this.numPages) &&
      (batch.stateFrom?.length ?? 0) === (this.numSlots > 0 ? numSeqs : 0) &&
      (batch.stateTo?.length ?? 0) === (this.numSlots > 0 ? tokenIds.length : 0);
    if (!holds) throw new Error("the batch breaks the contract");
    const read: Set<number>[] = [];
    const written: Set<number>[] = [];
    const slotsRead: Set<number>[] = [];
    const slotsWritten: Set<number>[] = [];
    for (let row = 0; row < numSeqs; row++) {
      const own = [...tokenSeq.keys()].filter((i) => tokenSeq[i] === row);
      const ascends = own.every((i, n) => n === 0 || (i === own[n - 1]! + 1 && positions[i] === positions[own[n - 1]!]! + 1));
      if (own.length === 0 || !ascends) throw new Error("a sequence's tokens do not stand together");
      const [first, last] = [positions[own[0]!]!, positions[own.at(-1)!]!].map((p) => Math.floor(p / info.pageTokens)) as [number, number];
      const pages = [...blockTable.subarray(row * stride, row * stride + last + 1)];
      if (pages.some((page) => page < 0) || new Set(pages).size !== pages.length) throw new Error("a sequence lacks a page");
      read.push(new Set(pages));
      written.push(new Set(pages.slice(first)));
      if (this.numSlots === 0) continue;
      const from = batch.stateFrom![row]!;
      const to = own.map((i) => batch.stateTo![i]!).filter((slot) => slot >= 0);
      if (from < 0 !== (positions[own[0]!] === 0) || new Set(to).size !== to.length) throw new Error("a state is not where it should be");
      slotsRead.push(new Set([from, ...to].filter((slot) => slot >= 0)));
      slotsWritten.push(new Set(to));
    }
    if (clash(written, read)) throw new Error("a page is written while another sequence uses it");
    if (clash(slotsWritten, slotsRead)) throw new Error("a slot is written while another sequence uses it");
  }
}

/** Whether what one sequence writes another one uses. */
const clash = (written: readonly Set<number>[], read: readonly Set<number>[]): boolean =>
  written.some((mine, row) => read.some((theirs, other) => other !== row && [...mine].some((place) => theirs.has(place))));

/** The largest of a row and their tokens, of equals the first: by sorting all. None where there are no numbers. */
export function likeliestOf(row: Float32Array, count: number): { logits: number[]; tokens: number[] } {
  const sorted = row.some(Number.isNaN) ? [] : [...row.keys()].sort((a, b) => row[b]! - row[a]! || a - b);
  const tokens = Array.from({ length: count }, (_, place) => sorted[place] ?? -1);
  return { logits: tokens.map((token) => row[token] ?? 0), tokens };
}

function dot(matrix: Float64Array, at: number, vector: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < vector.length; i++) sum += matrix[at + i]! * vector[i]!;
  return sum;
}
