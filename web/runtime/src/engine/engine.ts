// Token ids in, token ids out: `Engine`. Puts the parts together and checks what comes in; knows nothing of text.
//
// While there are requests it computes one step after the other: the scheduler says which tokens, the batch lays them out, the
// forward computes them, each sequence whose last token was among them draws its next one. What a row's own logits or a constraint
// make fail ends that request alone. Where all that are computed take the likeliest token, and reading results back takes a while,
// several steps are computed before their tokens are read: what lies behind the end of an answer is thrown away. After a forward that
// failed with several sequences in it each starts again, alone up to its next token: who fails then is at fault. Where keys and values
// were lost all goes on from its tokens; none is told twice.

import { HearthError } from "../errors.ts";
import { requireText } from "../info.ts";
import type { Model } from "../model.ts";
import { layOut, layOutSteps, promptsFirst } from "./batch.ts";
import { type Forward, StatesLost, type StepsAhead } from "./forward.ts";
import { aloneIn } from "./held_state.ts";
import { Inbox } from "./inbox.ts";
import { DeviceMemory } from "./memory.ts";
import { pagesFor } from "./pages.ts";
import { type SamplingParams, samplingParams } from "./params.ts";
import { areEnough, outputsRead, type Row, rowsOf, WHOLE_ROWS } from "./reading.ts";
import type { Sampler } from "./sampling.ts";
import { isPrompt, Scheduler, type Slice, wantsLogits } from "./scheduler.ts";
import { type Finish, Sequence, type SequenceOptions, type TokenEvent } from "./sequence.ts";
import { sessionForward } from "./session_forward.ts";
import { slotsFor } from "./states.ts";
import { nextTurn } from "./turn.ts";

export interface EngineOptions {
  /** Positions of the KV cache, for all sequences together and for what is kept of earlier ones; by default one context, and at
   * most 4096. */
  readonly cacheTokens?: number | undefined;
  /** Tokens of prompt and answer together that one sequence may have; else as many as the model and the cache hold. */
  readonly context?: number | undefined;
  /** Sequences that are computed at the same time; else as many as a forward takes, and slots suffice for. */
  readonly maxSequences?: number | undefined;
  /**
   * Of a model with recurrent layers: slots of what these know of a text after some of its tokens, `text.stateBytesPerSlot` each. By
   * default 3 for each of `maxSequences` (1 where nobody says how many) and for one text that has ended and may be gone on from; with
   * fewer, down to 2, less is remembered.
   */
  readonly stateSlots?: number | undefined;
  /** Prompt tokens in one step: smaller keeps other streams smoother, larger is faster for the prompt. */
  readonly chunkTokens?: number | undefined;
  /**
   * Tokens of each sequence that a GPU computes before they are read, at most, where all sequences take the likeliest ones. "auto",
   * as by default: as many as it takes for reading to cost little beside computing, which is measured; 1 where it costs little
   * anyway. A request that is cancelled ends when they are read. The tokens are the same.
   */
  readonly tokensPerReadBack?: number | "auto" | undefined;
  /** How long one submit of such tokens may keep a GPU busy, in milliseconds: 8 by default, so that it draws the page, too. */
  readonly submitMs?: number | undefined;
}

/** What goes with a request beside its settings. */
export interface RequestOptions extends SequenceOptions {
  /** Ends the request, "cancelled". */
  readonly signal?: AbortSignal | undefined;
}

/** Positions that are kept where nobody says how many. */
export const DEFAULT_CACHE_TOKENS = 4096;
const DEFAULT_CHUNK_TOKENS = 128;
/** Of state: where a text is, and one that it can be gone on from. */
const LEAST_SLOTS = 2;
const MOST_PER_READ_BACK = 64;

export class Engine {
  /** Tokens of prompt and answer together that one sequence may have. */
  readonly context: number;
  readonly #forward: Forward;
  readonly #endIds: ReadonlySet<number>;
  readonly #scheduler: Scheduler;
  readonly #tableStride: number;
  readonly #tokensPerReadBack: number | "auto";
  readonly #inboxes = new Map<Sequence, Inbox<TokenEvent>>();
  #running: Promise<void> = Promise.resolve();
  #closed = false;

