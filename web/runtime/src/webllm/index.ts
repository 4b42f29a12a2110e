// @hearth/web/webllm: takes the place of `@mlc-ai/web-llm` by a bundler's alias. Models are bundles of Hearth: `model` of a model's
// record is a bundle's URL.

export { deleteChatConfigInCache, deleteModelAllInfoInCache, deleteModelInCache, deleteModelWasmInCache, hasModelInCache } from "./cache.ts";
export {
  type AppConfig,
  type CacheBackend,
  type ChatOptions,
  functionCallingModelIds,
  type InitProgressCallback,
  type InitProgressReport,
  type LogitProcessor,
  type LogLevel,
  type MLCEngineConfig,
  modelLibURLPrefix,
  type ModelRecord,
  ModelType,
  modelVersion,
  type OPFSAccessMode,
  prebuiltAppConfig,
} from "./config.ts";
export { CreateMLCEngine, MLCEngine, type MLCEngine as MLCEngineInterface } from "./engine.ts";
export { IntegrityError } from "./errors.ts";
export { appConfigOf, listPackaged } from "./sites.ts";
export { isValidSRI, verifyIntegrity } from "./integrity.ts";
export type * from "./requests.ts";
export {
  CreateExtensionServiceWorkerMLCEngine,
  type ExtensionMLCEngineConfig,
  ExtensionServiceWorkerMLCEngine,
  ExtensionServiceWorkerMLCEngineHandler,
} from "./extension.ts";
export { CreateServiceWorkerMLCEngine, ServiceWorkerMLCEngine, ServiceWorkerMLCEngineHandler } from "./service_worker.ts";
export { type ChatWorker, CreateWebWorkerMLCEngine, WebWorkerMLCEngine, WebWorkerMLCEngineHandler } from "./workers.ts";
