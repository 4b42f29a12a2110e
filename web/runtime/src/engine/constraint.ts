// What a sequence may say next. A constraint belongs to one request: it is told of every token that is drawn, in order, and of no
// other. Knows no grammar.

import { HearthError } from "../errors.ts";

export interface Constraint {
  /**
   * Bit t % 32 of word t / 32 says whether token t may come; undefined: any may. Where the answer may end, the end tokens are
   * allowed; where it must, only they are. Valid until the next call.
   */
  mask(): Int32Array | undefined | Promise<Int32Array | undefined>;
  /** The token was drawn. Throws where it is not allowed, which is a fault. */
  accept(token: number): void;
  /** The request has ended. */
  close(): void;
}

export const allows = (mask: Int32Array, token: number): boolean => ((mask[token >> 5]! >> (token & 31)) & 1) === 1;

/** Puts minus infinity in the place of every token that may not come. */
export function applyMask(row: Float32Array, mask: Int32Array): void {
  for (let word = 0; word * 32 < row.length; word++) {
    const bits = mask[word]!;
    if (bits === -1) continue;
    const end = Math.min(row.length, word * 32 + 32);
    for (let token = word * 32; token < end; token++) if (((bits >> (token & 31)) & 1) === 0) row[token] = -Infinity;
  }
}

/** No token may come, or the constraint broke: what its caller asked for cannot be kept to. The model is sound. */
export const constraintFailed = (what: string, why = ""): HearthError => new HearthError("usage", what, { why });

/** Whatever goes wrong in a constraint is the request's own error. */
export async function guardedConstraint<Value>(what: string, action: () => Value | Promise<Value>): Promise<Value> {
  try {
    return await action();
  } catch (error) {
    throw constraintFailed(what, error instanceof Error ? error.message : String(error));
  }
}
