// web-llm's engine over Hearth's: models by their names, requests to one of them, what the last one said and cost.

import { LanguageModel, type LanguageModelOptions } from "../api/language_model.ts";
import { type Backend, localBackend, openAi, type OpenAi } from "../api/open_ai.ts";
import type * as api from "../api/types.ts";
import { type AppConfig, type ChatOptions, engineProcessor, type InitProgressCallback, type LogLevel, type LogitProcessor, type MLCEngineConfig, modelRecord, prebuiltAppConfig } from "./config.ts";
import { namedError, withNames } from "./errors.ts";
import { loadGrammars } from "./grammars.ts";
import type {
  ChatCompletion,
  ChatCompletionChunk,
  ChatCompletionRequestBase,
  ChatCompletionRequestNonStreaming,
  ChatCompletionRequestStreaming,
  Completion,
  CompletionCreateParamsBase,
  CompletionCreateParamsNonStreaming,
  CompletionCreateParamsStreaming,
  CreateEmbeddingResponse,
  EmbeddingCreateParams,
} from "./requests.ts";

/** A model that answers, here or in a worker. */
export interface OpenModel {
  readonly backend: Backend;
  close(): Promise<void>;
}

interface LoadedModel extends OpenModel {
  readonly id: string;
  readonly api: OpenAi;
  readonly defaults: Partial<api.GenerationRequest>;
  readonly running: Set<AbortController>;
  message: string;
  usage: api.Usage | undefined;
}

export type Opening = Pick<LanguageModelOptions, "context" | "onProgress" | "signal">;

const DEFAULTS = ["temperature", "top_p", "repetition_penalty", "frequency_penalty", "presence_penalty"] as const;
const MEGABYTE = 1 << 20;

export class MLCEngine {
  readonly chat = { completions: { create: this.chatCompletion.bind(this) as MLCEngine["chatCompletion"] } };
  readonly completions = { create: this.completion.bind(this) as MLCEngine["completion"] };
  readonly embeddings = { create: (request: EmbeddingCreateParams): Promise<CreateEmbeddingResponse> => this.embedding(request) };
  #appConfig: AppConfig;
  #onProgress: InitProgressCallback | undefined;
  #processors: Map<string, LogitProcessor> | undefined;
  #models: LoadedModel[] = [];
  #loading: AbortController | undefined;

  constructor({ appConfig = prebuiltAppConfig, initProgressCallback, logitProcessorRegistry }: MLCEngineConfig = {}) {
    this.#appConfig = appConfig;
    this.#onProgress = initProgressCallback;
    this.#processors = logitProcessorRegistry;
  }

  setAppConfig(appConfig: AppConfig): void {
    this.#appConfig = appConfig;
  }

  setInitProgressCallback(callback?: InitProgressCallback): void {
    this.#onProgress = callback;
  }

  getInitProgressCallback(): InitProgressCallback | undefined {
    return this.#onProgress;
  }

  /** By the models' ids; for models that are loaded from then on. In a worker the handler has them. */
  setLogitProcessorRegistry(registry?: Map<string, LogitProcessor>): void {
    this.#processors = registry;
  }

  setLogLevel(_level: LogLevel): void {
    // Hearth writes nothing but what is ignored of a model's record.
  }

  /** Loads models, in place of those that are loaded. */
  async reload(modelId: string | string[], chatOpts?: ChatOptions | ChatOptions[]): Promise<void> {
    const ids = [modelId].flat();
    const options = chatOpts === undefined ? [] : [chatOpts].flat();
    if (options.length > 0 && options.length !== ids.length) {
      throw namedError("ReloadArgumentSizeUnmatchedError", `${options.length} sets of options are given for ${ids.length} models.`);
    }
    if (new Set(ids).size !== ids.length) throw namedError("ReloadModelIdNotUniqueError", `A model stands twice in ${ids.join(", ")}.`);
    await this.unload();
    this.#loading = new AbortController();
    for (const [i, id] of ids.entries()) this.#models.push(await this.#load(id, options[i] ?? {}, this.#loading.signal));
  }

  async unload(): Promise<void> {
    this.#loading?.abort();
    const models = this.#models;
    this.#models = [];
    await Promise.all(models.map((model) => model.close()));
  }

