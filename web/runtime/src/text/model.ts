// What the tokenizers library does for us: normalise, cut into words, make tokens of a word, decode. It is given a tokenizer.json in
// which control tokens have names that no text can write, so that none comes out of ordinary characters; and in which what the
// library reads otherwise than the original does is put in words that it reads alike.

import { Tokenizer as Library } from "@huggingface/tokenizers";
import { HearthError } from "../errors.ts";
import { uniqueText } from "../unique.ts";
import type { Step, TokenizerJson } from "./spec.ts";

// The original's own expression for words of ByteLevel; the library's copy of it takes JavaScript's idea of white space.
const BYTE_LEVEL_WORDS = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

export class WordModel {
  readonly #library: Library;
  readonly #ids: ReadonlyMap<string, number>;
  readonly #tokens: readonly (string | undefined)[];

  /** @param control the texts of control tokens. */
  constructor(json: TokenizerJson, control: ReadonlySet<string>) {
    const secret = uniqueText();
    const rename = (text: string): string => (control.has(text) ? `\u{f0000}${secret}${text}` : text);
    const given = { ...json, ...EMPTY, normalizer: json.normalizer ?? null, decoder: json.decoder ?? null };
    try {
      this.#library = new Library({ ...given, pre_tokenizer: mended(json.pre_tokenizer ?? null), model: renamed(json.model, rename) }, {});
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      throw new HearthError("corrupt", "The bundle's tokenizer cannot be loaded.", { why, hint: "Compile the model again." });
    }
    this.#ids = this.#library.model!.tokens_to_ids;
    this.#tokens = this.#library.model!.vocab;
  }

  get size(): number {
    return this.#tokens.length;
  }

  tokenOf(id: number): string | undefined {
    return this.#tokens[id];
  }

  normalize(text: string): string {
    return this.#library.normalizer?.(text) ?? text;
  }

  /**
   * Token ids of a normalised text.
   *
   * @param isFirst whether it stands at the beginning: some put a space before it there.
   */
  encode(text: string, isFirst: boolean): number[] {
    if (text === "") return [];
    const { pre_tokenizer: preTokenizer, model } = this.#library;
    const words = preTokenizer ? preTokenizer(text, { section_index: isFirst ? 0 : 1 }) : [text];
    const ids = model!(words).map((token) => this.#ids.get(token) ?? model!.unk_token_id);
    return ids.filter((id) => id !== undefined);
  }

  /** The library's own decoding. */
  decode(tokens: string[]): string {
    return this.#library.decoder?.(tokens) ?? tokens.join(" ");
  }
}

const EMPTY = { added_tokens: [], post_processor: null };

function renamed(model: TokenizerJson["model"], rename: (text: string) => string): TokenizerJson["model"] {
  const isList = (vocab: typeof model.vocab): vocab is readonly (readonly [string, number])[] => Array.isArray(vocab);
  const vocab = isList(model.vocab)
    ? model.vocab.map(([text, score]) => [rename(text), score] as const)
    : Object.fromEntries(Object.entries(model.vocab).map(([text, id]) => [rename(text), id]));
  // A rule that builds a control token out of ordinary ones would name a missing token.
  const builds = (left: string, right: string): boolean => [left, right, left + right].some((text) => rename(text) !== text);
  const merges = model.merges?.filter((merge) => {
    const [left, right] = typeof merge === "string" ? (merge.split(" ", 2) as [string, string]) : merge;
    return !builds(left, right);
  });
  return { ...model, vocab, ...(merges && { merges }), ...(model.unk_token && { unk_token: rename(model.unk_token) }) };
}

/** The same pre-tokenizer as the library reads it alike. */
function mended(step: Step | null): Step | null {
  if (step === null) return null;
  if (step.type === "Sequence") return { ...step, pretokenizers: (step["pretokenizers"] as Step[]).map(mended) };
  if (step.type === "Metaspace" && step["prepend_scheme"] === undefined) {
    return { ...step, prepend_scheme: step["add_prefix_space"] === false ? "never" : "always" };
  }
  if (step.type === "ByteLevel" && step["use_regex"] !== false && step["add_prefix_space"] !== true) {
    const words = { type: "Split", pattern: { Regex: BYTE_LEVEL_WORDS }, behavior: "Isolated", invert: false };
    return { type: "Sequence", pretokenizers: [words, { ...step, use_regex: false }] };
  }
  return step;
}
