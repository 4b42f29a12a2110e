// Embeddings: the mean of a text's hidden states after the final norm, of length one.

import { HearthError } from "../errors.ts";
import type { LanguageModel } from "./language_model.ts";
import type { EmbeddingRequest, EmbeddingResponse } from "./types.ts";

export async function embeddings(model: LanguageModel, request: EmbeddingRequest): Promise<EmbeddingResponse> {
  if (request.encoding_format === "base64") throw new HearthError("usage", "encoding_format is base64; known: float.");
  const begun = performance.now();
  const inputs = inputsOf(request.input).map((input) => (typeof input === "string" ? model.tokenizer.encode(input) : [...input]));
  const data: EmbeddingResponse["data"] = [];
  for (const [index, ids] of inputs.entries()) {
    const pooled = mean(await model.engine.hidden(ids), ids.length).slice(0, request.dimensions);
    const length = Math.hypot(...pooled) || 1;
    data.push({ object: "embedding", index, embedding: Array.from(pooled, (value) => value / length) });
  }
  const tokens = inputs.reduce((sum, ids) => sum + ids.length, 0);
  const speed = (1000 * tokens) / Math.max(performance.now() - begun, 1e-3);
  return { object: "list", model: model.name, data, usage: { prompt_tokens: tokens, total_tokens: tokens, extra: { prefill_tokens_per_s: speed } } };
}

/** One or several texts, or lists of tokens. */
function inputsOf(input: EmbeddingRequest["input"]): readonly (string | readonly number[])[] {
  if (typeof input === "string") return [input];
  if (input.length === 0) throw new HearthError("usage", "There is nothing to embed.");
  return typeof input[0] === "number" ? [input as readonly number[]] : (input as readonly (string | readonly number[])[]);
}

/** @param hidden (rows, size). */
function mean(hidden: Float32Array, rows: number): Float64Array {
  const size = hidden.length / rows;
  const total = new Float64Array(size);
  for (let i = 0; i < hidden.length; i++) total[i % size]! += hidden[i]! / rows;
  return total;
}
