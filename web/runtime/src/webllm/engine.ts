// web-llm's engine over Hearth's: models by their names, requests to one of them, what the last one said and cost.

import { LanguageModel, type LanguageModelOptions } from "../api/language_model.ts";
import { type Backend, localBackend, openAi, type OpenAi } from "../api/open_ai.ts";
import type * as api from "../api/types.ts";
import type { Device } from "../model.ts";
import { type Answer, type LastAnswer, remembered, rememberedChunks } from "./answers.ts";
import { isKept } from "./cache.ts";
import { checkRequest } from "./checks.ts";
import { type AppConfig, type ChatOptions, engineProcessor, type InitProgressCallback, type LogLevel, type LogitProcessor, type MLCEngineConfig, modelRecord, prebuiltAppConfig } from "./config.ts";
import { namedError, withNames } from "./errors.ts";
import { loadGrammars } from "./grammars.ts";
import { REQUEST_SETTINGS, Reports, unused } from "./loading.ts";
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
  readonly device: Device;
  close(): Promise<void>;
}

interface LoadedModel extends OpenModel {
  readonly id: string;
  readonly api: OpenAi;
  readonly defaults: Partial<api.GenerationRequest>;
  readonly running: Set<AbortController>;
  last: LastAnswer;
  /** The tokens of `forwardTokensAndSample`. */
  forwarded: readonly number[];
}

export type Opening = Pick<LanguageModelOptions, "contextAtMost" | "onProgress" | "signal"> & {
  /** Other models of the engine are open already. */
  readonly beside: boolean;
};

const SAYS_WHAT_IS_UNUSED: readonly LogLevel[] = ["TRACE", "DEBUG", "INFO"];

export class MLCEngine {
  readonly chat = { completions: { create: this.chatCompletion.bind(this) as MLCEngine["chatCompletion"] } };
  readonly completions = { create: this.completion.bind(this) as MLCEngine["completion"] };
  readonly embeddings = { create: (request: EmbeddingCreateParams): Promise<CreateEmbeddingResponse> => this.embedding(request) };
  #appConfig: AppConfig;
  #onProgress: InitProgressCallback | undefined;
  #processors: Map<string, LogitProcessor> | undefined;
  #models: LoadedModel[] = [];
  #loading: AbortController | undefined;
  #logLevel: LogLevel;

