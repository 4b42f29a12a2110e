// How many decoding steps are computed for one reading-back, and how many are submitted at once: by what a step and reading have
// taken so far. What is computed does not depend on it.

/** Where reading takes longer than this share of the steps before it, more steps go before it. */
const READING_SHARE = 1 / 16;
/** More would be computed for nothing where an answer ends, */
const MOST_STEPS = 16;
/** and a reader would see the answer stutter. */
const MOST_MS = 250;
/** Of a new time in the mean. */
const WEIGHT = 0.3;
const LEAST_STEP_MS = 0.1;
/** The GPU works for the rest of the page, too: a frame has 16 ms. */
export const SUBMIT_MS = 8;

export class Pace {
  readonly #readMs: () => number;
  #stepMs: number | undefined;

  /** @param readMs how long reading back takes where there is nothing to wait for. */
  constructor(readMs: () => number) {
    this.#readMs = readMs;
  }

  /** Steps for one reading-back; 1 until a step was timed. */
  get steps(): number {
    if (this.#stepMs === undefined) return 1;
    const wanted = Math.ceil(this.#readMs() / READING_SHARE / this.#stepMs);
    return Math.max(1, Math.min(wanted, MOST_STEPS, Math.floor(MOST_MS / this.#stepMs)));
  }

  /** Steps that keep the GPU busy for at most so long. */
  stepsWithin(ms: number): number {
    return this.#stepMs === undefined && ms !== Infinity ? 1 : Math.max(1, Math.floor(ms / (this.#stepMs ?? 1)));
  }

  /** How long so many steps take without reading; 0 until one was timed. */
  expectedMs(steps: number): number {
    return steps * (this.#stepMs ?? 0);
  }

  /** So many steps, and reading once, took so long. */
  took(steps: number, ms: number): void {
    const stepMs = Math.max(LEAST_STEP_MS, (ms - this.#readMs()) / steps);
    this.#stepMs = this.#stepMs === undefined ? stepMs : this.#stepMs + WEIGHT * (stepMs - this.#stepMs);
  }
}
