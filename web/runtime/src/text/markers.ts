// Characters that stand for nothing else in one conversation: one before and one after each control token that is in it, and one
// inside a piece of any. See `literal.ts`.

import { HearthError } from "../errors.ts";
import type { Prompt, Span } from "./prompt.ts";

const PRIVATE_USE = [0xe000, 0xf900] as const;
const ESCAPED = /(?<=u)[ef][0-9a-f]{3}/g;

export class Markers {
  /** Stands inside a piece of a control token. */
  readonly inside: string;
  readonly #used = new Set<string>();
  readonly #around = new Map<string, readonly [before: string, after: string]>();
  #next = PRIVATE_USE[0];

  /** @param texts of the conversation, and of the template. */
  constructor(texts: Iterable<string>) {
    for (const text of texts) {
      for (const character of text) if (character >= "\ue000" && character < "\uf900") this.#used.add(character);
      // Templates may write texts as JSON, which may escape such a character.
      for (const [code] of text.matchAll(ESCAPED)) this.#used.add(String.fromCharCode(parseInt(code, 16)));
    }
    this.inside = this.#take();
  }

  /** What stands before and after a control token. */
  around(token: string): readonly [before: string, after: string] {
    let pair = this.#around.get(token);
    if (pair === undefined) this.#around.set(token, (pair = [this.#take(), this.#take()]));
    return pair;
  }

  /** The prompt without its markers: a control token beside its own becomes a literal span, any other marker an empty one. */
  unmark(text: string): Prompt {
    const { plain, found } = this.#split(text);
    const before = new Map([...this.#around].map(([token, [mark]]) => [mark, token]));
    const after = new Map([...this.#around].map(([token, [, mark]]) => [mark, token]));
    const spans = found.map(([place, mark]): Span => {
      const follows = before.get(mark);
      const precedes = after.get(mark);
      if (follows !== undefined && plain.startsWith(follows, place)) return [place, place + follows.length];
      if (precedes !== undefined && plain.endsWith(precedes, place)) return [place - precedes.length, place];
      return [place, place];
    });
    return { text: plain, literal: merged(spans) };
  }

  /** A text without markers, escaped ones too, and where in it which of them stood. */
  #split(text: string): { plain: string; found: [place: number, mark: string][] } {
    const marks = [this.inside, ...[...this.#around.values()].flat()];
    const codes = marks.map((mark) => mark.charCodeAt(0).toString(16));
    const pattern = new RegExp(`[${marks.join("")}]|(\\\\+)u(${codes.join("|")})`, "g");
    const found: [number, string][] = [];
    let plain = "";
    let at = 0;
    for (const match of text.matchAll(pattern)) {
      // An escaped marker has one backslash, one that was escaped again two, then four; what else stands before it has twice as
      // many, or a multiple of that.
      const slashes = match[1]?.length ?? 0;
      plain += text.slice(at, match.index + slashes - (slashes & -slashes));
      at = match.index + match[0].length;
      found.push([plain.length, match[2] ? String.fromCharCode(parseInt(match[2], 16)) : match[0]]);
    }
    return { plain: plain + text.slice(at), found };
  }

  #take(): string {
    while (this.#next < PRIVATE_USE[1]) {
      const mark = String.fromCharCode(this.#next++);
      if (!this.#used.has(mark)) return mark;
    }
    throw new HearthError("usage", "The messages hold nearly every private-use character there is.");
  }
}

/** Spans in order and apart. */
function merged(spans: readonly Span[]): Span[] {
  const result: [number, number][] = [];
  for (const [begin, end] of [...spans].sort((a, b) => a[0] - b[0] || a[1] - b[1])) {
    const last = result.at(-1);
    if (last && (begin < last[1] || (begin === end && begin === last[1]))) last[1] = Math.max(last[1], end);
    else if (!last || last[0] !== begin || last[1] !== end) result.push([begin, end]);
  }
  return result;
}