  /**
   * @param forward the engine uses all of its pages; nobody else may call it meanwhile.
   * @param endIds tokens that end an answer.
   */
  constructor(forward: Forward, endIds: Iterable<number> = [], options: EngineOptions = {}) {
    const { context, maxSequences = Infinity, chunkTokens = DEFAULT_CHUNK_TOKENS, tokensPerReadBack = "auto" } = options;
    const { info, numPages, numSlots } = forward;
    const most = Math.min(info.maxPosition, numPages * info.pageTokens);
    this.context = context ?? most;
    if (!(this.context >= 2 && this.context <= most)) {
      throw new HearthError("usage", `The context is ${this.context} tokens, but must be 2 to ${most}.`, {
        why: `The model takes ${info.maxPosition}, and there are ${numPages} pages of ${info.pageTokens}.`,
      });
    }
    if (numSlots > 0 && numSlots < LEAST_SLOTS) throw tooFewSlots(numSlots);
    const isCount = Number.isInteger(tokensPerReadBack) && Number(tokensPerReadBack) >= 1 && Number(tokensPerReadBack) <= MOST_PER_READ_BACK;
    if (!isCount && tokensPerReadBack !== "auto") {
      throw new HearthError("usage", `tokensPerReadBack is ${tokensPerReadBack}, but must be 1 to ${MOST_PER_READ_BACK}, or "auto".`);
    }
    this.#forward = forward;
    this.#tokensPerReadBack = tokensPerReadBack;
    this.#endIds = new Set(endIds);
    this.#tableStride = pagesFor(this.context, info.pageTokens);
    this.#scheduler = new Scheduler(info, new DeviceMemory(numPages, info.pageTokens, numSlots), { maxSequences, chunkTokens });
  }

  /** An engine over a session of its own. */
  static async create(model: Model, options: EngineOptions = {}): Promise<Engine> {
    const { pageTokens, maxPosition, stateBytesPerSlot } = requireText(model.info);
    const tokens = options.cacheTokens ?? Math.max(options.context ?? 0, Math.min(DEFAULT_CACHE_TOKENS, maxPosition));
    const slots = stateBytesPerSlot > 0 ? (options.stateSlots ?? slotsFor(options.maxSequences ?? 1)) : 0;
    if (stateBytesPerSlot > 0 && !(Number.isInteger(slots) && slots >= LEAST_SLOTS)) throw tooFewSlots(slots);
    return new Engine(await sessionForward(model, pagesFor(tokens, pageTokens), slots, options.submitMs), model.endIds, options);
  }

  /** Whether the model has recurrent layers, so that a text is gone on from where a state of it was kept, and nowhere else. */
  get hasState(): boolean {
    return this.#forward.numSlots > 0;
  }

