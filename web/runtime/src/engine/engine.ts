// Many requests, one session: token ids in, token ids out. Every step computes the next token of each running sequence and a
// piece of the prompts of others; between steps the page has its turn.

import { HearthError } from "../errors.ts";
import { requireText, type TextInfo } from "../info.ts";
import type { Model } from "../model.ts";
import type { Batch, Session } from "../session.ts";
import { PagePool } from "./pages.ts";
import { checkedParams, type SamplingParams } from "./params.ts";
import { type Generated, Sequence } from "./sequence.ts";

export interface EngineOptions {
  /** Positions of the KV cache, for all sequences together and for what is kept of earlier ones; by default the longest
   * context that the model was compiled for, and at most 4096. */
  readonly cacheTokens?: number;
  /** Sequences that are computed at the same time. */
  readonly maxSequences?: number;
  /** Tokens of prompts in one step: how long a page waits for its turn. */
  readonly chunkTokens?: number;
}

const DEFAULTS = { cacheTokens: 4096, maxSequences: 8, chunkTokens: 64 };

interface Request {
  readonly sequence: Sequence;
  readonly events: Generated[];
  error?: unknown;
  wake: () => void;
}

/** Some tokens of a sequence that go into a forward. */
interface Slice {
  readonly request: Request;
  readonly start: number;
  readonly count: number;
}

export class Engine {
  readonly #model: Model;
  readonly #text: TextInfo;
  readonly #session: Session;
  readonly #pool: PagePool;
  readonly #numPages: number;
  readonly #maxRunning: number;
  readonly #chunkTokens: number;
  readonly #waiting: Request[] = [];
  #running: Request[] = [];
  #stepping = false;

  constructor(model: Model, options: EngineOptions = {}) {
    const { cacheTokens, maxSequences, chunkTokens } = { ...DEFAULTS, ...options };
    this.#model = model;
    this.#text = requireText(model.info);
    const { pageTokens, maxPosition, maxTokens, maxSequences: mostSequences, maxLogitRows } = this.#text;
    const most = options.cacheTokens === undefined ? Math.min(cacheTokens, maxPosition) : cacheTokens;
    this.#numPages = Math.ceil(most / pageTokens);
    this.#maxRunning = Math.min(maxSequences, mostSequences, maxLogitRows, maxTokens);
    this.#chunkTokens = Math.min(chunkTokens, maxTokens - this.#maxRunning + 1);
    this.#pool = new PagePool(this.#numPages, pageTokens);
    this.#session = model.session({ pages: this.#numPages });
  }

