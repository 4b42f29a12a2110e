// The engine: token ids in, token ids out.

export type { Constraint } from "./constraint.ts";
export { Engine, type EngineOptions } from "./engine.ts";
export type { Forward, ForwardBatch, ForwardInfo, ForwardResult, OutputName } from "./forward.ts";
export { samplingParams, type SamplingParams } from "./params.ts";
export type { FinishReason, Request, TokenEvent, Usage } from "./sequence.ts";
