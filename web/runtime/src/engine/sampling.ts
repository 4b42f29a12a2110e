// From one row of logits to one token: `Sampler`, one for each sequence.
//
// Owns the order of the operations and the random numbers; knows nothing of batches, pages or text. The order is transformers':
//
//   a program's own processor -> repetition penalty -> frequency and presence penalty -> logit bias -> mask of the constraint ->
//   temperature -> top-k -> top-p -> min-p -> softmax -> draw
//
// Log-probabilities are of the model's own distribution: log-softmax of the raw logits, before any of these, as in OpenAI's
// interface. Arithmetic is in float32 where Python's engine has it so: both draw the same token by the same seed.

import { HearthError } from "../errors.ts";
import { allows, applyMask, type Constraint, constraintFailed, guardedConstraint } from "./constraint.ts";
import type { Likeliest } from "./likeliest.ts";
import { gather, indicesWhere, largestIndices, largestOf, logprobsOf, nucleus, pick, sum } from "./logits.ts";
import { changesLogits, penalises, type SamplingParams } from "./params.ts";
import { type LogitProcessor, processed } from "./processor.ts";
import { Random } from "./random.ts";

/** A drawn token, with natural-log probabilities where the request asked for them. */
export interface Choice {
  readonly token: number;
  readonly logprob?: number;
  /** (token, log-probability), likeliest first. */
  readonly topLogprobs?: readonly (readonly [number, number])[];
}

const BROKEN = "The model's weights are damaged or its arithmetic overflows: check the file, or compile with higher precision.";
const SMALLEST_TEMPERATURE = 1e-30;

export class Sampler {
  readonly params: SamplingParams;
  /** False if the forward's own argmax is the answer, so that no row of logits has to be read. */
  readonly needsLogits: boolean;
  readonly #constraint: Constraint | undefined;
  readonly #processor: LogitProcessor | undefined;
  readonly #random: Random;
  readonly #changes: boolean;
  /** How often each token of prompt and output stands in the output; undefined where nothing is penalised. */
  readonly #counts: Map<number, number> | undefined;

  constructor(params: SamplingParams, promptIds: Iterable<number>, constraint?: Constraint, processor?: LogitProcessor) {
    this.params = params;
    this.#constraint = constraint;
    this.#processor = processor;
    processor?.reset();
    this.#random = new Random(params.seed === undefined ? undefined : BigInt(params.seed));
    this.#changes = changesLogits(params);
    this.needsLogits = params.temperature !== 0 || this.#changes || params.logprobs !== undefined || processor !== undefined;
    if (penalises(params)) this.#counts = new Map(Array.from(promptIds, (token) => [token, 0]));
  }

  /** False if it is known before the draw that no row of logits will be read. */
  get mayNeedLogits(): boolean {
    return this.needsLogits || this.#constraint !== undefined;
  }

  /**
   * True if the token is drawn among fewer than `count` of the likeliest, by their logits as the model gave them, so that `Likeliest`
   * may be all that has to be read.
   */
  drawsAmong(count: number): boolean {
    const { temperature, topK, logprobs } = this.params;
    const isPlain = !this.#changes && logprobs === undefined && this.#processor === undefined && this.#constraint === undefined;
    return isPlain && temperature !== 0 && topK > 0 && topK < count;
  }

