// How a request wants its tokens drawn: the settings and ranges of Hearth's own engine.

import { HearthError } from "../errors.ts";

export interface SamplingParams {
  /** Divides the logits; 0: always the likeliest token. */
  readonly temperature: number;
  /** Draw among so many likeliest tokens, and those as likely as the last of them; 0: among all. */
  readonly topK: number;
  /** Draw among the fewest likeliest tokens whose probabilities sum to at least this; 1: among all. */
  readonly topP: number;
  /** Draw among tokens at least so many times as likely as the likeliest; 0: among all. */
  readonly minP: number;
  /** Divides the positive and multiplies the negative logits of every token of prompt and output; 1: off. */
  readonly repetitionPenalty: number;
  /** Subtracted from the logit of every token of the output. */
  readonly presencePenalty: number;
  /** Subtracted once for each time the token stands in the output. */
  readonly frequencyPenalty: number;
  /** The same seed, prompt and settings draw the same numbers whatever else is computed. Left out: a new one each time. */
  readonly seed?: number | bigint;
  /** The output ends after so many tokens. */
  readonly maxTokens: number;
  /** The output ends with any of these, besides the model's own end tokens. */
  readonly stopTokenIds: readonly number[];
}

export const DEFAULT_PARAMS: SamplingParams = {
  temperature: 1,
  topK: 0,
  topP: 1,
  minP: 0,
  repetitionPenalty: 1,
  presencePenalty: 0,
  frequencyPenalty: 0,
  maxTokens: 1024,
  stopTokenIds: [],
};

interface Range {
  readonly low: number;
  readonly high: number;
  readonly aboveLow?: boolean;
  readonly whole?: boolean;
}

const RANGES: Readonly<Record<string, Range>> = {
  temperature: { low: 0, high: 100 },
  topK: { low: 0, high: Number.MAX_SAFE_INTEGER, whole: true },
  topP: { low: 0, high: 1, aboveLow: true },
  minP: { low: 0, high: 1 },
  repetitionPenalty: { low: 0, high: 10, aboveLow: true },
  presencePenalty: { low: -100, high: 100 },
  frequencyPenalty: { low: -100, high: 100 },
  maxTokens: { low: 1, high: Number.MAX_SAFE_INTEGER, whole: true },
};

/** The settings with those left out as by default. Throws a HearthError that names the setting and its range. */
export function checkedParams(given: Partial<SamplingParams>): SamplingParams {
  const params = { ...DEFAULT_PARAMS, ...given };
  for (const [name, { low, high, aboveLow, whole }] of Object.entries(RANGES)) {
    const value: unknown = params[name as keyof SamplingParams];
    const fits = typeof value === "number" && value >= low && value <= high && !(aboveLow && value === low);
    if (fits && (!whole || Number.isInteger(value))) continue;
    const range = high === Number.MAX_SAFE_INTEGER ? `${low} or more` : `${aboveLow ? "above " : ""}${low} to ${high}`;
    throw new HearthError("usage", `${name} is ${String(value)}, but must be a${whole ? " whole" : ""} number, ${range}.`);
  }
  return params;
}

export const changesLogits = (params: SamplingParams): boolean =>
  params.repetitionPenalty !== 1 || params.presencePenalty !== 0 || params.frequencyPenalty !== 0;
