// OpenAI's interface as a program calls it, over a model that is here or in a worker.

import { chatChunks, chatCompletion } from "./chat.ts";
import { textChunks, textCompletion } from "./completions.ts";
import { embeddings } from "./embeddings.ts";
import type { LanguageModel } from "./language_model.ts";
import type { ChatCompletion, ChatCompletionChunk, ChatRequest, EmbeddingRequest, EmbeddingResponse, TextCompletion, TextRequest } from "./types.ts";

/** What answers requests. Streams end with a chunk that tells the usage. */
export interface Backend {
  chatChunks(request: ChatRequest, signal?: AbortSignal): AsyncIterable<ChatCompletionChunk>;
  chatCompletion(request: ChatRequest, signal?: AbortSignal): Promise<ChatCompletion>;
  textChunks(request: TextRequest, signal?: AbortSignal): AsyncIterable<TextCompletion>;
  textCompletion(request: TextRequest, signal?: AbortSignal): Promise<TextCompletion>;
  embeddings(request: EmbeddingRequest): Promise<EmbeddingResponse>;
}

export const localBackend = (model: LanguageModel): Backend => ({
  chatChunks: (request, signal) => chatChunks(model, request, signal),
  chatCompletion: (request, signal) => chatCompletion(model, request, signal),
  textChunks: (request, signal) => textChunks(model, request, signal),
  textCompletion: (request, signal) => textCompletion(model, request, signal),
  embeddings: (request) => embeddings(model, request),
});

export interface RequestOptions {
  /** Ends the request; its answer is what there is by then, its reason "abort". */
  readonly signal?: AbortSignal;
}

/** What `create` answers. */
export interface Create<Request extends { stream?: boolean | null }, Whole, Chunk> {
  (request: Request & { stream?: false | null }, options?: RequestOptions): Promise<Whole>;
  (request: Request & { stream: true }, options?: RequestOptions): Promise<AsyncIterable<Chunk>>;
  (request: Request, options?: RequestOptions): Promise<Whole | AsyncIterable<Chunk>>;
}

export interface OpenAi {
  readonly chat: { readonly completions: { readonly create: Create<ChatRequest, ChatCompletion, ChatCompletionChunk> } };
  readonly completions: { readonly create: Create<TextRequest, TextCompletion, TextCompletion> };
  readonly embeddings: { create(request: EmbeddingRequest): Promise<EmbeddingResponse> };
}

export function openAi(backend: Backend): OpenAi {
  const chat = creator(backend.chatChunks, backend.chatCompletion);
  const text = creator(backend.textChunks, backend.textCompletion);
  return {
    chat: { completions: { create: chat } },
    completions: { create: text },
    embeddings: { create: (request) => backend.embeddings(request) },
  };
}

interface Streamed {
  readonly choices: readonly unknown[];
}

function creator<Request extends { stream?: boolean | null; stream_options?: { include_usage?: boolean } | null }, Whole, Chunk extends Streamed>(
  stream: (request: Request, signal?: AbortSignal) => AsyncIterable<Chunk>,
  whole: (request: Request, signal?: AbortSignal) => Promise<Whole>,
): Create<Request, Whole, Chunk> {
  const create = async (request: Request, { signal }: RequestOptions = {}): Promise<Whole | AsyncIterable<Chunk>> => {
    if (request.stream !== true) return whole(request, signal);
    return started(stream(request, signal), request.stream_options?.include_usage === true);
  };
  return create as Create<Request, Whole, Chunk>;
}

/** A stream whose first chunk is there, so that a request that cannot be answered fails at once; its usage only where asked for. */
async function started<Chunk extends Streamed>(chunks: AsyncIterable<Chunk>, tellsUsage: boolean): Promise<AsyncIterable<Chunk>> {
  const iterator = chunks[Symbol.asyncIterator]();
  const first = await iterator.next();
  return (async function* () {
    try {
      for (let result = first; result.done !== true; result = await iterator.next()) {
        if (tellsUsage || result.value.choices.length > 0) yield result.value;
      }
    } finally {
      await iterator.return?.();
    }
  })();
}