  /**
   * Draws the next token and counts it.
   *
   * @param logits (vocabSize,), is not changed. Not read unless `needsLogits`, or the constraint forbids `argmax`.
   * @param argmax the token of its largest value.
   * @param likeliest the largest logits, in place of the row, where the sampler `drawsAmong` so many and they say among which.
   */
  async sample(logits: Float32Array, argmax: number, likeliest?: Likeliest): Promise<Choice> {
    const found = this.params.temperature === 0 ? undefined : likeliest?.among(this.params.topK);
    if (found !== undefined) return { token: this.#drawAmong(found.ids, found.logits, largestOf(found.logits)) };
    const constraint = this.#constraint;
    const mask = constraint && (await guardedConstraint("What may come next cannot be told.", () => constraint.mask()));
    const choice = this.#choose(logits, argmax, mask);
    if (constraint) await guardedConstraint(`The drawn token ${choice.token} was refused.`, () => constraint.accept(choice.token));
    return choice;
  }

  /** The request has ended. */
  close(): void {
    this.#constraint?.close();
  }

  #choose(logits: Float32Array, argmax: number, mask: Int32Array | undefined): Choice {
    if (!this.needsLogits && (mask === undefined || allows(mask, argmax))) return { token: argmax };
    checkFinite(logits);
    const given = this.#processor ? processed(this.#processor, logits) : logits;
    const row = this.#changes || mask !== undefined ? this.#changed(given, mask) : given;
    const greedy = this.params.temperature === 0;
    const token = !greedy ? this.#draw(row) : row === logits ? argmax : row.indexOf(largestOf(row));
    if (row[token] === -Infinity) throw nothingAllowed();
    this.#processor?.sampled(token);
    if (this.#counts) this.#counts.set(token, (this.#counts.get(token) ?? 0) + 1);
    return this.params.logprobs === undefined ? { token } : { token, ...logprobsOf(logits, token, this.params.logprobs) };
  }

  /** A copy of the row with penalties, bias and mask applied. */
  #changed(logits: Float32Array, mask: Int32Array | undefined): Float32Array {
    const row = logits.slice();
    const repetition = Math.fround(this.params.repetitionPenalty);
    const frequency = Math.fround(this.params.frequencyPenalty);
    const presence = Math.fround(this.params.presencePenalty);
    for (const [token, count] of this.#counts ?? []) {
      let value = row[token]!;
      value = Math.fround(value > 0 ? value / repetition : value * repetition);
      value = Math.fround(value - Math.fround(frequency * count));
      row[token] = value - (count > 0 ? presence : 0);
    }
    for (const [token, bias] of this.params.logitBias) row[token]! += Math.fround(bias);
    if (mask !== undefined) applyMask(row, mask);
    return row;
  }

  /** Top-k, and what follows. */
  #draw(row: Float32Array): number {
    const { topK } = this.params;
    const largest = largestOf(row);
    if (largest === -Infinity) throw nothingAllowed();
    if (!(topK > 0 && topK < row.length)) return this.#drawAmong(undefined, row.slice(), largest);
    const ids = largestIndices(row, topK);
    return this.#drawAmong(ids, gather(row, ids), largest);
  }

  /**
   * Temperature, top-p, min-p, softmax, draw.
   *
   * @param ids of the candidates, ascending; undefined: all.
   * @param weights their logits; overwritten.
   */
  #drawAmong(ids: Int32Array | undefined, weights: Float32Array, largest: number): number {
    const { topP, minP, temperature } = this.params;
    // Unnormalised probabilities: the largest is 1. A tiny temperature overflows to exp(-inf) = 0, as it should.
    const scale = Math.fround(1 / Math.max(temperature, SMALLEST_TEMPERATURE));
    for (let i = 0; i < weights.length; i++) {
      const below = Math.fround(weights[i]! - largest);
      weights[i] = below === 0 ? 1 : Math.exp(Math.fround(below * scale));
    }
    const keep = (kept: Int32Array): void => {
      ids = ids ? kept.map((place) => ids![place]!) : kept;
      weights = gather(weights, kept);
    };
    if (topP < 1) keep(nucleus(weights, topP));
    const least = Math.fround(minP);
    if (minP > 0) keep(indicesWhere(weights, (weight) => weight >= least));
    // One random number a token, whatever the settings: the generator's state depends on the token count alone.
    const index = pick(weights, this.#random.next());
    return ids ? ids[index]! : index;
  }
}

const nothingAllowed = (): HearthError =>
  constraintFailed(
    "The answer cannot go on: no token of the vocabulary is allowed here.",
    "The grammar has a dead end, or asks for text that this tokenizer cannot write.",
  );

function checkFinite(logits: Float32Array): void {
  if (Number.isFinite(sum(logits))) return;
  const bad = logits.reduce((count, value) => count + Number(!Number.isFinite(value)), 0);
  if (bad > 0) throw new HearthError("internal", `${bad} of ${logits.length} logits are NaN or infinite.`, { hint: BROKEN });
}
