// known_answers.json: some calls of a language model, and what the processor of whoever packaged it computed for them.

import { HearthError } from "../errors.ts";

/** As hearth.prepare.known_answers has it. */
const FORMAT_VERSION = 1;

/** Tokens of one sequence, which reads what the calls before wrote into its pages. */
export interface KnownCall {
  readonly tokens: readonly number[];
  /** Of the first token. */
  readonly position: number;
  /** Of the sequence, in the order of positions. */
  readonly pages: readonly number[];
  /** So many of the last tokens have logits. */
  readonly rows: number;
  /** Every `stride`-th of all, one row after the other. */
  readonly stride: number;
  readonly logits: Float32Array;
}

export interface KnownAnswers {
  /** That the calls want in all. */
  readonly pages: number;
  readonly calls: readonly KnownCall[];
}

/** The file: logits are f32, as base64. */
interface Told {
  readonly format: number;
  readonly pages: number;
  readonly calls: readonly (Omit<KnownCall, "logits"> & { readonly logits: string })[];
}

export function readKnownAnswers(text: string): KnownAnswers {
  let told: Told;
  try {
    told = JSON.parse(text) as Told;
  } catch (error) {
    throw new HearthError("corrupt", "The bundle's known answers are no JSON.", { why: String(error) });
  }
  if (told.format !== FORMAT_VERSION) {
    throw new HearthError("mismatch", `The bundle's known answers have format ${told.format}.`, {
      why: `This package reads format ${FORMAT_VERSION}.`,
      hint: "Package the model again with the Hearth that the page came with: hearth package web MODEL.",
    });
  }
  const calls = told.calls.map((call) => ({ ...call, logits: floats(call.logits) }));
  return { pages: told.pages, calls };
}

function floats(base64: string): Float32Array {
  const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  return new Float32Array(bytes.buffer);
}
