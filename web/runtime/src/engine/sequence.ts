// One request on its way: its tokens, its pages, and the events that tell of it. Knows neither the batch nor the forward.

import type { Constraint } from "./constraint.ts";
import type { PagePool } from "./pages.ts";
import type { SamplingParams } from "./params.ts";
import type { LogitProcessor } from "./processor.ts";
import type { Block } from "./prefix.ts";
import { type Choice, Sampler } from "./sampling.ts";

/** "stop": an end token or stop token was drawn. "length": `maxTokens` or the context is reached. */
export type Finish = "stop" | "length" | "cancelled";

/** What a request has cost so far, in tokens. */
export interface Usage {
  readonly promptTokens: number;
  /** Of the prompt, found in pages that earlier requests left. */
  readonly cachedTokens: number;
  readonly outputTokens: number;
  /** When the first token was asked for, the first drawn, the last drawn: milliseconds of `performance.now()`. */
  readonly begunMs: number;
  readonly firstTokenMs: number;
  readonly lastTokenMs: number;
}

/** Something happened to a request: usually that it has a new token; the end token too is told. */
export interface TokenEvent extends Partial<Choice> {
  /** Undefined while the answer goes on. */
  readonly finish?: Finish;
  /** Given with the last event of a request. */
  readonly usage?: Usage;
}

export class Sequence {
  /** Ids of prompt and answer. */
  readonly tokens: number[];
  readonly numPromptTokens: number;
  readonly sampler: Sampler;
  /** Leading tokens whose keys and values are in the pages. */
  numComputed = 0;
  /** Pages held, in the order of the tokens. */
  pages: number[] = [];
  #published: Block[] = []; // what is known of its leading full pages
  #cachedTokens: number | undefined;
  readonly #begunMs = performance.now();
  #firstTokenMs = NaN;
  #lastTokenMs = NaN;

  constructor(promptIds: readonly number[], params: SamplingParams, constraint?: Constraint, processor?: LogitProcessor) {
    this.tokens = [...promptIds];
    this.numPromptTokens = promptIds.length;
    this.sampler = new Sampler(params, promptIds, constraint, processor);
  }

  get numOutputTokens(): number {
    return this.tokens.length - this.numPromptTokens;
  }

  /** Tokens whose keys and values are still to be computed. */
  get numPending(): number {
    return this.tokens.length - this.numComputed;
  }

  get usage(): Usage {
    return {
      promptTokens: this.numPromptTokens,
      cachedTokens: this.#cachedTokens ?? 0,
      outputTokens: this.numOutputTokens,
      begunMs: this.#begunMs,
      firstTokenMs: this.#firstTokenMs,
      lastTokenMs: this.#lastTokenMs,
    };
  }

  append(token: number): void {
    this.tokens.push(token);
    this.#lastTokenMs = performance.now();
    if (this.numOutputTokens === 1) this.#firstTokenMs = this.#lastTokenMs;
  }

  /** Begins with the pages that hold a prefix of its tokens. */
  start(pool: PagePool, prefix: readonly Block[]): void {
    for (const { page } of prefix) pool.hold(page);
    this.pages = prefix.map(({ page }) => page);
    this.#published = [...prefix];
    this.numComputed = prefix.length * pool.pageTokens;
    this.#cachedTokens ??= this.numComputed;
  }

  /** The forward has computed the next `count` tokens: pages that are full now may be shared. */
  commit(pool: PagePool, count: number): void {
    this.numComputed += count;
    const size = pool.pageTokens;
    for (let block = this.#published.length; (block + 1) * size <= this.numComputed; block++) {
      const tokens = this.tokens.slice(block * size, (block + 1) * size);
      this.#published.push(pool.publish(this.pages[block]!, this.#published.at(-1) ?? pool.root, tokens));
    }
  }

  /** Releases all pages. What full ones hold stays known unless it is `spoiled`. */
  giveUpPages(pool: PagePool, spoiled: boolean): void {
    if (spoiled) this.pages.forEach((page) => pool.forget(page));
    pool.release(this.pages);
    this.pages = [];
    this.#published = [];
    this.numComputed = 0;
  }
}
