// Which tokens go into the next forward. Owns the queue and the order; knows nothing of the forward itself, of logits or of events.
// A step is filled like this:
//
// 1. every running sequence that waits for its next token gets it: streams never starve behind a long prompt;
// 2. sequences in the middle of their prompt go on, oldest first, up to `chunkTokens` in all;
// 3. waiting sequences are admitted first come, first served, while there is room in the chunk and on the device.
//
// If the pages do not suffice, the youngest running sequence gives up its own and waits at the head of the queue; it is computed
// again later (cheaply, as far as the prefix cache still has it). Slots of state always suffice for those that run: each has one of its
// own, and what is left of them is for checkpoints.

import type { ForwardInfo } from "./forward.ts";
import type { HeldState } from "./held_state.ts";
import type { DeviceMemory } from "./memory.ts";
import { type PagePool, pagesFor, pagesOf } from "./pages.ts";
import type { Sequence } from "./sequence.ts";

/** What of a sequence a batch needs to know. */
export type PagedTokens = Pick<Sequence, "tokens" | "pages" | "numPromptTokens"> & { readonly state: Pick<HeldState, "way"> };

/** Tokens [start, start + count) of one sequence go into the forward. */
export interface Slice<Tokens extends PagedTokens = Sequence> {
  readonly sequence: Tokens;
  readonly start: number;
  readonly count: number;
}

/** Whether all its tokens are of the prompt. */
export const isPrompt = ({ sequence, start, count }: Slice<PagedTokens>): boolean =>
  start + count <= sequence.numPromptTokens;

/** Whether it ends with the sequence's last token, so that the next one is to be drawn. */
export const wantsLogits = ({ sequence, start, count }: Slice<PagedTokens>): boolean =>
  start + count === sequence.tokens.length;

export class Scheduler {
  readonly memory: DeviceMemory;
  readonly #pages: PagePool;
  readonly #chunkTokens: number;
  readonly #maxTokens: number;
  readonly #maxRunning: number;
  readonly #waiting: Sequence[] = [];
  readonly #running: Sequence[] = []; // oldest admitted first
  readonly #suspects = new Set<Sequence>(); // each is computed alone until it has drawn a token

  /** @param memory must be able to hold the longest sequence alone. */
  constructor(info: ForwardInfo, memory: DeviceMemory, { maxSequences, chunkTokens }: { maxSequences: number; chunkTokens: number }) {
    this.memory = memory;
    this.#pages = memory.pages;
    this.#chunkTokens = Math.min(chunkTokens, info.maxTokens);
    this.#maxTokens = info.maxTokens;
    // Each running sequence may want one token and one row of logits in the same step.
    this.#maxRunning = Math.min(maxSequences, info.maxSequences, info.maxLogitRows, info.maxTokens, memory.states.numSlots || Infinity);
  }

  get isIdle(): boolean {
    return this.#waiting.length + this.#running.length === 0;
  }

