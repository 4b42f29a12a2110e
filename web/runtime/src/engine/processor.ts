// A program's own change to every row of logits, before all else that a sampler does.

import { HearthError } from "../errors.ts";

export interface LogitProcessor {
  /** A request begins. */
  reset(): void;
  /** @param logits (vocabSize,), may be changed and answered itself. */
  process(logits: Float32Array): Float32Array;
  /** The token was drawn. */
  sampled(token: number): void;
}

/** A changed copy of a row. Whatever goes wrong is the request's own error. */
export function processed(processor: LogitProcessor, logits: Float32Array): Float32Array {
  let row: Float32Array;
  try {
    row = processor.process(logits.slice());
  } catch (error) {
    throw new HearthError("usage", "The logit processor failed.", { why: error instanceof Error ? error.message : String(error) });
  }
  if (row instanceof Float32Array && row.length === logits.length) return row;
  throw new HearthError("usage", `The logit processor must answer a Float32Array of ${logits.length} logits.`);
}
