// @hearth/web: what a program uses.

export { loadBundle, type LoadOptions } from "./bundle.ts";
export { HearthError, type ErrorKind } from "./errors.ts";
export { hasFeature } from "./features.ts";
export { type BundleFiles, fetchedFiles, filesOf } from "./files.ts";
export type { Dtype, FunctionInfo, ModelInfo, TensorInfo, TextInfo } from "./info.ts";
export type { Manifest } from "./manifest.ts";
export type { DecodeOptions } from "./gpu/calls.ts";
export type { GpuCounters } from "./gpu/session.ts";
export { type Device, Model } from "./model.ts";
export { type Batch, type ForwardResult, Session, type Tensor } from "./session.ts";
export * from "./engine/index.ts";
export * from "./text/index.ts";
export * from "./api/index.ts";
export * from "./store/index.ts";
