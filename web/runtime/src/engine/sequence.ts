// One request on its way: its tokens, the pages that hold them, and what its reader has not taken yet.

import type { PagePool, PrefixId } from "./pages.ts";
import type { SamplingParams } from "./params.ts";
import { Sampler } from "./sampling.ts";

export type Finish = "stop" | "length";

/** A token of the output; with the last one, why it is the last: the model or a stop token ended it, or it has as many tokens
 * as were asked for or the context holds. */
export interface Generated {
  readonly token: number;
  readonly finish?: Finish;
}

export class Sequence {
  readonly tokens: number[];
  readonly promptLength: number;
  readonly sampler: Sampler;
  /** Tokens that it has at most. */
  readonly limit: number;
  readonly #stops: ReadonlySet<number>;
  readonly #pool: PagePool;
  #pages: number[] = [];
  #parent: PrefixId = 0;
  #published = 0;
  /** Tokens whose keys and values lie in the pages. */
  computed = 0;

  constructor(prompt: readonly number[], params: SamplingParams, endIds: readonly number[], context: number, pool: PagePool) {
    this.tokens = [...prompt];
    this.promptLength = prompt.length;
    this.sampler = new Sampler(params, prompt);
    this.limit = Math.min(prompt.length + params.maxTokens, context);
    this.#stops = new Set([...endIds, ...params.stopTokenIds]);
    this.#pool = pool;
  }

  get pages(): readonly number[] {
    return this.#pages;
  }

  /** Pages that it may still ask for. */
  get reserved(): number {
    return Math.ceil(this.limit / this.#pool.pageTokens) - this.#pages.length;
  }

  /** Takes what the prefix cache has of its tokens, if all else that it may need can then be had. */
  admit(available: () => number): boolean {
    const found = this.#pool.find(this.tokens, this.tokens.length - 1); // the last one's logits are wanted
    this.#pages = found.pages;
    if (this.reserved > available()) {
      this.release();
      return false;
    }
    this.#parent = found.id;
    this.#published = found.pages.length;
    this.computed = found.pages.length * this.#pool.pageTokens;
    return true;
  }

  /** Takes pages for its first `count` tokens. */
  cover(count: number): void {
    while (this.#pages.length * this.#pool.pageTokens < count) this.#pages.push(this.#pool.take());
  }

  /** Tells that its first `count` tokens are computed. */
  advance(count: number): void {
    this.computed = count;
    for (; (this.#published + 1) * this.#pool.pageTokens <= count; this.#published++) {
      this.#parent = this.#pool.publish(this.#pages[this.#published]!, this.#parent, this.tokens, this.#published);
    }
  }

  /** Adds a drawn token. */
  add(token: number): Generated {
    this.tokens.push(token);
    if (this.#stops.has(token)) return { token, finish: "stop" };
    return this.tokens.length >= this.limit ? { token, finish: "length" } : { token };
  }

  release(): void {
    this.#pool.release(this.#pages);
    this.#pages = [];
  }
}
