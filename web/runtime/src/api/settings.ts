// From a request's fields to the engine's settings.

import type { SamplingParams } from "../engine/params.ts";
import { HearthError } from "../errors.ts";
import type { GenerationRequest } from "./types.ts";

const MAX_CHOICES = 16;

type Numbers = "temperature" | "topK" | "topP" | "minP" | "repetitionPenalty" | "presencePenalty" | "frequencyPenalty";

const FIELDS: Readonly<Record<Numbers, keyof GenerationRequest>> = {
  temperature: "temperature",
  topK: "top_k",
  topP: "top_p",
  minP: "min_p",
  repetitionPenalty: "repetition_penalty",
  presencePenalty: "presence_penalty",
  frequencyPenalty: "frequency_penalty",
};

/**
 * The settings of choice number `choice`: each draws by a seed of its own.
 *
 * @param logprobs how many of the likeliest tokens are told; undefined: none, and none of the drawn.
 */
export function settingsOf(request: GenerationRequest, logprobs: number | undefined, choice: number): Partial<SamplingParams> {
  const numbers = Object.entries(FIELDS).flatMap(([name, field]) => (request[field] == null ? [] : [[name, request[field]]]));
  const bias = Object.entries(request.logit_bias ?? {}).map(([token, value]) => [Number(token), value] as const);
  return {
    ...(Object.fromEntries(numbers) as Partial<SamplingParams>),
    logitBias: new Map(bias),
    ...(request.seed != null && { seed: BigInt.asUintN(64, BigInt(request.seed) + BigInt(choice)) }),
    ...(logprobs !== undefined && { logprobs }),
    maxTokens: request.max_completion_tokens ?? request.max_tokens ?? undefined,
    ignoreEos: request.ignore_eos ?? false,
  };
}

export const stopsOf = ({ stop }: GenerationRequest): readonly string[] => (typeof stop === "string" ? [stop] : (stop ?? []));

/** How many answers a request asks for. */
export function choicesOf({ n, seed }: GenerationRequest): number {
  if (seed != null && !Number.isSafeInteger(seed)) throw new HearthError("usage", `seed is ${seed}, but must be a whole number.`);
  const count = n ?? 1;
  if (Number.isInteger(count) && count >= 1 && count <= MAX_CHOICES) return count;
  throw new HearthError("usage", `n is ${count}, but must be a whole number, 1 to ${MAX_CHOICES}.`);
}
