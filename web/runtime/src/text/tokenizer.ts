// Text to token ids and back, for one model.

import { HearthError } from "../errors.ts";
import { type Around, around } from "./around.ts";
import { WordModel } from "./model.ts";
import { decoderRule, type DecoderRule, pieceBytes } from "./pieces.ts";
import { literalPrompt, type Prompt } from "./prompt.ts";
import { Sections } from "./sections.ts";
import type { AddedToken, TokenizerSpec } from "./spec.ts";
import { type StreamOptions, type StreamSource, TextStream } from "./stream.ts";
import { controlTokens } from "./tokens.ts";

const LONE_SURROGATE = /\p{Surrogate}/u;

export class Tokenizer {
  readonly spec: TokenizerSpec;
  /** Text -> the tokens that a text may not write. */
  readonly control: ReadonlyMap<string, AddedToken>;
  /** The most ids there may be: one more than the largest. A model's own vocabulary may be padded past it. */
  readonly size: number;
  readonly #model: WordModel;
  readonly #sections: Sections;
  readonly #added: ReadonlyMap<number, string>;
  readonly #addedIds: ReadonlyMap<string, number>;
  readonly #vocabulary: (token: string) => number | undefined;
  readonly #rule: DecoderRule | undefined;
  readonly #hidden: ReadonlySet<number>;
  readonly #around: Around;

  constructor(spec: TokenizerSpec) {
    const { json, meta } = spec;
    const added = json.added_tokens ?? [];
    this.spec = spec;
    this.control = controlTokens(spec);
    this.#model = new WordModel(json, new Set(this.control.keys()));
    this.#sections = new Sections(this.#model, added, this.control);
    this.#added = new Map(added.map(({ id, content }) => [id, content]));
    this.#addedIds = new Map(added.map(({ id, content }) => [content, id]));
    this.size = Math.max(this.#model.size, ...added.map(({ id }) => id + 1));
    const { vocab } = json.model;
    const ids = Array.isArray(vocab) ? new Map(vocab.map(([token], id) => [token as string, id])) : undefined;
    this.#vocabulary = (token) => (ids ? ids.get(token) : (vocab as Readonly<Record<string, number>>)[token]);
    this.#rule = decoderRule(json.decoder);
    this.#hidden = new Set([...Array.from(this.control.values(), ({ id }) => id), ...meta.eos_ids]);
    this.#around = around(spec, (token) => this.idOf(token));
  }

  /**
   * Token ids of a text.
   *
   * @param text a string may write no control tokens; a `Prompt` says itself where it may.
   * @param addSpecial put the tokens around it that the model expects (BOS, for some EOS).
   */
  encode(text: string | Prompt, addSpecial = true): number[] {
    const prompt = typeof text === "string" ? literalPrompt(text) : text;
    const half = LONE_SURROGATE.exec(prompt.text);
    if (half !== null) {
      throw new HearthError("usage", `The text holds half of a character at position ${half.index}.`, {
        why: "UTF-8 cannot hold it.",
        hint: "Cut texts between characters.",
      });
    }
    const ids = this.#sections.encode(prompt);
    return addSpecial ? [...this.#around.before, ...ids, ...this.#around.after] : ids;
  }

  /** The text of some ids, without control tokens. Bytes that are no UTF-8 become U+FFFD. */
  decode(ids: Iterable<number>, options: StreamOptions = {}): string {
    const stream = this.stream(options);
    return Array.from(ids, (id) => stream.push(id)).join("") + stream.finish();
  }

  /** An incremental detokenizer for one answer. */
  stream(options: StreamOptions = {}): TextStream {
    return new TextStream(this.#source, options);
  }

  /** One token by itself, control tokens written out. */
  tokenText(id: number): string {
    return this.decode([id], { keep: this.#hidden, continues: true });
  }

  /** The bytes that one token adds to a text. */
  tokenBytes(id: number): Uint8Array {
    return this.#source.bytesOf(id, false) ?? new TextEncoder().encode(this.tokenText(id));
  }

  /**
   * All tokens by their ids, as the vocabulary spells them, for engines of grammars; "" for control tokens, which no grammar may
   * write. `kind`: how a token's spelling becomes bytes.
   */
  vocabulary(): { kind: "byte_level" | "byte_fallback" | "raw"; tokens: string[] } {
    const kind = this.#rule?.byteLevel ? "byte_level" : this.#rule?.byteFallback ? "byte_fallback" : "raw";
    const spelling = (id: number): string => (this.#hidden.has(id) ? "" : (this.#tokenOf(id) ?? ""));
    return { kind, tokens: Array.from({ length: this.size }, (_, id) => spelling(id)) };
  }

  /** The id of a token by its exact text. */
  idOf(token: string): number | undefined {
    return this.#addedIds.get(token) ?? this.#vocabulary(token);
  }

  readonly #source: StreamSource = ((self: Tokenizer) => ({
    get stripSpaces() {
      return self.#rule?.stripSpaces ?? 0;
    },
    isHidden: (id: number) => self.#hidden.has(id),
    bytesOf: (id: number, isFirst: boolean) => {
      const token = self.#tokenOf(id);
      if (token === undefined) return new Uint8Array(); // models pad their vocabulary to round sizes
      return self.#rule && pieceBytes(self.#rule, token, isFirst);
    },
    decodeAll: (ids: readonly number[]) => self.#model.decode(ids.flatMap((id) => self.#tokenOf(id) ?? [])),
  }))(this);

  #tokenOf(id: number): string | undefined {
    return this.#added.get(id) ?? this.#model.tokenOf(id);
  }
}