  constructor({ appConfig = prebuiltAppConfig, initProgressCallback, logitProcessorRegistry, logLevel = "INFO" }: MLCEngineConfig = {}) {
    this.#appConfig = appConfig;
    this.#logLevel = logLevel;
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

  /** Up to INFO the engine says what of a model's record and options does nothing here. */
  setLogLevel(level: LogLevel): void {
    this.#logLevel = level;
  }

  /** Loads models, in place of those that are loaded. Unloading ends it; it then answers all the same. */
  async reload(modelId: string | string[], chatOpts?: ChatOptions | ChatOptions[]): Promise<void> {
    const ids = [modelId].flat();
    const options = chatOpts === undefined ? [] : [chatOpts].flat();
    if (options.length > 0 && options.length !== ids.length) {
      throw namedError("ReloadArgumentSizeUnmatchedError", `${options.length} sets of options are given for ${ids.length} models.`);
    }
    if (new Set(ids).size !== ids.length) throw namedError("ReloadModelIdNotUniqueError", `A model stands twice in ${ids.join(", ")}.`);
    const unloading = this.unload();
    const loading = (this.#loading = new AbortController());
    await unloading;
    try {
      for (const [i, id] of ids.entries()) {
        loading.signal.throwIfAborted();
        const model = await this.#load(id, options[i] ?? {}, i > 0, loading.signal);
        if (loading.signal.aborted) await model.close();
        else this.#models.push(model);
      }
    } catch (error) {
      if (!loading.signal.aborted) throw error;
      console.warn(`Loading ${ids.join(", ")} was ended by unload().`);
    }
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
    checkRequest(request);
    const model = this.#model(request.model, "ChatCompletionRequest");
    const textOf = (choice: (ChatCompletion | ChatCompletionChunk)["choices"][number]): string =>
      ("message" in choice ? choice.message.content : choice.delta.content) ?? "";
    return this.#answer(model, request as api.ChatRequest, model.api.chat.completions.create, textOf);
  }

  completion(request: CompletionCreateParamsNonStreaming): Promise<Completion>;
  completion(request: CompletionCreateParamsStreaming): Promise<AsyncIterable<Completion>>;
  completion(request: CompletionCreateParamsBase): Promise<AsyncIterable<Completion> | Completion>;
  async completion(request: CompletionCreateParamsBase): Promise<AsyncIterable<Completion> | Completion> {
    checkRequest(request);
    const model = this.#model(request.model, "CompletionCreateParams");
    return this.#answer(model, request as api.TextRequest, model.api.completions.create, ({ text }) => text);
  }

  embedding(request: EmbeddingCreateParams): Promise<CreateEmbeddingResponse> {
    return withNames(async () => {
      const { id, api: open } = this.#model(request.model, "EmbeddingCreateParams");
      return { ...(await open.embeddings.create(request)), model: id };
    });
  }

  /** The token that follows those of all calls since `resetChat`. */
  async forwardTokensAndSample(inputIds: readonly number[], _isPrefill?: boolean, modelId?: string): Promise<number> {
    const model = this.#model(modelId, "forwardTokensAndSample");
    const prompt = [...model.forwarded, ...inputIds];
    const request = { prompt, max_tokens: 1, ignore_eos: true, return_token_ids: true, goes_on: model.forwarded.length > 0 };
    const answer = await this.#answer<api.TextRequest, Completion, Completion>(model, request, model.api.completions.create, ({ text }) => text);
    model.forwarded = prompt;
    return (answer as Completion).choices[0]!.token_ids![0]!;
  }

  /** Ends what is being answered: the reason that it tells is "abort". */
  interruptGenerate(): void {
    for (const { running } of this.#models) running.forEach((controller) => controller.abort());
  }

  async resetChat(keepStats = false, modelId?: string): Promise<void> {
    const model = this.#model(modelId, "resetChat");
    model.running.forEach((controller) => controller.abort());
    model.forwarded = [];
    model.last = { message: "", usage: keepStats ? model.last.usage : undefined };
  }

  async getMessage(modelId?: string): Promise<string> {
    return this.#model(modelId, "getMessage").last.message;
  }

  async runtimeStatsText(modelId?: string): Promise<string> {
    const extra = this.#model(modelId, "runtimeStatsText").last.usage?.extra;
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
  protected async open(url: string, id: string, { beside: _, ...options }: Opening): Promise<OpenModel> {
    const logitProcessor = engineProcessor(this.#processors?.get(id));
    const model = await LanguageModel.open(url, { ...options, grammars: loadGrammars, logitProcessor });
    return { backend: localBackend(model), device: model.device, close: () => model.close() };
  }

  async #load(id: string, options: ChatOptions, beside: boolean, signal: AbortSignal): Promise<LoadedModel> {
    const record = modelRecord(id, this.#appConfig);
    if (SAYS_WHAT_IS_UNUSED.includes(this.#logLevel)) unused(record, options).forEach((text) => console.info(`${id}: ${text}`));
    const settings = { ...record.overrides, ...options };
    const reports = new Reports(this.#onProgress);
    const url = new URL(record.model, globalThis.location?.href);
    const kept = await isKept(url);
    const contextAtMost = settings.context_window_size;
    const onProgress = (done: number, total: number): void => reports.loaded(done, total, kept);
    const opened = await withNames(() => this.open(url.href, id, { onProgress, signal, beside, ...(contextAtMost !== undefined && { contextAtMost }) }));
    reports.finished(opened.device);
    const defaults = Object.fromEntries(REQUEST_SETTINGS.flatMap((name) => (settings[name] === undefined ? [] : [[name, settings[name]]])));
    const { backend, device } = opened;
    return { id, backend, device, close: () => opened.close(), api: openAi(backend), defaults, running: new Set(), last: { message: "", usage: undefined }, forwarded: [] };
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
    textOf: (choice: (Whole | Chunk)["choices"][number]) => string,
  ): Promise<Whole | AsyncIterable<Chunk>> {
    const controller = new AbortController();
    model.running.add(controller);
    const onEnd = (): void => void model.running.delete(controller);
    const tellsUsage = request.stream_options?.include_usage === true;
    return withNames(async () => {
      let isStream = false;
      try {
        const asked = { ...model.defaults, ...request, ...(request.stream === true && { stream_options: { include_usage: true } }) };
        const answer = await create(asked, { signal: controller.signal });
        const last: LastAnswer = (model.last = { message: "", usage: model.last.usage }); // of one that was refused nothing is remembered
        isStream = Symbol.asyncIterator in answer;
        if (isStream) return rememberedChunks(answer as AsyncIterable<Chunk>, model.id, last, textOf, { tellsUsage, onEnd });
        return remembered(answer as Whole, model.id, last, textOf);
      } finally {
        if (!isStream) onEnd();
      }
    });
  }
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
