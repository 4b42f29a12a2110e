// Markdown into tokens, in bounded time whatever the text is: a model that repeats itself, or a file that wants to be a
// nuisance, writes a thousand quotes inside of each other as easily as one. What goes beyond a limit is not lost: it
// stays in its place as the text that it is.

import { Lexer, type MarkedOptions, type Token, type TokensList } from "marked";

/** Blocks inside of blocks (quotes, lists), and emphasis and links inside of each other. */
const MAX_DEPTH = 32;
/** Characters that nested blocks are read again for, at all levels together. */
const MAX_BLOCK_WORK = 8_000_000;
/** Signs that may mean something times the characters after them that may have to be looked at, for all paragraphs. */
const MAX_INLINE_WORK = 30_000_000;

const SIGNS = /[\\`*_~$[\]!<&@]|\n|:\/\/|www\./g;

export class BoundedLexer extends Lexer {
  #depth = 0;
  #blockWork = 0;
  #inlineWork = 0;

  constructor(options: MarkedOptions) {
    // The tokenizer holds on to its lexer.
    super({ ...options });
  }

  override blockTokens(source: string, tokens?: Token[], clipped?: boolean): Token[];
  override blockTokens(source: string, tokens?: TokensList, clipped?: boolean): TokensList;
  override blockTokens(source: string, tokens: Token[] = [], clipped = false): Token[] {
    this.#blockWork += this.#depth > 0 ? source.length : 0;
    if (this.#depth > MAX_DEPTH || this.#blockWork > MAX_BLOCK_WORK) {
      this.state.top = true;
      if (source) tokens.push(asItIs(source));
      return tokens;
    }
    return this.#deeper(() => super.blockTokens(source, tokens, clipped));
  }

  override inlineTokens(source: string, tokens: Token[] = []): Token[] {
    const work = (source.match(SIGNS)?.length ?? 0) * source.length;
    if (this.#depth > MAX_DEPTH || this.#inlineWork + work > MAX_INLINE_WORK) {
      if (source) tokens.push(asItIs(source));
      return tokens;
    }
    this.#inlineWork += work;
    return this.#deeper(() => super.inlineTokens(source, tokens));
  }

  #deeper<T>(read: () => T): T {
    this.#depth++;
    try {
      return read();
    } finally {
      this.#depth--;
    }
  }
}

function asItIs(source: string): Token {
  return { type: "text", raw: source, text: source, escaped: false };
}
