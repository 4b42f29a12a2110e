// The engine: token ids in, token ids out.

export type { Constraint } from "./constraint.ts";
export { Engine, type EngineOptions, type RequestOptions } from "./engine.ts";
export type { Forward, ForwardBatch, ForwardInfo, ForwardResult as EngineForwardResult, OutputName, StepsAhead } from "./forward.ts";
export type { SamplingParams } from "./params.ts";
export type { LogitProcessor } from "./processor.ts";
export type { Finish, TokenEvent, Usage as EngineUsage } from "./sequence.ts";
