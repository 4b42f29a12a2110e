// The likeliest tokens of a row of logits, as a forward tells them where it need not tell the row: `Likeliest`.
//
// Knows when they say as much as the row does about who draws among the likeliest; nothing of how a token is drawn.

import { gather } from "./logits.ts";

/** Tokens among which one is drawn, ascending, and their logits. */
export interface Candidates {
  readonly ids: Int32Array;
  readonly logits: Float32Array;
}

export class Likeliest {
  readonly #logits: Float32Array;
  readonly #tokens: Int32Array;

  /**
   * @param logits the largest of a row, largest first.
   * @param tokens whose they are, of equals the lowest first; -1 where the row has no more.
   */
  constructor(logits: Float32Array, tokens: Int32Array) {
    this.#logits = logits;
    this.#tokens = tokens;
  }

  /**
   * The tokens of the `count` largest logits, of at least one, and of those equal to the last of them. Undefined: the row is needed,
   * since it may have more of these, or no number.
   */
  among(count: number): Candidates | undefined {
    const [logits, tokens] = [this.#logits, this.#tokens];
    if (count >= tokens.length || tokens[count]! < 0) return undefined;
    let found = count;
    while (found < tokens.length && logits[found] === logits[count - 1]) found++;
    if (found === tokens.length || !logits.subarray(0, found).every(Number.isFinite)) return undefined;
    const places = Int32Array.from({ length: found }, (_, place) => place).sort((a, b) => tokens[a]! - tokens[b]!);
    return { ids: places.map((place) => tokens[place]!), logits: gather(logits, places) };
  }
}
