// A model in a worker: what the worker runs, and how a page talks to it.
//
//   // worker.js                                        // page.js
//   import { serveModel } from "@hearth/web";           const worker = new Worker("worker.js", { type: "module" });
//   serveModel(self);                                   const model = await openInWorker(worker, "/models/mine");
//                                                       const answer = await model.chat.completions.create({ messages });
//
// The same two functions speak through a service worker: `serveModel(self)` there, `openInWorker(navigator.serviceWorker.controller)`
// here. A service worker that the browser has stopped meanwhile opens the model again when it is called next.

import { HearthError } from "../errors.ts";
import type { Device } from "../model.ts";
import { LanguageModel, type LanguageModelOptions } from "./language_model.ts";
import { type Backend, localBackend, openAi, type OpenAi } from "./open_ai.ts";
import { answerCalls, callOver, type CallHandler, type CallScope, type CallTarget } from "./remote_calls.ts";
import type { ChatCompletion, ChatCompletionChunk, ChatRequest, EmbeddingRequest, EmbeddingResponse, TextCompletion, TextRequest } from "./types.ts";

/** What of a model's options can be sent. */
export type RemoteOptions = Pick<
  LanguageModelOptions,
  "cacheTokens" | "context" | "contextAtMost" | "maxSequences" | "chunkTokens" | "tokensPerReadBack" | "submitMs" | "device" | "isa" | "threads"
> & {
  /** What the page calls the model. */
  readonly id?: string;
};

/** Which model a call is for: what it was opened with. */
interface Opening {
  readonly url: string;
  readonly options: RemoteOptions;
}

interface Call {
  readonly model: Opening;
  readonly request?: unknown;
  /** Of opening: other models stay open. */
  readonly beside?: boolean;
}

export type Opener = (url: string, options: LanguageModelOptions) => Promise<LanguageModel>;

/** What of a model's options cannot be sent. */
export type OwnOptions = Pick<LanguageModelOptions, "grammars" | "logitProcessor">;

/**
 * Answers a page's requests. A model takes the place of those that are open, unless it is to stand beside them.
 *
 * @param scope the worker's own (`self`), or a port.
 * @param own options that cannot be sent, for all models or for that which the page calls so.
 */
export function serveModel(
  scope: CallScope,
  own: OwnOptions | ((id?: string) => OwnOptions) = {},
  open: Opener = LanguageModel.open,
): () => void {
  const opened = new Map<string, Promise<LanguageModel>>();
  const keyOf = (opening: Opening): string => JSON.stringify(opening);
  const backend = async (opening: Opening): Promise<Backend> => {
    const model = opened.get(keyOf(opening));
    if (model === undefined) throw new HearthError("unloaded", "The worker has this model not open.", { hint: "Open it with openInWorker." });
    return localBackend(await model);
  };
  const close = async (keys: readonly string[]): Promise<void> => {
    const closing = keys.map((key) => opened.get(key));
    keys.forEach((key) => opened.delete(key));
    for (const model of closing) await (await model?.catch(() => undefined))?.close();
  };
  const whole =
    (answer: (from: Backend, request: never, signal: AbortSignal) => Promise<unknown>): CallHandler =>
    async (argument, _, signal) => {
      const { model, request } = argument as Call;
      return answer(await backend(model), request as never, signal);
    };
  const streamed =
    (answer: (from: Backend, request: never, signal: AbortSignal) => AsyncIterable<unknown>): CallHandler =>
    async (argument, emit, signal) => {
      const { model, request } = argument as Call;
      for await (const chunk of answer(await backend(model), request as never, signal)) emit(chunk);
    };
  return answerCalls(scope, {
    async open(argument, emit, signal) {
      const { model: wanted, beside } = argument as Call;
      const { url, options } = wanted;
      const key = keyOf(wanted);
      const closing = beside === true ? Promise.resolve() : close([...opened.keys()].filter((other) => other !== key));
      let model = opened.get(key);
      if (model === undefined) {
        const mine = typeof own === "function" ? own(options.id) : own;
        model = closing.then(() => open(url, { ...options, ...mine, signal, onProgress: (done, total) => emit([done, total]), onNotice: emit }));
        opened.set(key, model);
        const opening = model;
        opening.catch(() => opened.get(key) === opening && opened.delete(key));
      }
      const { name, device, chats } = await model;
      return { name, device, chats } satisfies Opened;
    },
    close: async (argument) => close([keyOf((argument as Call).model)]),
    chatChunks: streamed((from, request: ChatRequest, signal) => from.chatChunks(request, signal)),
    textChunks: streamed((from, request: TextRequest, signal) => from.textChunks(request, signal)),
    chatCompletion: whole((from, request: ChatRequest, signal) => from.chatCompletion(request, signal)),
    textCompletion: whole((from, request: TextRequest, signal) => from.textCompletion(request, signal)),
    embeddings: whole((from, request: EmbeddingRequest) => from.embeddings(request)),
  });
}

