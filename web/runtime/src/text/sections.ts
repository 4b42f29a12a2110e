// A text cut at its added tokens, as the original tokenizers library cuts it: first those that are looked for in the text as it is,
// then, in what is left, once normalised, the others.

import { Dictionary, type Match } from "./dictionary.ts";
import type { WordModel } from "./model.ts";
import { type Prompt, writtenTokens } from "./prompt.ts";
import type { AddedToken } from "./spec.ts";

const SPACES_BEFORE = /\p{White_Space}+$/u;
const SPACES_AFTER = /^\p{White_Space}+/u;
const WORD_BEFORE = /[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}]$/u;
const WORD_AFTER = /^[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}]/u;

type Section = { readonly id: number } | { readonly text: string; readonly begin: number };

export class Sections {
  readonly #model: WordModel;
  readonly #control: ReadonlyMap<string, AddedToken>;
  readonly #controlTexts: Dictionary;
  readonly #early: ReadonlyMap<string, AddedToken>;
  readonly #earlyTexts: Dictionary;
  readonly #late: ReadonlyMap<string, AddedToken>;
  readonly #lateTexts: Dictionary;

  constructor(model: WordModel, added: readonly AddedToken[], control: ReadonlyMap<string, AddedToken>) {
    const others = added.filter(({ content }) => !control.has(content));
    const isLate = ({ normalized, special }: AddedToken): boolean => normalized ?? special !== true;
    this.#model = model;
    this.#control = control;
    this.#early = new Map(others.filter((token) => !isLate(token)).map((token) => [token.content, token]));
    this.#late = new Map(others.filter(isLate).map((token) => [model.normalize(token.content), token]));
    this.#controlTexts = new Dictionary(control.keys());
    this.#earlyTexts = new Dictionary(this.#early.keys());
    this.#lateTexts = new Dictionary(this.#late.keys());
  }

  /** Token ids of a prompt, with nothing put around it. */
  encode(prompt: Prompt): number[] {
    const written = cut({ text: prompt.text, begin: 0 }, writtenTokens(prompt, this.#controlTexts), this.#control);
    const early = written.flatMap((part) => this.#cut(part, this.#earlyTexts, this.#early));
    return early.flatMap((part) => {
      if ("id" in part) return [part.id];
      const normal = { text: this.#model.normalize(part.text), begin: part.begin };
      return this.#cut(normal, this.#lateTexts, this.#late).flatMap((each) =>
        "id" in each ? [each.id] : this.#model.encode(each.text, each.begin === 0),
      );
    });
  }

  #cut(part: Section, texts: Dictionary, tokens: ReadonlyMap<string, AddedToken>): Section[] {
    return "id" in part ? [part] : cut(part, texts.matches(part.text), tokens);
  }
}

/** The texts between some tokens, and these. */
function cut({ text, begin }: { text: string; begin: number }, matches: Iterable<Match>, tokens: ReadonlyMap<string, AddedToken>): Section[] {
  const parts: Section[] = [];
  let at = 0;
  const add = (end: number): void => {
    if (end > at) parts.push({ text: text.slice(at, end), begin: begin + at });
  };
  for (const match of matches) {
    const token = tokens.get(match.word)!;
    const [before, after] = [text.slice(at, match.begin), text.slice(match.end)];
    if (token.single_word && (WORD_BEFORE.test(before) || WORD_AFTER.test(after))) continue;
    add(match.begin - (token.lstrip ? (SPACES_BEFORE.exec(before)?.[0].length ?? 0) : 0));
    parts.push({ id: token.id });
    at = match.end + (token.rstrip ? (SPACES_AFTER.exec(after)?.[0].length ?? 0) : 0);
  }
  add(text.length);
  return parts;
}
