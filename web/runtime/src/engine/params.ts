// How a request wants its tokens drawn, checked when it is made. Knows the meaning and the range of each setting, not how any of
// them is computed (`sampling.ts`) nor which model they are for.

import { HearthError } from "../errors.ts";

export const MAX_LOGPROBS = 100;

/** Settings of one request. The defaults leave the model's own distribution untouched. */
export interface SamplingParams {
  /** Divides the logits; 0 is greedy: always the likeliest token. */
  readonly temperature: number;
  /** Draw among this many likeliest tokens; 0 is off. Tokens as likely as the last one of them stay in too. */
  readonly topK: number;
  /** Draw among the fewest likeliest tokens whose probabilities sum to at least this; 1 is off. */
  readonly topP: number;
  /** Draw among tokens at least this many times as likely as the likeliest; 0 is off. */
  readonly minP: number;
  /** Divides the positive and multiplies the negative logits of every token of prompt and output; 1 is off. */
  readonly repetitionPenalty: number;
  /** Subtracted from the logit of every token of the output; 0 is off. */
  readonly presencePenalty: number;
  /** Subtracted once for each time the token stands in the output; 0 is off. */
  readonly frequencyPenalty: number;
  /** Token id -> added to its logit, -100 .. 100. */
  readonly logitBias: ReadonlyMap<number, number>;
  /** Of this request's own generator (`random.ts`). Undefined: a seed from the system. */
  readonly seed: number | bigint | undefined;
  /** The output ends after this many; undefined: when the model ends it or the context is full. */
  readonly maxTokens: number | undefined;
  /** The output ends with any of these, besides the model's own end tokens. */
  readonly stopTokenIds: readonly number[];
  /** Undefined: none; n: the log-probability of each drawn token and of the n likeliest (0: only the drawn). */
  readonly logprobs: number | undefined;
  /** Go on after the model's own end tokens. */
  readonly ignoreEos: boolean;
}

const DEFAULTS: SamplingParams = {
  temperature: 1,
  topK: 0,
  topP: 1,
  minP: 0,
  repetitionPenalty: 1,
  presencePenalty: 0,
  frequencyPenalty: 0,
  logitBias: new Map(),
  seed: undefined,
  maxTokens: undefined,
  stopTokenIds: [],
  logprobs: undefined,
  ignoreEos: false,
};

interface Range {
  readonly low: number;
  readonly high: number;
  /** The lowest value itself is out. */
  readonly above?: boolean;
  readonly whole?: boolean;
}

const RANGES: Partial<Record<keyof SamplingParams, Range>> = {
  temperature: { low: 0, high: 100 },
  topK: { low: 0, high: Infinity, whole: true },
  topP: { low: 0, high: 1, above: true },
  minP: { low: 0, high: 1 },
  repetitionPenalty: { low: 0, high: 10, above: true },
  presencePenalty: { low: -2, high: 2 },
  frequencyPenalty: { low: -2, high: 2 },
  maxTokens: { low: 1, high: Infinity, whole: true },
  logprobs: { low: 0, high: MAX_LOGPROBS, whole: true },
};
const BIAS: Range = { low: -100, high: 100 };
const MAX_SEED = (1n << 64n) - 1n;

/** Settings with the defaults for what is not given. Fails with a HearthError that names the setting and its range. */
export function samplingParams(given: Partial<SamplingParams> = {}): SamplingParams {
  const known = Object.entries(given).filter(([, value]) => value !== undefined);
  const params: SamplingParams = { ...DEFAULTS, ...(Object.fromEntries(known) as Partial<SamplingParams>) };
  for (const [name, range] of Object.entries(RANGES) as [keyof SamplingParams, Range][]) {
    if (params[name] !== undefined) check(name, params[name], range);
  }
  for (const [token, bias] of params.logitBias) check(`logitBias[${token}]`, bias, BIAS);
  const { seed } = params;
  if (seed !== undefined && !(seed >= 0 && seed <= MAX_SEED && (typeof seed === "bigint" || Number.isSafeInteger(seed)))) {
    throw new HearthError("usage", `seed is ${seed}, but must be a whole number, 0 to 2^64 - 1.`, {
      hint: "Give one beyond 2^53 as a BigInt.",
    });
  }
  return params;
}

function check(name: string, value: unknown, { low, high, above = false, whole = false }: Range): void {
  const number = typeof value === "number" ? value : NaN;
  const fits = Number.isFinite(number) && number >= low && number <= high && !(above && number === low);
  if (fits && !(whole && !Number.isInteger(number))) return;
  const bounds = above ? `above ${low} and at most ${high}` : high === Infinity ? `${low} or more` : `${low} to ${high}`;
  throw new HearthError("usage", `${name} is ${String(value)}, but must be a ${whole ? "whole number" : "number"}, ${bounds}.`);
}

/** Whether a penalty is active, so that tokens are counted. */
export const penalises = (params: SamplingParams): boolean =>
  params.repetitionPenalty !== 1 || params.presencePenalty !== 0 || params.frequencyPenalty !== 0;

/** Whether a penalty or a bias is active, so that the largest logit may not be the model's own. */
export const changesLogits = (params: SamplingParams): boolean => penalises(params) || params.logitBias.size > 0;