interface Opened {
  readonly name: string;
  /** What computes it, and why. */
  readonly device: Device;
  /** Whether it has a chat template: one without takes text completions only. */
  readonly chats: boolean;
}

export interface RemoteModel extends OpenAi, Opened {
  readonly backend: Backend;
  /** Ends all requests and gives the worker's memory back. */
  close(): Promise<void>;
}

export interface OpenInWorkerOptions extends RemoteOptions {
  /** The models that are open in the worker stay open; else this one takes their place. */
  readonly beside?: boolean;
  readonly onProgress?: (doneBytes: number, totalBytes: number) => void;
  /** Told what is not as it should be, in words: that the model cannot be kept for the next time, and why. */
  readonly onNotice?: (text: string) => void;
  readonly signal?: AbortSignal;
}

const isUnloaded = (error: unknown): boolean => error instanceof HearthError && error.kind === "unloaded";

/** Opens the bundle at a URL, or the packaged one whose model.json is there, in a worker that runs `serveModel`. */
export async function openInWorker(target: CallTarget, url: string | URL, options: OpenInWorkerOptions = {}): Promise<RemoteModel> {
  const { onProgress, onNotice, signal, beside: isBeside = false, ...sent } = options;
  const opening: Opening = { url: new URL(url, globalThis.location?.href).href, options: sent };
  const openOnce = async (beside: boolean): Promise<Opened> => {
    const { items, value } = callOver(target, "open", { model: opening, beside } satisfies Call, signal);
    for await (const item of items as AsyncIterable<string | [number, number]>) {
      if (typeof item === "string") onNotice?.(item);
      else onProgress?.(...item);
    }
    return (await value) as Opened;
  };
  /** Goes on where it was stopped: what came is kept. */
  const open = (beside: boolean): Promise<Opened> =>
    openOnce(beside).catch((error: unknown) => (isUnloaded(error) ? openOnce(beside) : Promise.reject(error)));
  /** Does it again once the model is there again, where it no longer was. */
  const whileOpen = async <Value>(action: () => Promise<Value>): Promise<Value> => {
    try {
      return await action();
    } catch (error) {
      if (!isUnloaded(error)) throw error;
      await open(true);
      return action();
    }
  };
  const whole = <Value>(name: string, request: unknown, ending?: AbortSignal): Promise<Value> =>
    whileOpen(async () => (await callOver(target, name, { model: opening, request } satisfies Call, ending).value) as Value);
  async function* stream<Chunk>(name: string, request: unknown, ending?: AbortSignal): AsyncGenerator<Chunk, void, void> {
    const [items, first] = await whileOpen(async () => {
      const { items: arriving } = callOver(target, name, { model: opening, request } satisfies Call, ending);
      return [arriving, await arriving.next()] as const;
    });
    try {
      for (let item = first; item.done !== true; item = await items.next()) yield item.value as Chunk;
    } finally {
      await items.return();
    }
  }
  const backend: Backend = {
    chatChunks: (request, ending) => stream<ChatCompletionChunk>("chatChunks", request, ending),
    textChunks: (request, ending) => stream<TextCompletion>("textChunks", request, ending),
    chatCompletion: (request, ending) => whole<ChatCompletion>("chatCompletion", request, ending),
    textCompletion: (request, ending) => whole<TextCompletion>("textCompletion", request, ending),
    embeddings: (request) => whole<EmbeddingResponse>("embeddings", request),
  };
  return { ...(await open(isBeside)), backend, ...openAi(backend), close: async () => void (await callOver(target, "close", { model: opening } satisfies Call).value) };
}
