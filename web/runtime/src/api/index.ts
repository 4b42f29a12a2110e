// OpenAI's interface to a model, in the page's own thread or in a worker.

export { type OpenAiError, openAiError } from "./errors.ts";
export { grammarConstraints } from "./grammar.ts";
export { LanguageModel, type LanguageModelOptions } from "./language_model.ts";
export { type Backend, localBackend, openAi, type OpenAi } from "./open_ai.ts";
export type * from "./types.ts";
export { openInWorker, type OpenInWorkerOptions, type RemoteModel, serveModel } from "./worker.ts";
