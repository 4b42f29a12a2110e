// From one row of logits to one token, in the order of Hearth's own engine: penalties -> temperature -> top-k -> top-p -> min-p
// -> softmax -> draw.

import { HearthError } from "../errors.ts";
import { changesLogits, type SamplingParams } from "./params.ts";
import { Random } from "./random.ts";

/** Draws the tokens of one sequence. */
export class Sampler {
  readonly #params: SamplingParams;
  readonly #random: Random;
  /** Tokens of prompt and output, and how often each stands in the output. */
  readonly #counts: Map<number, number>;

  constructor(params: SamplingParams, prompt: readonly number[]) {
    this.#params = params;
    this.#random = new Random(params.seed);
    this.#counts = new Map(changesLogits(params) ? prompt.map((token) => [token, 0]) : []);
  }

  /** False if the forward's own argmax is the answer, so that no row of logits has to be read. */
  get needsLogits(): boolean {
    return this.#params.temperature > 0 || changesLogits(this.#params);
  }

  /** The next token; `logits` is overwritten, and not read unless `needsLogits`. */
  sample(logits: Float32Array, argmax: number): number {
    let token = argmax;
    if (this.needsLogits) {
      this.#penalise(logits);
      token = this.#params.temperature === 0 ? largestAt(logits) : this.#draw(logits);
    }
    if (changesLogits(this.#params)) this.#counts.set(token, (this.#counts.get(token) ?? 0) + 1);
    return token;
  }

  #penalise(logits: Float32Array): void {
    const { repetitionPenalty, presencePenalty, frequencyPenalty } = this.#params;
    for (const [token, count] of this.#counts) {
      const value = logits[token]!;
      const repeated = value > 0 ? value / repetitionPenalty : value * repetitionPenalty;
      logits[token] = repeated - frequencyPenalty * count - (count > 0 ? presencePenalty : 0);
    }
  }

  #draw(row: Float32Array): number {
    const { temperature, topK, topP, minP } = this.#params;
    const largest = row[largestAt(row)]!;
    const factor = 1 / Math.max(temperature, 1e-30);
    // Probabilities, but for a factor: the largest is 1.
    let ids: Uint32Array | undefined; // of the candidates; undefined: all, in order
    if (topK > 0 && topK < row.length) {
      const bound = nthLargest(row, topK);
      ids = indices(row, (value) => value >= bound);
    }
    let weights = Float32Array.from(ids ?? row, (value) => Math.exp(((ids === undefined ? value : row[value]!) - largest) * factor));
    const keep = (kept: Uint32Array): void => {
      ids = ids === undefined ? kept : kept.map((index) => ids![index]!);
      weights = Float32Array.from(kept, (index) => weights[index]!);
    };
    if (topP < 1) keep(nucleus(weights, topP));
    if (minP > 0) keep(indices(weights, (weight) => weight >= minP));
    // One number a token, whatever the settings: the generator's state depends on the count of tokens alone.
    const index = pick(weights, this.#random.next());
    return ids === undefined ? index : ids[index]!;
  }
}

/** Where the largest value is, the first of equals. Throws where a value is no number. */
function largestAt(values: Float32Array): number {
  let best = 0;
  for (let i = 0; i < values.length; i++) {
    const value = values[i]!;
    if (value > values[best]!) best = i;
    else if (Number.isNaN(value)) {
      throw new HearthError("internal", `Logit ${i} is not a number.`, {
        hint: "The model's weights are damaged, or its arithmetic overflows: compile it with --precision high.",
      });
    }
  }
  return best;
}

function indices(values: Float32Array, wanted: (value: number) => boolean): Uint32Array {
  const found = new Uint32Array(values.length);
  let count = 0;
  for (let i = 0; i < values.length; i++) {
    if (wanted(values[i]!)) found[count++] = i;
  }
  return found.slice(0, count);
}

/** The n-th largest value, 0 < n <= length: quickselect over what can still be it. */
function nthLargest(values: Float32Array, n: number): number {
  let rest = values;
  let rank = n;
  for (;;) {
    const pivot = rest[rest.length >> 1]!;
    const above = rest.filter((value) => value > pivot);
    if (rank <= above.length) {
      rest = above;
      continue;
    }
    const below = rest.filter((value) => value < pivot);
    if (rank <= rest.length - below.length) return pivot;
    rank -= rest.length - below.length;
    rest = below;
  }
}

/** Top-p looks among weights of at least so much first: for a trained model the first bound nearly always suffices. */
const FLOORS = [1e-3, 1e-6, 0];

/** Indices of the fewest largest weights that hold `topP` of their sum, of equals the first: ascending, those of the smallest
 * weight behind the others, as Hearth's own engine has them. */
function nucleus(weights: Float32Array, topP: number): Uint32Array {
  const wanted = topP * sum(weights);
  let candidates: Uint32Array = new Uint32Array();
  for (const floor of FLOORS) {
    candidates = indices(weights, (weight) => weight >= floor);
    if (candidates.reduce((total, index) => total + weights[index]!, 0) >= wanted) break;
  }
  const descending = [...candidates].sort((a, b) => weights[b]! - weights[a]! || a - b);
  let held = 0;
  const end = descending.findIndex((index) => (held += weights[index]!) >= wanted);
  const kept = end < 0 ? descending : descending.slice(0, end + 1);
  const smallest = weights[kept.at(-1)!]!;
  const isTie = (index: number): number => Number(weights[index] === smallest);
  return Uint32Array.from(kept.sort((a, b) => isTie(a) - isTie(b) || a - b));
}

const sum = (weights: Float32Array): number => weights.reduce((total, weight) => total + weight, 0);

/** The index at which the running sum of the weights passes `point` of all of it, 0 <= point < 1. */
function pick(weights: Float32Array, point: number): number {
  const sought = point * sum(weights);
  let running = 0;
  let last = 0;
  for (let i = 0; i < weights.length; i++) {
    if (weights[i] === 0) continue;
    running += weights[i]!;
    last = i;
    if (running > sought) break;
  }
  return last;
}
