// What the engine asks of a compiled model: one ragged forward over paged keys and values, and slots of state. Nothing here says how a model computes,
// nor on which device.

import { HearthError } from "../errors.ts";

/** Keys, values and states are gone, all of them, and the forward is as new: what is still wanted has to be computed again. */
export class StatesLost extends HearthError {}

/** What a forward computes; a device may take a while to bring it to where it can be read. */
export type OutputName = "logits" | "argmax" | "hidden" | "likeliest";

/** The upper bounds of one forward. */
export interface ForwardInfo {
  readonly vocabSize: number;
  readonly hiddenSize: number;
  /** Tokens in one forward. */
  readonly maxTokens: number;
  /** Sequences in one forward. */
  readonly maxSequences: number;
  /** Rows of logits in one forward. */
  readonly maxLogitRows: number;
  /** Tokens in one page of keys and values. */
  readonly pageTokens: number;
  /** Positions are below this. */
  readonly maxPosition: number;
  /** How many of the likeliest tokens of a row of logits a forward can tell by themselves; 0: it tells the row, or none. */
  readonly likeliest: number;
}

/**
 * A ragged batch. Tokens of one sequence stand together and their positions ascend by one. A token attends to the positions
 * 0 .. its own of its sequence, read through the block table; positions that are not in this batch were written by earlier forwards.
 */
export interface ForwardBatch {
  readonly tokenIds: Int32Array;
  /** Position p of a sequence lies in entry p / pageTokens of its row of the block table. */
  readonly positions: Int32Array;
  /** The row of `blockTable` that each token belongs to. */
  readonly tokenSeq: Int32Array;
  /** Rows of pages, one for each sequence, `blockTableStride` long; -1 beyond the pages of a sequence. */
  readonly blockTable: Int32Array;
  readonly blockTableStride: number;
  /** Indices of the tokens whose logits are wanted; may be empty. */
  readonly logitRows: Int32Array;
  /** So many of the first tokens are of prompts, which a model may compute more coarsely. */
  readonly numPromptTokens: number;
  /** What of the result will be read. */
  readonly outputs: readonly OutputName[];
  /** Where the model has slots, and only there: the slot with the state of each row of `blockTable` before its first token of the
   * batch; -1: it begins here. */
  readonly stateFrom?: Int32Array | undefined;
  /** Likewise, for each token: the slot that the state after it is written to, or -1. A sequence reads before it writes; it writes no
   * slot that another one reads or writes. */
  readonly stateTo?: Int32Array | undefined;
}

/** Valid until the session's next forward, and each asked for once. What was not wanted may have no rows. */
export interface ForwardResult {
  /** (rows, vocabSize) for each of `logitRows`. */
  readonly logits: Float32Array;
  /** (rows,): the token of the largest logit. */
  readonly argmax: Int32Array;
  /** (tokens, hiddenSize), after the final norm. */
  readonly hidden: Float32Array;
  /** (rows, n) the largest logits of each row, largest first, and whose they are, of equals the lowest first; -1 where there is none. */
  readonly likeliest: { readonly logits: Float32Array; readonly tokens: Int32Array };
}

/** Several forwards that are waited for once: for a device from which reading takes a while. */
export interface StepsAhead {
  /** How many are worth one reading-back, by what both have taken so far. */
  readonly worthwhile: number;
  /**
   * So many forwards one after the other, each but the first over the tokens of the largest logits of the one before.
   *
   * @param batch the first: drawn tokens, one of each sequence, whose rows of logits are wanted in their order. There are pages
   *   for all positions. Its `stateTo` says for each step after the other what that writes; the next one reads it.
   * @returns of each forward the (rows,) tokens of the largest logits.
   */
  decode(batch: ForwardBatch, steps: number): Promise<readonly Int32Array[]>;
}

/** A compiled model with its paged keys and values and its slots of state. One call at a time. */
export interface Forward {
  readonly info: ForwardInfo;
  readonly numPages: number;
  /** 0 where the model has no state. */
  readonly numSlots: number;
  /** Fails with StatesLost where that helps. */
  forward(batch: ForwardBatch): Promise<ForwardResult>;
  /** Undefined where results lie at hand. */
  readonly ahead?: StepsAhead | undefined;
  /** Gives the memory of keys, values and states back. */
  close(): void;
}
