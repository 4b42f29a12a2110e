// Logit processors of programs.

import type { LogitProcessor } from "@mlc-ai/web-llm";

/** Token 0 is always drawn; counts what was. */
export class AlwaysFirst implements LogitProcessor {
  drawn = 0;
  resets = 0;

  processLogits(logits: Float32Array): Float32Array {
    logits[0] = 100;
    return logits;
  }

  processSampledToken(): void {
    this.drawn++;
  }

  resetState(): void {
    this.drawn = 0;
    this.resets++;
  }
}

const FIRST_BYTE = 3; // of a vocabulary of sentencepiece: <unk>, <s>, </s>, then the bytes
const END = 2;

/** Has the model say a text: what a model that is too small for it would have to be lucky for. */
export class Says implements LogitProcessor {
  readonly #tokens: readonly number[];
  #at = 0;

  constructor(text: string) {
    this.#tokens = [...Array.from(new TextEncoder().encode(text), (byte) => FIRST_BYTE + byte), END];
  }

  processLogits(logits: Float32Array): Float32Array {
    logits.fill(-100)[this.#tokens[this.#at] ?? END] = 100;
    return logits;
  }

  processSampledToken(): void {
    this.#at++;
  }

  resetState(): void {
    this.#at = 0;
  }
}