  chatCompletion(request: ChatCompletionRequestNonStreaming): Promise<ChatCompletion>;
  chatCompletion(request: ChatCompletionRequestStreaming): Promise<AsyncIterable<ChatCompletionChunk>>;
  chatCompletion(request: ChatCompletionRequestBase): Promise<AsyncIterable<ChatCompletionChunk> | ChatCompletion>;
  async chatCompletion(request: ChatCompletionRequestBase): Promise<AsyncIterable<ChatCompletionChunk> | ChatCompletion> {
    checkStream(request);
    const model = this.#model(request.model, "ChatCompletionRequest");
    const create = model.api.chat.completions.create;
    return this.#answer(model, request as api.ChatRequest, create, ({ choices }) => {
      const [choice] = choices as ((ChatCompletion | ChatCompletionChunk)["choices"][number] | undefined)[];
      return (choice && ("message" in choice ? choice.message.content : choice.delta.content)) ?? "";
    });
  }

  completion(request: CompletionCreateParamsNonStreaming): Promise<Completion>;
  completion(request: CompletionCreateParamsStreaming): Promise<AsyncIterable<Completion>>;
  completion(request: CompletionCreateParamsBase): Promise<AsyncIterable<Completion> | Completion>;
  async completion(request: CompletionCreateParamsBase): Promise<AsyncIterable<Completion> | Completion> {
    checkStream(request);
    const model = this.#model(request.model, "CompletionCreateParams");
    return this.#answer(model, request as api.TextRequest, model.api.completions.create, ({ choices }) => choices[0]?.text ?? "");
  }

  embedding(request: EmbeddingCreateParams): Promise<CreateEmbeddingResponse> {
    return withNames(async () => this.#model(request.model, "EmbeddingCreateParams").api.embeddings.create(request));
  }

  /** Ends what is being answered: the reason that it tells is "abort". */
  interruptGenerate(): void {
    for (const { running } of this.#models) running.forEach((controller) => controller.abort());
  }

  async resetChat(keepStats = false, modelId?: string): Promise<void> {
    const model = this.#model(modelId, "resetChat");
    model.running.forEach((controller) => controller.abort());
    model.message = "";
    if (!keepStats) model.usage = undefined;
  }

  async getMessage(modelId?: string): Promise<string> {
    return this.#model(modelId, "getMessage").message;
  }

  async runtimeStatsText(modelId?: string): Promise<string> {
    const extra = this.#model(modelId, "runtimeStatsText").usage?.extra;
    if (extra === undefined) return "";
    return `prefill: ${extra.prefill_tokens_per_s.toFixed(4)} tokens/sec, decoding: ${extra.decode_tokens_per_s.toFixed(4)} tokens/sec`;
  }

  async getMaxStorageBufferBindingSize(): Promise<number> {
    return (await gpuAdapter())?.limits.maxStorageBufferBindingSize ?? 0;
  }

  async getGPUVendor(): Promise<string> {
    return (await gpuAdapter())?.info.vendor ?? "";
  }

  /** Where the model computes. */
  protected async open(url: string, id: string, options: Opening): Promise<OpenModel> {
    const logitProcessor = engineProcessor(this.#processors?.get(id));
    const model = await LanguageModel.open(url, { ...options, grammars: loadGrammars, logitProcessor });
    return { backend: localBackend(model), close: () => model.close() };
  }

  async #load(id: string, options: ChatOptions, signal: AbortSignal): Promise<LoadedModel> {
    const record = modelRecord(id, this.#appConfig);
    if (record.model_lib !== "") console.info(`${id}: model_lib is not used: a bundle of Hearth holds its own program.`);
    const settings = { ...record.overrides, ...options };
    const begun = performance.now();
    const tell = (progress: number, text: string): void => this.#onProgress?.({ progress, timeElapsed: (performance.now() - begun) / 1000, text });
    tell(0, `Start to fetch ${id}`);
    const onProgress = (done: number, total: number): void => {
      tell(total > 0 ? done / total : 0, `Loading ${id}: ${Math.round(done / MEGABYTE)} of ${Math.round(total / MEGABYTE)} MB`);
    };
    const context = settings.context_window_size;
    const url = new URL(record.model, globalThis.location?.href).href;
    const opened = await this.open(url, id, { onProgress, signal, ...(context !== undefined && { context }) });
    tell(1, `Finish loading ${id}`);
    const defaults = Object.fromEntries(DEFAULTS.flatMap((name) => (settings[name] === undefined ? [] : [[name, settings[name]]])));
    return { ...opened, id, api: openAi(opened.backend), defaults, running: new Set(), message: "", usage: undefined };
  }

  #model(id: string | null | undefined, what: string): LoadedModel {
    const loaded = this.#models.map((each) => each.id);
    if (loaded.length === 0) throw namedError("ModelNotLoadedError", `${what}: no model is loaded. Call reload(modelId) first.`);
    if (id == null && loaded.length > 1) throw namedError("UnclearModelToUseError", `${what}: model must say which of ${loaded.join(", ")}.`);
    const model = this.#models.find((each) => each.id === id) ?? (id == null ? this.#models[0] : undefined);
    if (model !== undefined) return model;
    throw namedError("SpecifiedModelNotFoundError", `${what}: the model ${id} is not loaded. Loaded: ${loaded.join(", ")}.`);
  }

  /** One request, whose text and cost the engine remembers. */
  #answer<Request extends api.GenerationRequest, Whole extends Answer, Chunk extends Answer>(
    model: LoadedModel,
    request: Request,
    create: (request: Request, options: { signal: AbortSignal }) => Promise<Whole | AsyncIterable<Chunk>>,
    textOf: (answer: Whole | Chunk) => string,
  ): Promise<Whole | AsyncIterable<Chunk>> {
    const controller = new AbortController();
    model.running.add(controller);
    const note = (answer: Whole | Chunk): void => {
      model.message += textOf(answer);
      model.usage = answer.usage ?? model.usage;
    };
    const tellsUsage = request.stream_options?.include_usage === true;
    return withNames(async () => {
      let isStream = false;
      try {
        const asked = { ...model.defaults, ...request, ...(request.stream === true && { stream_options: { include_usage: true } }) };
        const answer = await create(asked, { signal: controller.signal });
        model.message = "";
        isStream = Symbol.asyncIterator in answer;
        if (!isStream) note(answer as Whole);
        else return noted(answer as AsyncIterable<Chunk>, note, tellsUsage, () => model.running.delete(controller));
        return answer;
      } finally {
        if (!isStream) model.running.delete(controller);
      }
    });
  }
}

