// Who uses which slot of state. Layers that are no attention keep, beside pages of keys and values, a state of fixed size for each
// sequence. A slot holds that of all such layers after some token of some text; a forward reads one slot and writes others, so that
// nothing is ever copied. A `CountedPool` that knows slots as numbers; what a slot holds is remembered in `checkpoints.ts`, what one
// sequence holds in `held_state.ts`.
//
// A slot that is known, a checkpoint, is never written: who goes on from it writes another one. There are no slots where a model has
// no such layers.

import { HearthError } from "../errors.ts";
import { CheckpointIndex } from "./checkpoints.ts";
import { CountedPool } from "./counted.ts";

/** In place of a slot: there is none, and the state is that before a text, zero. */
export const NOWHERE = -1;

/** Where the last prompt ended, and where the answer is. */
const LEAST_KEPT = 2;
/** Where it is or has ended, where its prompt ended, and where the last page of its answer did. */
const SLOTS_PER_TEXT = 3;

/** Slots with which so many sequences run at the same time and one other text is gone on from. With fewer an engine still works, down
 * to two: fewer sequences run at once, and the texts longest unused are computed again. */
export const slotsFor = (sequences: number): number => SLOTS_PER_TEXT * (sequences + 1);

export class StatePool extends CountedPool {
  readonly numSlots: number;
  readonly #index: CheckpointIndex;

  constructor(numSlots: number) {
    const index = new CheckpointIndex();
    super(numSlots, index);
    this.#index = index;
    this.numSlots = numSlots;
  }

  /** Slots for what may be done without, the less likely checkpoints: these evict none of those that were used last, half as many as
   * there are slots. */
  get numSpare(): number {
    return this.numFree + Math.max(0, this.numIdle - Math.max(LEAST_KEPT, Math.floor(this.numSlots / 2)));
  }

  /** A slot of one's own, its content unspecified. */
  allocate(): number {
    const slot = this.giveOut();
    if (slot !== undefined) return slot;
    throw new HearthError("memory", `All ${this.numSlots} slots of state are in use.`, { hint: "Compute fewer sequences at once." });
  }

  /** Whether a held slot is nobody else's, and no checkpoint. */
  mayBeWritten(slot: number): boolean {
    return this.refs(slot) === 1 && !this.#index.has(slot);
  }

  /** The checkpoint after exactly so many of the tokens. */
  find(tokens: readonly number[], length: number): number | undefined {
    return this.#index.find(tokens, length);
  }

  /** Checkpoints after beginnings of the tokens, of the longest first, and how long these are. */
  along(tokens: readonly number[]): { readonly slot: number; readonly length: number }[] {
    return this.#index.along(tokens);
  }

  /** A held slot has the state after so many tokens and will not be written any more: others may go on from it. Answers whether it is
   * now the checkpoint of these tokens; not if there was one already. */
  publish(slot: number, tokens: readonly number[], length: number, isLasting: boolean): boolean {
    if (length === 0) return false;
    const known = this.#index.find(tokens, length);
    if (known === undefined || (isLasting && !this.#index.isLasting(known))) {
      this.#index.add(known ?? slot, tokens, length, isLasting);
    }
    return known === undefined || known === slot;
  }

  /** The checkpoint after so many tokens is not worth a slot any more, unless it is a lasting one. */
  letGo(tokens: readonly number[], length: number): void {
    const slot = this.#index.find(tokens, length);
    if (slot === undefined || this.#index.isLasting(slot)) return;
    this.#index.remove(slot);
    if (this.isIdle(slot)) this.setFree(slot);
  }

  /** States of this text may be wrong: nobody shall find them. */
  forgetAlong(tokens: readonly number[]): void {
    for (const { slot } of this.along(tokens)) {
      this.#index.remove(slot);
      if (this.isIdle(slot)) this.setFree(slot);
    }
  }
}
