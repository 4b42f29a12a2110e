// After which tokens a state is kept, and which slot holds it. Knows nothing of who uses a slot or when it is freed (`states.ts`). A
// state is of all tokens before it, however many, so it is found by exactly these.

import { beginSame } from "./prefix.ts";

/** A text has a checkpoint at least so often, as far as there are slots; in long texts it is every eighth of them. */
const INTERVAL_TOKENS = 512;
const PER_DOUBLING = 8;

/** Lengths of one text after which its state is worth a slot: all at the ends of pages, where the keys and values before them can be
 * shared. */
export class Landmarks {
  readonly #pageTokens: number;
  readonly #ends: readonly [number, number];

  /**
   * @param prompt tokens of the prompt. Its last full page before its last token, whose logits are always wanted, is where the same
   *   prompt goes on when it is asked again.
   * @param kept tokens of its beginning that other texts have, too.
   */
  constructor(pageTokens: number, prompt: number, kept: number) {
    this.#pageTokens = pageTokens;
    const [first, last] = [this.floor(kept), this.floor(prompt - 1)];
    this.#ends = [Math.min(first, last), Math.max(first, last)];
  }

  /** Whether other texts are likely to depart there. */
  isEnd(length: number): boolean {
    return this.#ends.includes(length);
  }

  /** Whether it stays worth a slot when the text goes on. */
  isLasting(length: number): boolean {
    return this.isEnd(length) || this.#isRegular(length);
  }

  /** Whether it is worth a slot now: a lasting one, or the end of the last page that the answer has filled. */
  isWorth(length: number): boolean {
    return length % this.#pageTokens === 0 && (length > this.#ends[1] || this.isLasting(length));
  }

  /** The lasting ones after `start` and before `stop`, most wanted first: the ends, then the latest. */
  *between(start: number, stop: number): Generator<number> {
    const ends = [...new Set([this.#ends[1], this.#ends[0]])].filter((length) => start < length && length < stop);
    yield* ends;
    for (let length = this.floor(stop - 1); length > start; length -= this.#pageTokens) {
      if (!ends.includes(length) && this.#isRegular(length)) yield length;
    }
  }

  /** The end of the last full page of so many tokens. */
  floor(length: number): number {
    return Math.floor(length / this.#pageTokens) * this.#pageTokens;
  }

  #isRegular(length: number): boolean {
    let interval = Math.ceil(INTERVAL_TOKENS / this.#pageTokens) * this.#pageTokens;
    while (length > PER_DOUBLING * interval) interval *= 2;
    return length % interval === 0;
  }
}

interface Checkpoint {
  readonly tokens: Int32Array;
  readonly isLasting: boolean;
}

/** Slots by the tokens after which they hold the state. A slot is in it at most once, and so is a beginning of texts. */
export class CheckpointIndex {
  readonly #entries = new Map<number, Checkpoint>();

  has(slot: number): boolean {
    return this.#entries.has(slot);
  }

  /** Says that a slot holds the state after the first `length` tokens, which is not known yet. */
  add(slot: number, tokens: readonly number[], length: number, isLasting: boolean): void {
    this.#entries.set(slot, { tokens: Int32Array.from(tokens.slice(0, length)), isLasting });
  }

  remove(slot: number): void {
    this.#entries.delete(slot);
  }

  /** The slot with the state after exactly so many of the tokens. */
  find(tokens: readonly number[], length: number): number | undefined {
    for (const [slot, known] of this.#entries) {
      if (known.tokens.length === length && beginSame(known.tokens, tokens, length)) return slot;
    }
    return undefined;
  }

  /** Slots with states after beginnings of the tokens, of the longest first, and how long these are. */
  along(tokens: readonly number[]): { readonly slot: number; readonly length: number }[] {
    const found = [...this.#entries].filter(([, known]) => beginSame(known.tokens, tokens, known.tokens.length));
    return found.map(([slot, known]) => ({ slot, length: known.tokens.length })).sort((a, b) => b.length - a.length);
  }

  isLasting(slot: number): boolean {
    return this.#entries.get(slot)!.isLasting;
  }
}