interface Answer {
  readonly choices: readonly unknown[];
  readonly usage?: api.Usage;
}

async function* noted<Chunk extends Answer>(chunks: AsyncIterable<Chunk>, note: (chunk: Chunk) => void, tellsUsage: boolean, onEnd: () => void): AsyncGenerator<Chunk, void, void> {
  try {
    for await (const chunk of chunks) {
      note(chunk);
      if (tellsUsage || chunk.choices.length > 0) yield chunk;
    }
  } finally {
    onEnd();
  }
}

function checkStream({ stream, stream_options: options, n }: { stream?: boolean | null; stream_options?: unknown; n?: number | null }): void {
  if (stream === true && (n ?? 1) > 1) throw namedError("StreamingCountError", "A stream has one choice: n must be 1.");
  if (stream !== true && options != null) throw namedError("InvalidStreamOptionsError", "stream_options are for requests with stream: true.");
}

interface GpuAdapter {
  readonly limits: { readonly maxStorageBufferBindingSize: number };
  readonly info: { readonly vendor: string };
}

async function gpuAdapter(): Promise<GpuAdapter | null> {
  const { gpu } = globalThis.navigator as { gpu?: { requestAdapter(): Promise<GpuAdapter | null> } };
  return (await gpu?.requestAdapter()) ?? null;
}

/** An engine with a model, or several. */
export async function CreateMLCEngine(modelId: string | string[], engineConfig?: MLCEngineConfig, chatOpts?: ChatOptions | ChatOptions[]): Promise<MLCEngine> {
  const engine = new MLCEngine(engineConfig);
  await engine.reload(modelId, chatOpts);
  return engine;
}
