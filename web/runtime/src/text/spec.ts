// A tokenizer as a bundle holds it: `tokenizer.json`, which the tokenizers library reads, and beside it `tokenizer_meta.json`: which
// tokens begin and end a text, and the chat template.

import { HearthError } from "../errors.ts";

export const TOKENIZER_FILE = "tokenizer.json";
export const META_FILE = "tokenizer_meta.json";
const META_VERSION = 2;

export interface AddedToken {
  readonly id: number;
  readonly content: string;
  readonly special?: boolean;
  readonly normalized?: boolean;
  readonly lstrip?: boolean;
  readonly rstrip?: boolean;
  readonly single_word?: boolean;
}

/** A part of tokenizer.json: a normalizer, a pre-tokenizer, a decoder, ... */
export interface Step {
  readonly type: string;
  readonly [setting: string]: unknown;
}

export interface TokenizerJson {
  readonly added_tokens?: readonly AddedToken[];
  readonly normalizer?: Step | null;
  readonly pre_tokenizer?: Step | null;
  readonly post_processor?: Step | null;
  readonly decoder?: Step | null;
  readonly model: {
    readonly type?: string;
    readonly vocab: Readonly<Record<string, number>> | readonly (readonly [string, number])[];
    readonly merges?: readonly (string | readonly [string, string])[];
    readonly unk_token?: string | null;
  };
}

export interface TokenizerMeta {
  readonly version: number;
  readonly bos_id: number | null;
  readonly eos_ids: readonly number[];
  /** Whether a text begins with BOS, ends with EOS; said by the post-processor instead where `added_by_json`. */
  readonly add_bos: boolean;
  readonly add_eos: boolean;
  readonly added_by_json: boolean;
  /** "bos_token" -> "<s>", ... */
  readonly special: Readonly<Record<string, string>>;
  readonly chat_template: string | null;
  readonly named_templates: Readonly<Record<string, string>>;
  readonly additional_special: readonly string[];
  /** In which format each template has tools called, as the compiler found by rendering it; null: in none that it knows. */
  readonly call_formats?: Readonly<Record<string, string | null>> | undefined;
}

export interface TokenizerSpec {
  readonly json: TokenizerJson;
  readonly meta: TokenizerMeta;
}

/** @param json, meta: the texts of the two files. */
export function tokenizerSpec(json: string, meta: string): TokenizerSpec {
  const spec = { json: parsed<TokenizerJson>(json, TOKENIZER_FILE), meta: parsed<TokenizerMeta>(meta, META_FILE) };
  if (spec.meta.version !== META_VERSION) {
    throw damaged(META_FILE, `Its version is ${spec.meta.version}, this package reads ${META_VERSION}.`);
  }
  if (typeof spec.json.model?.vocab !== "object") throw damaged(TOKENIZER_FILE, "It has no vocabulary.");
  return spec;
}

function parsed<Kind>(text: string, file: string): Kind {
  try {
    return JSON.parse(text) as Kind;
  } catch (error) {
    throw damaged(file, String(error));
  }
}

const damaged = (file: string, why: string): HearthError =>
  new HearthError("corrupt", `The tokenizer file ${file} is damaged.`, { why, hint: "Compile the model again with --force." });
