// What a plan says of itself: the JSON of hearth_describe, and what of it concerns a language model.

import { HearthError } from "./errors.ts";

/** hearth_dtype of hearth.h, in the order of its numbers. */
export const DTYPES = ["f32", "i32", "u8", "i8", "f16"] as const;
export type Dtype = (typeof DTYPES)[number];

export interface TensorInfo {
  readonly name: string;
  readonly dtype: Dtype;
  /** For each axis a number, or an expression over symbols. */
  readonly shape: readonly (number | string)[];
  /** The largest number of each axis. */
  readonly most: readonly number[];
  readonly high?: number | string;
}

export interface FunctionInfo {
  readonly name: string;
  /** "text": run by `forward`; "": by `run`. */
  readonly door: string;
  readonly inputs: readonly TensorInfo[];
  readonly outputs: readonly TensorInfo[];
}

export interface ModelInfo {
  readonly functions: readonly FunctionInfo[];
  readonly symbols: Readonly<Record<string, readonly [number, number]>>;
  readonly states: readonly { readonly name: string; readonly unit: string; readonly unit_bytes: number }[];
  readonly weights_bytes: number;
  readonly arena_bytes: number;
  /** The instruction set in use. */
  readonly isa: string;
}

/** What a language model's plan says of it. */
export interface TextInfo {
  readonly vocabSize: number;
  readonly maxTokens: number;
  readonly maxSequences: number;
  readonly maxLogitRows: number;
  /** Positions that one page of the KV cache holds. */
  readonly pageTokens: number;
  /** Positions are below this. */
  readonly maxPosition: number;
  readonly kvBytesPerPage: number;
  /** Memory for what recurrent layers know of one sequence behind one of its tokens; 0 where the model has no such layers. */
  readonly stateBytesPerSlot: number;
  /** How many of the likeliest tokens of a row of logits a forward can tell by themselves: 0 where the processor computes. */
  readonly likeliest: number;
}

/** Undefined where the model is no language model. */
export function textInfo(info: ModelInfo): TextInfo | undefined {
  const text = info.functions.find((each) => each.door === "text");
  if (text === undefined) return undefined;
  const most = (symbol: string): number => info.symbols[symbol]?.[1] ?? 0;
  const unitBytes = (symbol: string): number =>
    info.states.filter(({ unit }) => unit === symbol).reduce((sum, state) => sum + state.unit_bytes, 0);
  const values = (input: string): number => Number(text.inputs.find(({ name }) => name === input)?.high) + 1;
  return {
    vocabSize: values("token_ids"),
    maxTokens: most("tokens"),
    maxSequences: most("sequences"),
    maxLogitRows: most("logit_rows"),
    pageTokens: most("page_tokens"),
    maxPosition: values("positions"),
    kvBytesPerPage: unitBytes("pages"),
    stateBytesPerSlot: unitBytes("slots"),
    likeliest: (text.outputs.find(({ name }) => name === "likeliest")?.most.at(-1) ?? 0) / 2,
  };
}

export function requireText(info: ModelInfo): TextInfo {
  const text = textInfo(info);
  if (text !== undefined) return text;
  const why = `Its functions: ${info.functions.map(({ name }) => name).join(", ")}.`;
  throw new HearthError("usage", "This model is no language model: it takes no tokens.", { why });
}
