// One request on its way: its tokens, what the device holds of them, and the events that tell of it. Knows neither the batch nor the
// forward.

import { Landmarks } from "./checkpoints.ts";
import type { Constraint } from "./constraint.ts";
import { HeldState } from "./held_state.ts";
import type { DeviceMemory } from "./memory.ts";
import { pagesOf, type Prefix } from "./pages.ts";
import type { SamplingParams } from "./params.ts";
import type { Chain } from "./prefix.ts";
import type { LogitProcessor } from "./processor.ts";
import { type Choice, Sampler } from "./sampling.ts";

/** "stop": an end token or stop token was drawn. "length": `maxTokens` or the context is reached. */
export type Finish = "stop" | "length" | "cancelled";

/** What a request has cost so far, in tokens. */
export interface Usage {
  readonly promptTokens: number;
  /** Of the prompt, found in what earlier requests left. */
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

/** What goes with a request beside its settings, and shapes its answer or what is kept of it. */
export interface SequenceOptions {
  readonly constraint?: Constraint | undefined;
  readonly processor?: LogitProcessor | undefined;
  /** Leading tokens that other requests are likely to have, too. */
  readonly keepTokens?: number | undefined;
}

export class Sequence {
  /** Ids of prompt and answer. */
  readonly tokens: number[];
  readonly numPromptTokens: number;
  readonly sampler: Sampler;
  /** Slots held, where the model has a state. */
  readonly state: HeldState;
  /** Finds what is known of its tokens. */
  readonly chain: Chain;
  /** Leading tokens whose keys and values are in the pages. */
  numComputed = 0;
  /** Pages held, in the order of the tokens. */
  pages: number[] = [];
  readonly #memory: DeviceMemory;
  readonly #landmarks: Landmarks;
  #numPublished = 0; // leading pages that others may find
  #cachedTokens: number | undefined;
  readonly #begunMs = performance.now();
  #firstTokenMs = NaN;
  #lastTokenMs = NaN;

  constructor(
    memory: DeviceMemory,
    promptIds: readonly number[],
    params: SamplingParams,
    { constraint, processor, keepTokens = 0 }: SequenceOptions = {},
  ) {
    this.tokens = [...promptIds];
    this.numPromptTokens = promptIds.length;
    this.sampler = new Sampler(params, promptIds, constraint, processor);
    this.state = new HeldState(memory.states, this.tokens);
    this.chain = memory.pages.chain(this.tokens);
    this.#memory = memory;
    this.#landmarks = new Landmarks(memory.pages.pageTokens, promptIds.length, keepTokens);
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

  /** Begins with what is held of a prefix of its tokens. */
  start(prefix: Prefix): void {
    this.#memory.pages.holdPrefix(prefix);
    this.state.start(prefix.slot, prefix.numTokens, prefix.taken !== undefined);
    this.pages = pagesOf(prefix);
    this.#numPublished = prefix.shared.length;
    this.numComputed = prefix.numTokens;
    this.#cachedTokens ??= this.numComputed;
  }

  /** The next forward computes its next `count` tokens, and there are pages for them. */
  prepare(count: number): void {
    this.state.prepare(this.numComputed, this.numComputed + count, this.#landmarks);
  }

  /** The same of so many steps at once, of one token each. */
  prepareSteps(count: number): void {
    this.state.prepareSteps(this.numComputed, this.numComputed + count, this.#landmarks);
  }

  /** The forward has computed the next `count` tokens: pages that are full now may be shared. */
  commit(count: number): void {
    const { pages } = this.#memory;
    this.numComputed += count;
    for (; (this.#numPublished + 1) * pages.pageTokens <= this.numComputed; this.#numPublished++) {
      pages.publishBlock(this.pages[this.#numPublished]!, this.chain, this.#numPublished);
    }
  }

  /** All of the forward is committed, and the next one goes on from there. */
  settle(): void {
    this.state.settle(this.#landmarks);
  }

  /** Releases all that is held. It stays known unless it is `spoiled`. */
  giveUp(spoiled: boolean): void {
    const { pages, states } = this.#memory;
    if (spoiled) {
      pages.forget(this.pages);
      states.forgetAlong(this.tokens);
    } else {
      this.#leaveTail(states.numSlots > 0 ? this.state.leave(this.numComputed, this.#landmarks) : this.numComputed);
    }
    pages.release(this.pages);
    this.state.release();
    this.pages = [];
    this.#numPublished = 0;
    this.numComputed = 0;
  }

  /** Others may have the page that so many tokens leave partly filled. */
  #leaveTail(length: number): void {
    const { pages } = this.#memory;
    const full = Math.floor(length / pages.pageTokens);
    const tail = length % pages.pageTokens;
    if (tail > 0) pages.publishTail(this.pages[full]!, this.chain, full, tail);
  }
}
