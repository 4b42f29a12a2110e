// A rendered prompt: its text, and which parts of it came from outside and so may hold no control tokens.

import type { Dictionary, Match } from "./dictionary.ts";

export type Span = readonly [begin: number, end: number];

export interface Prompt {
  readonly text: string;
  /**
   * Spans [begin, end) of UTF-16 units, in order and apart. A control token's text that touches one is plain text; so is one that has
   * an empty span in its middle.
   */
  readonly literal: readonly Span[];
}

/** A text that may write no control tokens. */
export const literalPrompt = (text: string): Prompt => ({ text, literal: [[0, text.length]] });

/** A text that may write all it does. Only for texts you trust as you trust your program. */
export const trustedPrompt = (text: string): Prompt => ({ text, literal: [] });

/** The control tokens that a prompt writes, in order. One that is plain text takes nothing from another that begins within it. */
export function* writtenTokens({ text, literal }: Prompt, control: Dictionary): Generator<Match> {
  let span = 0;
  for (let match = control.search(text); match !== undefined; ) {
    while (span < literal.length && literal[span]![1] <= match.begin) span++;
    const isPlain = span < literal.length && literal[span]![0] < match.end;
    if (!isPlain) yield match;
    match = control.search(text, isPlain ? match.begin + 1 : match.end);
  }
}