  /** All sequences that are not finished. */
  get sequences(): readonly Sequence[] {
    return [...this.#running, ...this.#waiting];
  }

  add(sequence: Sequence): void {
    this.#waiting.push(sequence);
  }

  /** Takes a sequence out for good and gives back what it holds; `spoiled`: that may be wrong. */
  remove(sequence: Sequence, spoiled = false): void {
    this.#suspects.delete(sequence);
    for (const list of [this.#running, this.#waiting]) {
      const place = list.indexOf(sequence);
      if (place >= 0) list.splice(place, 1);
    }
    sequence.giveUp(spoiled);
  }

  /** A step with these failed, and nobody knows whose fault it was: each starts again, alone up to its next token. */
  suspect(sequences: readonly Sequence[]): void {
    for (const sequence of [...sequences].reverse()) this.#restart(sequence, true);
    for (const sequence of sequences) this.#suspects.add(sequence);
  }

  /** All keys, values and states are lost: everything starts again, with the tokens that it has. */
  restartAll(): void {
    for (const sequence of [...this.#running].reverse()) this.#restart(sequence, true);
    this.memory.forgetAll();
  }

  /** The sequence has drawn a token: it is not at fault. */
  clear(sequence: Sequence): void {
    this.#suspects.delete(sequence);
  }

  /** The next step's slices, with pages allocated for all their tokens; empty if there is nothing to do. */
  schedule(): Slice[] {
    const [suspect] = this.#suspects;
    if (suspect !== undefined) return this.#alone(suspect);
    const slices = new Map<Sequence, Slice>(); // in the order of the batch
    const numWaiting = this.#waiting.length;
    for (const sequence of [...this.#running]) {
      if (this.#running.includes(sequence) && sequence.numPending === 1) this.#place(sequence, 1, slices);
    }
    let budget = Math.min(this.#chunkTokens, this.#maxTokens - slices.size);
    for (const sequence of [...this.#running]) {
      if (budget > 0 && this.#running.includes(sequence) && sequence.numPending > 1) budget -= this.#place(sequence, budget, slices);
    }
    // Where one has just been preempted there is no room for another.
    if (this.#waiting.length === numWaiting) this.#admit(budget, slices);
    return [...slices.values()];
  }

  /**
   * Pages for the positions of `steps` steps, of which slices of one token are the first: of fewer where there are not as many
   * without taking them from somebody, of one in any case. Answers of how many.
   */
  reserve(slices: readonly Slice[], steps: number): number {
    if (this.#suspects.size > 0) return 1;
    const { pageTokens, numAvailable } = this.#pages;
    const lacking = (count: number): number[] =>
      slices.map(({ sequence, start }) => pagesFor(start + count, pageTokens) - sequence.pages.length);
    let count = steps;
    while (count > 1 && lacking(count).reduce((sum, pages) => sum + Math.max(0, pages), 0) > numAvailable) count--;
    lacking(count).forEach((pages, i) => {
      for (let page = 0; page < pages; page++) slices[i]!.sequence.pages.push(this.#pages.allocate());
    });
    return count;
  }

  #alone(sequence: Sequence): Slice[] {
    const place = this.#waiting.indexOf(sequence);
    if (place >= 0) {
      this.#waiting.splice(place, 1);
      while (!this.memory.hasSlot) this.#restart(this.#running.at(-1)!, false);
      sequence.start(this.memory.find(sequence.chain));
      this.#running.unshift(sequence); // it counts as the oldest meanwhile
    }
    const slices = new Map<Sequence, Slice>();
    this.#place(sequence, this.#chunkTokens, slices);
    return [...slices.values()];
  }

  #admit(budget: number, slices: Map<Sequence, Slice>): void {
    const wanted = (sequence: Sequence): number => pagesFor(sequence.tokens.length + 1, this.#pages.pageTokens);
    // Pages that the running sequences will yet want for the tokens they have: not to be promised twice.
    let promised = this.#running.reduce((sum, each) => sum + Math.max(0, wanted(each) - each.pages.length), 0);
    while (this.#waiting.length > 0 && budget > 0 && this.#running.length < this.#maxRunning) {
      const sequence = this.#waiting[0]!;
      const prefix = this.memory.find(sequence.chain);
      const held = pagesOf(prefix);
      // A page of the prefix that is idle now counts as available, but will not be any more.
      const room = this.#pages.numAvailable - held.filter((page) => this.#pages.isIdle(page)).length - promised;
      if ((wanted(sequence) - held.length > room || !this.memory.hasSlot) && this.#running.length > 0) return;
      this.#waiting.shift();
      sequence.start(prefix);
      this.#running.push(sequence);
      budget -= this.#place(sequence, budget, slices);
      promised += wanted(sequence) - sequence.pages.length;
    }
  }

  /**
   * Puts up to `most` of the next tokens of a running sequence into the step; 0 if it had to give up its own pages.
   *
   * Never tokens of the prompt and drawn ones together: a model may compute prompts more coarsely, and a token's arithmetic shall
   * not depend on whether it is computed for the second time.
   */
  #place(sequence: Sequence, most: number, slices: Map<Sequence, Slice>): number {
    const prompt = sequence.numPromptTokens - sequence.numComputed;
    const count = Math.min(most, prompt > 0 ? prompt : sequence.numPending);
    const needed = pagesFor(sequence.numComputed + count, this.#pages.pageTokens) - sequence.pages.length;
    while (needed > this.#pages.numAvailable && this.#running.length > 1) {
      const victim = this.#running.at(-1)!;
      this.#restart(victim, false);
      slices.delete(victim);
      if (victim === sequence) return 0;
    }
    for (let i = 0; i < needed; i++) sequence.pages.push(this.#pages.allocate());
    slices.set(sequence, { sequence, start: sequence.numComputed, count });
    return count;
  }

  /** A running sequence gives up what it holds and waits at the head of the queue to be computed again. */
  #restart(sequence: Sequence, spoiled: boolean): void {
    const place = this.#running.indexOf(sequence);
    if (place < 0) return;
    this.#running.splice(place, 1);
    sequence.giveUp(spoiled);
    this.#waiting.unshift(sequence);
  }
}
