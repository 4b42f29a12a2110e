// Keeps what people write from turning into control tokens when a template puts it into a prompt.
//
// A template works on text, so after it has run nothing tells the `<|im_end|>` it wrote from one that a user typed. Before it runs,
// each control token's text in a message is therefore put between two markers, private characters that occur nowhere else and stand
// for this very token; afterwards the markers are taken out and where they stood is remembered: a token beside one of its own
// markers, or across any, is plain text. Templates still find the tokens that they look for (`</think>`).
//
// Where a template may cut a text (at its ends, with or without the white space there, and at the strings that it looks for) a piece
// of a control token could be completed by what then stands beside it; a third marker goes into such pieces. All other texts reach
// the template as they are.

import { Dictionary } from "./dictionary.ts";
import type { Markers } from "./markers.ts";

// Fields that a template compares with fixed words; such a word is not marked.
const STRUCTURAL = new Set(["role", "type"]);
const WORD = /^\w{1,64}$/;
const REACH = 1000; // characters of a piece of a control token that are looked at

const reversed = (text: string): string => text.split("").reverse().join("");

export class LiteralGuard {
  readonly #tokens: Dictionary;
  readonly #endings: Dictionary;
  readonly #cuts: Dictionary;
  readonly #longest: number;

  /** @param cuts strings at which the template may cut a text. */
  constructor(control: Iterable<string>, cuts: Iterable<string>) {
    const texts = [...control].filter(({ length }) => length > 1);
    this.#tokens = new Dictionary(texts);
    this.#endings = new Dictionary(texts.map(reversed));
    this.#cuts = new Dictionary(cuts);
    this.#longest = Math.min(REACH, Math.max(0, ...texts.map(({ length }) => length)));
  }

  /** A copy of plain data with markers at every control token of every text in it. */
  mark(value: unknown, markers: Markers): unknown {
    if (typeof value === "string") return this.#markText(value, markers, true);
    if (Array.isArray(value)) return value.map((item) => this.mark(item, markers));
    if (typeof value !== "object" || value === null) return value;
    const entries = Object.entries(value).map(([key, item]) => {
      const isWord = STRUCTURAL.has(key) && typeof item === "string" && WORD.test(item);
      return [this.#markText(key, markers, false), isWord ? item : this.mark(item, markers)] as const;
    });
    return Object.fromEntries(entries);
  }

  #markText(text: string, markers: Markers, ends: boolean): string {
    const found = [...this.#tokens.matches(text)];
    // Where several stand at one place they keep this order: a token's own two touch it.
    const marks: [place: number, mark: string][] = [
      ...found.map(({ end, word }): [number, string] => [end, markers.around(word)[1]]),
      ...(ends ? this.#insidePieces(text) : [])
        .filter((place) => !found.some(({ begin, end }) => begin < place && place < end))
        .map((place): [number, string] => [place, markers.inside]),
      ...found.map(({ begin, word }): [number, string] => [begin, markers.around(word)[0]]),
    ];
    marks.sort((a, b) => a[0] - b[0]);
    let result = "";
    let at = 0;
    for (const [place, mark] of marks) {
      result += text.slice(at, place) + mark;
      at = place;
    }
    return result + text.slice(at);
  }

  /** Places inside of pieces of control tokens wherever the text may be cut. */
  #insidePieces(text: string): number[] {
    const places = new Set<number>();
    const edges = [0, ...[...this.#cuts.matches(text)].flatMap(({ begin, end }) => [begin, end]), text.length];
    for (let i = 0; i < edges.length; i += 2) {
      const begin = edges[i]!;
      const part = text.slice(begin, edges[i + 1]!);
      for (const tail of new Set([part.length, part.trimEnd().length])) {
        const window = part.slice(Math.max(0, tail - this.#longest), tail);
        for (const length of piecesAtEnd(window, this.#tokens)) places.add(begin + tail - length + 1);
      }
      for (const head of new Set([0, part.length - part.trimStart().length])) {
        const window = reversed(part.slice(head, head + this.#longest));
        for (const length of piecesAtEnd(window, this.#endings)) places.add(begin + head + length - 1);
      }
    }
    return [...places];
  }
}

/** The lengths of the beginnings of some words, shorter than these, that a text ends with. */
function piecesAtEnd(text: string, words: Dictionary): number[] {
  const lengths = Array.from({ length: text.length }, (_, i) => i + 1);
  return lengths.filter((length) => words.continues(text.slice(-length)));
}
