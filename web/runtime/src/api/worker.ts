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
export type RemoteOptions = Pick<LanguageModelOptions, "cacheTokens" | "context" | "maxSequences" | "chunkTokens" | "device" | "isa" | "threads"> & {
  /** What the page calls the model. */
  readonly id?: string;
};

interface Opening {
  readonly url: string;
  readonly options: RemoteOptions;
}

export type Opener = (url: string, options: LanguageModelOptions) => Promise<LanguageModel>;

/** What of a model's options cannot be sent. */
export type OwnOptions = Pick<LanguageModelOptions, "grammars" | "logitProcessor">;

/**
 * Answers a page's requests, with one model at a time.
 *
 * @param scope the worker's own (`self`), or a port.
 * @param own options that cannot be sent, for all models or for that which the page calls so.
 */
export function serveModel(
  scope: CallScope,
  own: OwnOptions | ((id?: string) => OwnOptions) = {},
  open: Opener = LanguageModel.open,
): () => void {
  let opened: { key: string; model: Promise<LanguageModel> } | undefined;
  const backend = async (): Promise<Backend> => {
    if (opened === undefined) throw new HearthError("unloaded", "The worker has no model open.", { hint: "Open one with openInWorker." });
    return localBackend(await opened.model);
  };
  const close = async (): Promise<void> => {
    const closing = opened;
    opened = undefined;
    await (await closing?.model.catch(() => undefined))?.close();
  };
  const streamed =
    <Request, Chunk>(choose: (backend: Backend) => (request: Request, signal: AbortSignal) => AsyncIterable<Chunk>): CallHandler =>
    async (request, emit, signal) => {
      const from = await backend();
      for await (const chunk of choose(from).call(from, request as Request, signal)) emit(chunk);
    };
  return answerCalls(scope, {
    async open(argument, emit, signal) {
      const { url, options } = argument as Opening;
      const key = JSON.stringify(argument);
      if (opened?.key !== key) {
        await close();
        const mine = typeof own === "function" ? own(options.id) : own;
        const model = open(url, { ...options, ...mine, signal, onProgress: (done, total) => emit([done, total]), onNotice: emit });
        opened = { key, model };
        model.catch(() => (opened = undefined));
      }
      const { name, device, chats } = await opened!.model;
      return { name, device, chats } satisfies Opened;
    },
    close,
    chatChunks: streamed<ChatRequest, ChatCompletionChunk>((from) => from.chatChunks),
    textChunks: streamed<TextRequest, TextCompletion>((from) => from.textChunks),
    chatCompletion: async (request, _, signal) => (await backend()).chatCompletion(request as ChatRequest, signal),
    textCompletion: async (request, _, signal) => (await backend()).textCompletion(request as TextRequest, signal),
    embeddings: async (request) => (await backend()).embeddings(request as EmbeddingRequest),
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
  readonly onProgress?: (doneBytes: number, totalBytes: number) => void;
  /** Told what is not as it should be, in words: that the model cannot be kept for the next time, and why. */
  readonly onNotice?: (text: string) => void;
  readonly signal?: AbortSignal;
}

/** Opens the bundle at a URL, or the packaged one whose model.json is there, in a worker that runs `serveModel`. */
export async function openInWorker(target: CallTarget, url: string | URL, options: OpenInWorkerOptions = {}): Promise<RemoteModel> {
  const { onProgress, onNotice, signal, ...sent } = options;
  const opening: Opening = { url: new URL(url, globalThis.location?.href).href, options: sent };
  const open = async (): Promise<Opened> => {
    const { items, value } = callOver(target, "open", opening, signal);
    for await (const item of items as AsyncIterable<string | [number, number]>) {
      if (typeof item === "string") onNotice?.(item);
      else onProgress?.(...item);
    }
    return (await value) as Opened;
  };
  /** Does it again once the model is there again, where it no longer was. */
  const whileOpen = async <Value>(action: () => Promise<Value>): Promise<Value> => {
    try {
      return await action();
    } catch (error) {
      if (!(error instanceof HearthError && error.kind === "unloaded")) throw error;
      await open();
      return action();
    }
  };
  const whole = <Value>(name: string, request: unknown, ending?: AbortSignal): Promise<Value> =>
    whileOpen(async () => (await callOver(target, name, request, ending).value) as Value);
  async function* stream<Chunk>(name: string, request: unknown, ending?: AbortSignal): AsyncGenerator<Chunk, void, void> {
    const [items, first] = await whileOpen(async () => {
      const { items: arriving } = callOver(target, name, request, ending);
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
  return { ...(await open()), backend, ...openAi(backend), close: async () => void (await callOver(target, "close", null).value) };
}
