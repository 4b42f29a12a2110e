// The slots of state that one sequence holds: which one the next forward reads and which it writes. A sequence has always one slot of
// its own, that nobody else knows, so going on never has to wait for one. Around a forward:
//
// 1. `prepare` says which slots it writes: the sequence's own after its last token, and others at `Landmarks` on the way;
// 2. `settle` says that the text goes on after that: the slots before become checkpoints or are free.
//
// If the state itself is worth remembering it becomes a checkpoint, which is only read from then on, and the sequence writes another
// slot. Several steps that are computed at once are prepared like one forward: between landmarks all write the same slot, and none of
// them the one that the first reads, so that an answer that ends among them can be gone on from where they began. Where a model has
// no state, a sequence holds none and is not limited by that.

import type { Landmarks } from "./checkpoints.ts";
import { NOWHERE, type StatePool } from "./states.ts";

/** What a forward reads and writes of one sequence. */
export interface StateWay {
  readonly from: number;
  /** For each of its tokens; NOWHERE for none. */
  readonly to: readonly number[];
}

/** The way of a text that is computed by itself, and keeps its state in a slot of its own. */
export const aloneIn = (slot = NOWHERE): Pick<HeldState, "way"> => ({
  way: (start, stop) => ({ from: start === 0 ? NOWHERE : slot, to: [...Array<number>(stop - start - 1).fill(NOWHERE), slot] }),
});

export class HeldState {
  readonly #states: StatePool;
  readonly #tokens: readonly number[];
  #length = 0; // tokens before the state in #source
  #source = NOWHERE; // the sequence's own slot, or a checkpoint
  #own = NOWHERE;
  #written = new Map<number, number>(); // slots of the forward at hand, by the number of tokens before the state
  #rolling = 0; // tokens before the last checkpoint that is let go for the next one

  /** @param tokens of the sequence; they grow at their end. */
  constructor(states: StatePool, tokens: readonly number[]) {
    this.#states = states;
    this.#tokens = tokens;
  }

