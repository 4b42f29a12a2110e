// What of a forward those read who draw after it: which outputs, and of these each its `Row`.

import type { ForwardResult, OutputName } from "./forward.ts";
import { Likeliest } from "./likeliest.ts";
import type { Sampler } from "./sampling.ts";

/** What is always enough to draw. */
export const WHOLE_ROWS: readonly OutputName[] = ["argmax", "logits"];

/** What a forward tells a sampler. */
export interface Row {
  /** Empty where it was not wanted. */
  readonly logits: Float32Array;
  readonly argmax: number;
  /** Undefined where they were not wanted. */
  readonly likeliest: Likeliest | undefined;
}

/**
 * What of a forward's result the samplers read that draw after it.
 *
 * @param likeliest `ForwardInfo.likeliest`.
 */
export function outputsRead(samplers: readonly Sampler[], likeliest: number): readonly OutputName[] {
  if (samplers.length === 0) return [];
  const needing = samplers.filter(({ mayNeedLogits }) => mayNeedLogits);
  if (needing.length === 0) return ["argmax"];
  return needing.every((sampler) => sampler.drawsAmong(likeliest)) ? ["argmax", "likeliest"] : WHOLE_ROWS;
}

/** The rows of a result, of which there are `count`, with what was wanted of it. */
export function rowsOf(result: ForwardResult, outputs: readonly OutputName[], count: number): readonly Row[] {
  if (count === 0) return [];
  const { argmax } = result;
  const logits = outputs.includes("logits") ? result.logits : new Float32Array();
  const likeliest = outputs.includes("likeliest") ? result.likeliest : undefined;
  const part = <Values extends Float32Array | Int32Array>(values: Values, row: number): Values => {
    const width = values.length / count;
    return values.subarray(row * width, (row + 1) * width) as Values;
  };
  return Array.from({ length: count }, (_, row) => ({
    logits: part(logits, row),
    argmax: argmax[row]!,
    likeliest: likeliest && new Likeliest(part(likeliest.logits, row), part(likeliest.tokens, row)),
  }));
}

/** Whether the likeliest tokens, where a forward has told these, say among which each sampler draws. */
export const areEnough = (rows: readonly Row[], samplers: readonly Sampler[]): boolean =>
  rows.every(({ likeliest }, row) => {
    const { mayNeedLogits, params } = samplers[row]!;
    return likeliest === undefined || !mayNeedLogits || likeliest.among(params.topK) !== undefined;
  });
