// Tokens in, text out, as they come: never half a character, never a character that may still change. The concatenation of all that a
// stream returns is what `decode` gives for all the ids at once.

export interface StreamSource {
  /** The bytes that a token adds to a text; undefined where only whole texts can be decoded. */
  bytesOf(id: number, isFirst: boolean): Uint8Array | undefined;
  decodeAll(ids: readonly number[]): string;
  /** Leading spaces of a whole text that are dropped. */
  readonly stripSpaces: number;
  /** Whether a token leaves no text. */
  isHidden(id: number): boolean;
}

export interface StreamOptions {
  /** Control tokens to write out nevertheless. */
  readonly keep?: ReadonlySet<number>;
  /** The text carries on from a prompt, so the first token's leading space belongs to it. */
  readonly continues?: boolean;
}

export class TextStream {
  readonly #source: StreamSource;
  readonly #keep: ReadonlySet<number>;
  // Bytes that do not make a character yet wait for the next token; bytes that never can become U+FFFD at once.
  readonly #utf8 = new TextDecoder("utf-8", { ignoreBOM: true });
  readonly #ids: number[] = []; // only for decoders without a rule
  #sent = "";
  #isFirst: boolean;
  #toStrip: number;

  constructor(source: StreamSource, { keep = new Set(), continues = false }: StreamOptions = {}) {
    this.#source = source;
    this.#keep = keep;
    this.#isFirst = !continues;
    this.#toStrip = continues ? 0 : source.stripSpaces;
  }

  /** The text that this token settles; often a word, "" where it must wait or where the token has no text. */
  push(id: number): string {
    if (this.#source.isHidden(id) && !this.#keep.has(id)) return "";
    const bytes = this.#source.bytesOf(id, this.#isFirst);
    this.#isFirst = false;
    if (bytes !== undefined) return this.#strip(this.#utf8.decode(bytes, { stream: true }));
    this.#ids.push(id);
    return this.#settled(this.#source.decodeAll(this.#ids).replace(/\uFFFD+$/, ""));
  }

  /** What was held back. Nothing may be pushed afterwards. */
  finish(): string {
    if (this.#ids.length > 0) return this.#settled(this.#source.decodeAll(this.#ids));
    return this.#strip(this.#utf8.decode());
  }

  #strip(text: string): string {
    let at = 0;
    while (this.#toStrip > 0 && at < text.length) {
      if (text[at] === " ") {
        at++;
        this.#toStrip--;
      } else this.#toStrip = 0;
    }
    return text.slice(at);
  }

  #settled(whole: string): string {
    // A decoder that rewrites what it said before cannot be streamed exactly: what was shown stays, only additions follow.
    if (!whole.startsWith(this.#sent)) return "";
    const added = whole.slice(this.#sent.length);
    this.#sent = whole;
    return added;
  }
}
