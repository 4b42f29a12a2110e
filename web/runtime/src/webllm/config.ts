// Which models there are, and how an engine is set up, under web-llm's names.

import type { LogitProcessor as EngineProcessor } from "../engine/processor.ts";
import { namedError } from "./errors.ts";

export enum ModelType {
  "LLM",
  "embedding",
  "VLM",
}

/** Settings that a request's own replace. */
export interface ChatOptions {
  context_window_size?: number;
  temperature?: number;
  top_p?: number;
  repetition_penalty?: number;
  frequency_penalty?: number;
  presence_penalty?: number;
  /** What else web-llm has is taken, and does nothing. */
  [name: string]: unknown;
}

export interface ModelRecord {
  /** The URL of a bundle that Hearth compiled for WebAssembly, or of a packaged one's model.json. */
  model: string;
  model_id: string;
  /** Not used: a bundle holds its own program. */
  model_lib: string;
  overrides?: ChatOptions;
  vram_required_MB?: number;
  low_resource_required?: boolean;
  buffer_size_required_bytes?: number;
  required_features?: string[];
  model_type?: ModelType;
  integrity?: unknown;
}

export type CacheBackend = "cache" | "indexeddb" | "cross-origin" | "opfs";
export type OPFSAccessMode = "async" | "sync" | "auto";

export interface AppConfig {
  model_list: ModelRecord[];
  cacheBackend?: CacheBackend;
  opfsAccessMode?: OPFSAccessMode;
}

export type LogLevel = "TRACE" | "DEBUG" | "INFO" | "WARN" | "ERROR" | "SILENT";

export interface InitProgressReport {
  /** 0 to 1. */
  progress: number;
  /** Seconds. */
  timeElapsed: number;
  text: string;
}
export type InitProgressCallback = (report: InitProgressReport) => void;

export interface LogitProcessor {
  processLogits: (logits: Float32Array) => Float32Array;
  processSampledToken: (token: number) => void;
  resetState: () => void;
}

/** The same as Hearth's engine has it. */
export const engineProcessor = (processor: LogitProcessor | undefined): EngineProcessor | undefined =>
  processor && {
    reset: () => processor.resetState(),
    process: (logits) => processor.processLogits(logits),
    sampled: (token) => processor.processSampledToken(token),
  };

export interface MLCEngineConfig {
  appConfig?: AppConfig;
  initProgressCallback?: InitProgressCallback;
  logitProcessorRegistry?: Map<string, LogitProcessor>;
  logLevel?: LogLevel;
}

export const modelVersion = "hearth";
export const modelLibURLPrefix = "";
export const functionCallingModelIds: string[] = [];

/** Nothing is published under a name: what is here a page puts in, or `listPackaged`. */
export const prebuiltAppConfig: AppConfig = { model_list: [] };

/** A model's record; a URL is a model of its own. */
export function modelRecord(modelId: string, { model_list }: AppConfig): ModelRecord {
  const known = model_list.find(({ model_id: id }) => id === modelId);
  if (known !== undefined) return known;
  if (/^(?:https?:)?\.{0,2}\//.test(modelId)) return { model: modelId, model_id: modelId, model_lib: "" };
  const names = model_list.map(({ model_id: id }) => id).join(", ") || "none";
  throw namedError("ModelNotFoundError", `There is no model ${modelId} in appConfig.model_list. It has: ${names}.`);
}