  /** Tokens that a sequence has at most, prompt and output. */
  get contextTokens(): number {
    return Math.min(this.#numPages * this.#text.pageTokens, this.#text.maxPosition);
  }

  /** The tokens that follow a prompt, as they come. Leaving the loop ends the request. */
  async *generate(prompt: readonly number[], params: Partial<SamplingParams> = {}): AsyncGenerator<Generated, void, void> {
    const request = this.#take(prompt, checkedParams(params));
    try {
      for (;;) {
        while (request.events.length === 0) {
          if (request.error !== undefined) throw request.error;
          const woken = new Promise<void>((resolve) => (request.wake = resolve));
          void this.#work();
          await woken;
        }
        const event = request.events.shift()!;
        yield event;
        if (event.finish !== undefined) return;
      }
    } finally {
      this.#drop(request);
    }
  }

  close(): void {
    const closed = new HearthError("usage", "The engine was closed.");
    for (const request of [...this.#running, ...this.#waiting]) this.#fail(request, closed);
    this.#session.close();
  }

  #take(prompt: readonly number[], params: SamplingParams): Request {
    const { vocabSize } = this.#text;
    const wrong = prompt.find((token) => !Number.isInteger(token) || token < 0 || token >= vocabSize);
    if (prompt.length === 0 || wrong !== undefined) {
      const what = prompt.length === 0 ? "The prompt has no tokens." : `The prompt has the token ${wrong}.`;
      throw new HearthError("usage", what, { why: `The model's tokens are numbers from 0 to ${vocabSize - 1}.` });
    }
    if (prompt.length >= this.contextTokens) {
      throw new HearthError("usage", `The prompt has ${prompt.length} tokens, which leaves no room for an answer.`, {
        why: `The context holds ${this.contextTokens}.`,
        hint: "Make the prompt shorter, or cacheTokens larger.",
      });
    }
    const sequence = new Sequence(prompt, params, this.#model.endIds, this.contextTokens, this.#pool);
    const request: Request = { sequence, events: [], wake: () => undefined };
    this.#waiting.push(request);
    return request;
  }

  /** Runs steps until no sequence is left. */
  async #work(): Promise<void> {
    if (this.#stepping) return;
    this.#stepping = true;
    try {
      while (this.#running.length > 0 || this.#waiting.length > 0) {
        this.#step();
        await turn();
      }
    } finally {
      this.#stepping = false;
    }
  }

  #step(): void {
    this.#admit();
    const slices = this.#slices();
    if (slices.length === 0) return;
    try {
      this.#forward(slices);
    } catch (error) {
      for (const { request } of slices) this.#fail(request, error);
    }
  }

  #admit(): void {
    const available = (): number =>
      this.#pool.available - this.#running.reduce((sum, { sequence }) => sum + sequence.reserved, 0);
    while (this.#waiting.length > 0 && this.#running.length < this.#maxRunning) {
      if (!this.#waiting[0]!.sequence.admit(available)) return;
      this.#running.push(this.#waiting.shift()!);
    }
  }

  /** The next token of each running sequence, so that no stream waits behind a long prompt, and pieces of prompts, oldest
   * first. These come first: a model may compute them more coarsely. */
  #slices(): Slice[] {
    const prompts: Slice[] = [];
    const decoding: Slice[] = [];
    let room = this.#chunkTokens;
    for (const request of this.#running) {
      const { computed, tokens, promptLength } = request.sequence;
      const isPrompt = computed < promptLength;
      const count = isPrompt ? Math.min(tokens.length - computed, room) : 1;
      if (count === 0) continue;
      if (isPrompt) room -= count;
      request.sequence.cover(computed + count);
      (isPrompt ? prompts : decoding).push({ request, start: computed, count });
    }
    return [...prompts, ...decoding];
  }

  #forward(slices: readonly Slice[]): void {
    const ending = slices.filter(({ request, start, count }) => start + count === request.sequence.tokens.length);
    const needsLogits = ending.some(({ request }) => request.sequence.sampler.needsLogits);
    const outputs = needsLogits ? (["argmax", "logits"] as const) : (["argmax"] as const);
    const result = this.#session.forward({ ...batchOf(slices), outputs });
    const { argmax } = result;
    const logits = needsLogits ? result.logits : new Float32Array();
    for (const { request, start, count } of slices) request.sequence.advance(start + count);
    const { vocabSize } = this.#text;
    ending.forEach(({ request }, i) => {
      const { sequence } = request;
      try {
        const token = sequence.sampler.sample(logits.subarray(i * vocabSize, (i + 1) * vocabSize), argmax[i]!);
        const event = sequence.add(token);
        request.events.push(event);
        if (event.finish !== undefined) this.#drop(request);
        request.wake();
      } catch (error) {
        this.#fail(request, error);
      }
    });
  }

  #fail(request: Request, error: unknown): void {
    request.error = error;
    this.#drop(request);
    request.wake();
  }

  #drop(request: Request): void {
    request.sequence.release();
    this.#running = this.#running.filter((each) => each !== request);
    const place = this.#waiting.indexOf(request);
    if (place >= 0) this.#waiting.splice(place, 1);
  }
}

function batchOf(slices: readonly Slice[]): Batch {
  const isPrompt = ({ request, start }: Slice): boolean => start < request.sequence.promptLength;
  const pages = slices.map(({ request }) => request.sequence.pages);
  const stride = Math.max(...pages.map((each) => each.length));
  const tokens = slices.flatMap(({ request, start, count }) => request.sequence.tokens.slice(start, start + count));
  const ends = slices.map((_, i) => slices.slice(0, i + 1).reduce((sum, { count }) => sum + count, 0));
  const rows = slices.flatMap(({ request, start, count }, i) =>
    start + count === request.sequence.tokens.length ? [ends[i]! - 1] : [],
  );
  return {
    tokenIds: Int32Array.from(tokens),
    positions: Int32Array.from(slices.flatMap(({ start, count }) => Array.from({ length: count }, (_, i) => start + i))),
    tokenSeq: Int32Array.from(slices.flatMap(({ count }, i) => Array<number>(count).fill(i))),
    blockTable: Int32Array.from(pages.flatMap((each) => [...each, ...Array<number>(stride - each.length).fill(-1)])),
    blockTableStride: stride,
    logitRows: Int32Array.from(rows),
    numPromptTokens: slices.filter(isPrompt).reduce((sum, { count }) => sum + count, 0),
  };
}

/** Lets timers, input and drawing have their turn. */
const turn = (): Promise<void> =>
  new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(null);
  });