  /**
   * Begins with a checkpoint after so many tokens, or with none.
   *
   * @param isAlone nobody else will be able to go on from the checkpoint: the sequence may write it.
   */
  start(checkpoint: number | undefined, length: number, isAlone: boolean): void {
    if (this.#states.numSlots === 0) return;
    if (checkpoint === undefined) {
      this.#own = this.#states.allocate();
      return;
    }
    this.#states.hold(checkpoint);
    if (isAlone || this.#states.numAvailable === 0) { // then nobody else reads it either, see `DeviceMemory.hasSlot`
      this.#states.forget([checkpoint]);
      this.#own = checkpoint;
    } else {
      this.#own = this.#states.allocate();
    }
    [this.#source, this.#length] = [checkpoint, length];
  }

  /** The next forward computes tokens [start, stop). */
  prepare(start: number, stop: number, landmarks: Landmarks): void {
    if (this.#states.numSlots === 0) return;
    this.#written.set(stop, this.#own);
    for (const length of landmarks.between(start, stop)) this.#keep(length, landmarks.isEnd(length));
  }

  /** The next steps, one token each, compute tokens [start, stop) before anybody knows whether all of them are of the answer. */
  prepareSteps(start: number, stop: number, landmarks: Landmarks): void {
    this.prepare(start, stop, landmarks);
    if (this.#states.numSlots === 0 || stop === start + 1) return;
    this.spareSource();
    const last = landmarks.floor(stop - 1);
    if (last > start && !this.#written.has(last) && landmarks.isWorth(last)) this.#keep(last, false);
  }

  /** Lets the forward at hand, if there is a slot for it, not write what it reads. Answers whether it does not, so that it can be
   * computed once more. */
  spareSource(): boolean {
    const overwritten = [...this.#written].find(([, slot]) => slot === this.#source);
    if (overwritten === undefined) return true;
    if (this.#states.numSpare === 0) return false;
    this.#written.set(overwritten[0], this.#states.allocate());
    return true;
  }

  /** What the forward at hand reads and writes, which computes tokens [start, stop). */
  way(start: number, stop: number): StateWay {
    const to = Array.from({ length: stop - start }, (_, i) => this.#written.get(start + i + 1) ?? NOWHERE);
    return { from: start === 0 ? NOWHERE : this.#source, to };
  }

  /** The same of steps, each of which reads what the one before wrote. */
  wayOfSteps(start: number, stop: number): StateWay {
    const { from, to } = this.way(start, stop);
    return { from, to: to.map((slot) => (slot === NOWHERE ? to.at(-1)! : slot)) };
  }

  /** The forward is done, all of it is kept, and the text goes on. */
  settle(landmarks: Landmarks): void {
    if (this.#written.size === 0) return; // there is no state, or all has been given up meanwhile
    const length = Math.max(...this.#written.keys());
    const slot = this.#written.get(length)!;
    this.#publishBefore(length, landmarks);
    const rest = this.#held().filter((other) => other !== slot);
    const spare = rest.find((other) => this.#states.mayBeWritten(other));
    if (landmarks.isWorth(length)) this.#publish(length, slot, landmarks, spare !== undefined);
    this.#own = this.#states.mayBeWritten(slot) ? slot : (spare ?? this.#states.allocate());
    this.#states.release(rest.filter((other) => other !== this.#own));
    [this.#source, this.#length] = [slot, length];
    this.#written.clear();
  }

  /** The sequence ends after so many computed tokens: others may go on from the last of them whose state there is. Answers how many
   * tokens that are; 0 for none. */
  leave(numComputed: number, landmarks: Landmarks): number {
    const isOverwritten = [...this.#written.values()].includes(this.#source);
    const known = [...this.#written.keys(), ...(isOverwritten ? [] : [this.#length])];
    // Keys and values are found at the ends of pages, and where they end.
    const isFound = (length: number): boolean => length === landmarks.floor(length) || landmarks.floor(length) === landmarks.floor(numComputed);
    const length = Math.max(0, ...known.filter((each) => each <= numComputed && isFound(each)));
    if (length === 0) return 0;
    this.#publishBefore(length, landmarks);
    this.#states.publish(this.#written.get(length) ?? this.#source, this.#tokens, length, true);
    return length;
  }

  /** Gives back all slots. */
  release(): void {
    this.#states.release(this.#held());
    this.#written.clear();
    this.#length = this.#rolling = 0;
    this.#source = this.#own = NOWHERE;
  }

  /** Has the forward at hand write a checkpoint, if there is a slot for it. */
  #keep(length: number, isEnd: boolean): void {
    if (this.#room(isEnd) > 0 && this.#states.find(this.#tokens, length) === undefined) this.#written.set(length, this.#states.allocate());
  }

  #room(isEnd: boolean): number {
    return isEnd ? this.#states.numAvailable : this.#states.numSpare;
  }

  /** Every slot held, once: the last tokens' first, which are given back as what was used last. No checkpoint needs another one before
   * it, and texts are gone on from at their ends. */
  #held(): number[] {
    const lengths = [...this.#written.keys()].sort((a, b) => b - a);
    const slots = [this.#own, ...lengths.map((length) => this.#written.get(length)!), this.#source];
    return [...new Set(slots)].filter((slot) => slot !== NOWHERE);
  }

  /** Makes checkpoints of what was written on the way to the first `length` tokens. */
  #publishBefore(length: number, landmarks: Landmarks): void {
    for (const [at, slot] of [...this.#written].sort(([a], [b]) => a - b)) {
      if (at >= length || !landmarks.isWorth(at)) continue;
      if (this.#states.publish(slot, this.#tokens, at, landmarks.isLasting(at))) this.#roll(at, landmarks);
    }
  }

  /** Makes a checkpoint of the sequence's own state, which is worth one, if there is another slot to go on in. */
  #publish(length: number, slot: number, landmarks: Landmarks, hasSpare: boolean): void {
    if (this.#states.find(this.#tokens, length) !== undefined) return;
    this.#roll(length, landmarks);
    if (hasSpare || this.#room(landmarks.isEnd(length)) > 0) this.#states.publish(slot, this.#tokens, length, landmarks.isLasting(length));
  }

  /** There is a checkpoint further on: the last rolling one is let go. */
  #roll(length: number, landmarks: Landmarks): void {
    if (this.#rolling > 0) this.#states.letGo(this.#tokens, this.#rolling);
    this.#rolling = landmarks.isLasting(length) ? 0 : length;
  }
}