  /**
   * The events of one request, which is computed with others from now on. Leaving the loop cancels it.
   *
   * Fails at once with what makes the request impossible: a setting out of its range, a token outside of the vocabulary, a prompt
   * that leaves no room in the context; in the loop, with what made it fail.
   */
  generate(
    promptIds: readonly number[],
    settings: Partial<SamplingParams> = {},
    { signal, ...options }: RequestOptions = {},
  ): AsyncIterableIterator<TokenEvent> {
    const params = samplingParams(settings);
    this.#check(promptIds, [...params.logitBias.keys(), ...params.stopTokenIds]);
    const sequence = new Sequence(this.#scheduler.memory, promptIds, params, options);
    const cancel = (): void => this.#finish(sequence, "cancelled");
    const inbox = new Inbox<TokenEvent>(cancel);
    this.#inboxes.set(sequence, inbox);
    this.#scheduler.add(sequence);
    signal?.addEventListener("abort", cancel, { once: true });
    if (signal?.aborted === true) cancel();
    if (this.#inboxes.size === 1) this.#running = this.#running.then(() => this.#run());
    return inbox;
  }

  /** Cancels all requests, and gives the session's memory back once the step that is being computed is done. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    for (const sequence of this.#scheduler.sequences) this.#finish(sequence, "cancelled");
    await this.#running;
    this.#forward.close();
  }

  /** The hidden states after the final norm of each token, (tokens, hiddenSize): once no request is being computed. */
  async hidden(tokens: readonly number[]): Promise<Float32Array> {
    this.#check(tokens);
    const read = (): Promise<Float32Array> => this.#readHidden(tokens);
    const reading = this.#running.then(read).catch((error: unknown) => {
      if (!(error instanceof StatesLost)) throw error;
      this.#scheduler.restartAll();
      return read();
    });
    this.#running = reading.then(
      () => this.#run(),
      () => this.#run(),
    );
    return reading;
  }

  async #readHidden(tokens: readonly number[]): Promise<Float32Array> {
    const { hiddenSize, maxTokens, pageTokens } = this.#forward.info;
    const { pages: pool, states } = this.#scheduler.memory;
    const pages = Array.from({ length: pagesFor(tokens.length, pageTokens) }, () => pool.allocate());
    const slots = this.hasState ? [states.allocate()] : [];
    const sequence = { tokens: [...tokens], pages, numPromptTokens: tokens.length, state: aloneIn(slots[0]) };
    const hidden = new Float32Array(tokens.length * hiddenSize);
    try {
      for (let start = 0; start < tokens.length; start += maxTokens) {
        const count = Math.min(maxTokens, tokens.length - start);
        const batch = layOut([{ sequence, start, count }], this.#tableStride, ["hidden"], this.hasState);
        hidden.set((await this.#forward.forward({ ...batch, logitRows: new Int32Array() })).hidden, start * hiddenSize);
      }
    } finally {
      pool.release(pages);
      states.release(slots);
    }
    return hidden;
  }

  #check(promptIds: readonly number[], others: readonly number[] = []): void {
    if (this.#closed) throw new HearthError("usage", "The engine is closed.");
    const { vocabSize } = this.#forward.info;
    const wrong = [...promptIds, ...others].find((id) => !(Number.isInteger(id) && id >= 0 && id < vocabSize));
    if (wrong !== undefined) {
      const why = `The model's tokens are numbers from 0 to ${vocabSize - 1}.`;
      throw new HearthError("usage", `The request has the token ${wrong}.`, { why });
    }
    if (promptIds.length === 0) throw new HearthError("usage", "The prompt has no tokens.");
    if (promptIds.length < this.context) return;
    throw new HearthError("context", `The prompt has ${promptIds.length} tokens, which leaves no room for an answer.`, {
      why: `The context holds ${this.context}.`,
      hint: "Shorten the prompt, or use a larger context.",
    });
  }

  async #run(): Promise<void> {
    while (!this.#scheduler.isIdle) {
      let taking: readonly Sequence[] = this.#scheduler.sequences;
      try {
        const slices = promptsFirst(this.#scheduler.schedule());
        taking = slices.map(({ sequence }) => sequence);
        if (slices.length > 0) await this.#step(slices);
      } catch (error) {
        const failed = taking.filter((sequence) => this.#inboxes.has(sequence));
        if (error instanceof StatesLost) this.#scheduler.restartAll();
        else if (failed.length > 1) this.#scheduler.suspect(failed);
        else failed.forEach((sequence) => this.#fail(sequence, error));
      }
      await nextTurn();
    }
  }

  async #step(slices: readonly Slice[]): Promise<void> {
    const { ahead } = this.#forward;
    if (ahead !== undefined && slices.every(isLikeliest)) return this.#decode(slices, ahead);
    const drawing = slices.filter(wantsLogits);
    const rows = await this.#rows(slices, drawing.map(({ sequence }) => sequence.sampler));
    // Those that were cancelled meanwhile have no pages any more.
    const going = (slice: Slice): boolean => this.#inboxes.has(slice.sequence);
    for (const { sequence, count } of slices.filter(going)) sequence.commit(count);
    for (const [row, slice] of drawing.entries()) {
      if (going(slice)) await this.#draw(slice.sequence, rows[row]!);
    }
    for (const { sequence } of slices.filter(going)) sequence.settle();
  }

  /** Computes slices, and answers what of it those read who draw, in their order. */
  async #rows(slices: readonly Slice[], samplers: readonly Sampler[]): Promise<readonly Row[]> {
    for (const { sequence, count } of slices) sequence.prepare(count);
    const few = outputsRead(samplers, this.#forward.info.likeliest);
    // Only what can be computed once more, should they not be enough, may tell the likeliest tokens alone: no state is written over.
    const isEnough = !few.includes("likeliest") || slices.every(({ sequence }) => sequence.state.spareSource());
    const outputs = isEnough ? few : outputsRead(samplers, 0);
    const batch = layOut(slices, this.#tableStride, outputs, this.hasState);
    const rows = rowsOf(await this.#forward.forward(batch), outputs, samplers.length);
    if (areEnough(rows, samplers)) return rows;
    // Very seldom: more tokens are as likely as each other than a forward tells.
    return rowsOf(await this.#forward.forward({ ...batch, outputs: WHOLE_ROWS }), WHOLE_ROWS, samplers.length);
  }

  /** Steps over the likeliest tokens alone. */
  async #decode(slices: readonly Slice[], ahead: StepsAhead): Promise<void> {
    const wanted = this.#tokensPerReadBack === "auto" ? ahead.worthwhile : this.#tokensPerReadBack;
    const left = slices.map(({ sequence }) => this.#tokensLeft(sequence)); // to the first that is full: none runs beyond that
    const steps = this.#scheduler.reserve(slices, Math.min(wanted, ...left));
    for (const { sequence } of slices) sequence.prepareSteps(steps);
    const tokens = await ahead.decode(layOutSteps(slices, this.#tableStride, steps, this.hasState), steps);
    for (const [step, drawn] of tokens.entries()) {
      if (step > 0) await nextTurn(); // whoever reads may have read enough: a stop string ends an answer from outside
      for (const [row, { sequence }] of slices.entries()) {
        if (!this.#inboxes.has(sequence)) continue;
        sequence.commit(1);
        await this.#draw(sequence, { logits: new Float32Array(), argmax: drawn[row]!, likeliest: undefined });
      }
    }
    for (const { sequence } of slices) if (this.#inboxes.has(sequence)) sequence.settle();
  }

  /** Until the answer is full. */
  #tokensLeft({ tokens, numOutputTokens, sampler }: Sequence): number {
    return Math.min(this.context - tokens.length, (sampler.params.maxTokens ?? Infinity) - numOutputTokens);
  }

  async #draw(sequence: Sequence, { logits, argmax, likeliest }: Row): Promise<void> {
    const { params } = sequence.sampler;
    try {
      const choice = await sequence.sampler.sample(logits, argmax, likeliest);
      if (!this.#inboxes.has(sequence)) return;
      this.#scheduler.clear(sequence);
      sequence.append(choice.token);
      const isEnd = (this.#endIds.has(choice.token) && !params.ignoreEos) || params.stopTokenIds.includes(choice.token);
      const isFull = this.#tokensLeft(sequence) <= 0;
      if (isEnd || isFull) this.#finish(sequence, isEnd ? "stop" : "length", choice);
      else this.#inboxes.get(sequence)!.push(choice);
    } catch (error) {
      this.#fail(sequence, error); // of this row alone: the others of the batch are sound
    }
  }

  #finish(sequence: Sequence, finish: Finish, choice: TokenEvent = {}): void {
    this.#drop(sequence, false)?.end({ ...choice, finish, usage: sequence.usage });
  }

  #fail(sequence: Sequence, error: unknown): void {
    this.#drop(sequence, true)?.fail(asHearthError(error));
  }

  /** Takes a sequence out for good. Answers where its last event goes; undefined if it has been told. */
  #drop(sequence: Sequence, spoiled: boolean): Inbox<TokenEvent> | undefined {
    const inbox = this.#inboxes.get(sequence);
    if (inbox === undefined) return undefined;
    this.#inboxes.delete(sequence);
    this.#scheduler.remove(sequence, spoiled);
    sequence.sampler.close();
    return inbox;
  }
}

/** Whether it is a drawn token, whose next one is the likeliest whatever the logits are. */
const isLikeliest = (slice: Slice): boolean => !isPrompt(slice) && wantsLogits(slice) && slice.count === 1 && !slice.sequence.sampler.mayNeedLogits;

const tooFewSlots = (slots: number): HearthError =>
  new HearthError("usage", `There are ${slots} slots of state, but must be ${LEAST_SLOTS} at least.`, {
    why: "A model with recurrent layers keeps what these know of a text in one, and in another what it can be gone on from.",
    hint: "Leave stateSlots out.",
  });

const asHearthError = (error: unknown): HearthError =>
  error instanceof HearthError
    ? error
    : new HearthError("internal", "The model could not be run.", { why: error instanceof Error ? error.message : String(error) });
