// A GPU that is open: its device, buffers on it, and its errors, which become errors of ours. WebGPU reports most of them
// late and elsewhere, so whatever is made is made inside error scopes.

import { HearthError } from "../errors.ts";
import { soon } from "./soon.ts";

/** What a plan asks of an adapter, whatever sizes its sessions have. */
export interface Needs {
  /** Of the largest buffer, and of the largest range of one that a step binds. */
  readonly bufferBytes: number;
  readonly bindingBytes: number;
  /** Of a step, the uniforms not counted. */
  readonly storageBuffers: number;
  /** Of a workgroup. */
  readonly invocations: number;
}

// What every adapter has is not asked for, and memory is: how large states are is said later, by sessions.
const LIMITS: readonly (readonly [keyof Needs, keyof GPUSupportedLimits, string])[] = [
  ["bufferBytes", "maxBufferSize", "buffers of NEEDED bytes, it has at most MOST"],
  ["bindingBytes", "maxStorageBufferBindingSize", "to bind NEEDED bytes at once, it binds at most MOST"],
  ["storageBuffers", "maxStorageBuffersPerShaderStage", "NEEDED buffers in a step, it has at most MOST"],
  ["invocations", "maxComputeInvocationsPerWorkgroup", "groups of NEEDED threads, it has at most MOST"],
  ["invocations", "maxComputeWorkgroupSizeX", "groups of NEEDED threads along an axis, it has at most MOST"],
];

/** GPUBufferUsage and GPUMapMode of the specification. */
export const USAGE = { MAP_READ: 1, COPY_SRC: 4, COPY_DST: 8, UNIFORM: 64, STORAGE: 128 } as const;
export const MAP_READ = 1;

const PATIENCE_MS = 4;
const SCOPES: readonly GPUErrorFilter[] = ["validation", "out-of-memory", "internal"];
const ELSEWHERE = "Use the processor: device: \"wasm\".";

/** What WebGPU calls the features of variants that a device is opened with. */
const DEVICE_FEATURES: readonly (readonly [string, GPUFeatureName])[] = [
  ["f16", "shader-f16"],
  ["subgroups", "subgroups"],
];
const DOT4 = "packed_4x8_integer_dot_product";

/** The GPU is gone, or has failed so that nothing on it is to be relied on; opened once more it may be had again. */
export class GpuLost extends HearthError {}

export class Gpu {
  readonly device: GPUDevice;
  /** The adapter, for people. */
  readonly name: string;
  /** Of all buffers that are there now. */
  allocatedBytes = 0;
  #trouble: HearthError | undefined;

  private constructor(device: GPUDevice, name: string) {
    this.device = device;
    this.name = name;
    device.addEventListener("uncapturederror", ({ error }) => {
      const trouble = problem(error, `The GPU ${name} failed.`);
      this.#note(new GpuLost(trouble.kind, trouble.what, trouble));
    });
    void device.lost.then(({ message }) => this.#note(lost(name, message)));
  }

  /** Opens an adapter, once, or says what it lacks. */
  static async open(adapter: GPUAdapter, needs: Needs): Promise<Gpu> {
    const name = adapterName(adapter);
    for (const [need, limit, text] of LIMITS) {
      const [needed, most] = [needs[need], adapter.limits[limit] as number];
      if (needed <= most) continue;
      const why = `The model needs ${text.replace("NEEDED", String(needed)).replace("MOST", String(most))}.`;
      throw new HearthError("device", `The GPU ${name} cannot run this model.`, { why, hint: ELSEWHERE });
    }
    const requiredFeatures = DEVICE_FEATURES.map(([, feature]) => feature).filter((feature) => adapter.features.has(feature));
    const requiredLimits = Object.fromEntries(LIMITS.map(([, limit]) => [limit, adapter.limits[limit] as number]));
    try {
      return new Gpu(await adapter.requestDevice({ label: "hearth", requiredFeatures, requiredLimits }), name);
    } catch (error) {
      throw new HearthError("device", `The GPU ${name} cannot be opened.`, { why: String(error), hint: ELSEWHERE });
    }
  }

  get isLost(): boolean {
    return this.#trouble instanceof GpuLost;
  }

  /** Fails where it is lost. */
  requireSound(): void {
    if (this.#trouble !== undefined) throw this.#trouble;
  }

  /** Makes something inside error scopes: what is invalid, or has no memory, is an error of `what`. */
  async make<Made>(what: string, make: () => Made): Promise<Made> {
    this.requireSound();
    for (const scope of SCOPES) this.device.pushErrorScope(scope);
    let popped: Promise<void>;
    let made: Made;
    try {
      made = make();
    } finally {
      popped = this.popScopes(SCOPES.length, what);
      popped.catch(() => undefined); // looked at below, unless it threw
    }
    await popped;
    this.requireSound();
    return made;
  }

  /** Ends the innermost scopes, and fails with what one of them caught. */
  async popScopes(count: number, what: string): Promise<void> {
    const caught = await Promise.all(Array.from({ length: count }, () => this.device.popErrorScope())).catch((error: unknown) => {
      throw this.explain(error, what);
    });
    for (const error of caught) if (error !== null) throw problem(error, what);
  }

  /** Makes a buffer of zeroes, in scopes that are the caller's. */
  createBuffer(label: string, size: number, usage: GPUBufferUsageFlags): GPUBuffer {
    const buffer = this.device.createBuffer({ label, size, usage });
    this.allocatedBytes += size;
    return buffer;
  }

  destroyBuffer(buffer: GPUBuffer): void {
    this.allocatedBytes -= buffer.size;
    buffer.destroy();
  }

  /** Why something that was waited for did not come: the GPU was lost, or else `what` and the reason given. */
  explain(error: unknown, what: string): HearthError {
    if (this.#trouble !== undefined) return this.#trouble;
    return error instanceof HearthError ? error : new HearthError("device", what, { why: String(error), hint: ELSEWHERE });
  }

  /** Waits until all that was submitted is done; fails where it was lost on the way. */
  async wait(what: string): Promise<void> {
    const done = this.device.queue.onSubmittedWorkDone();
    // Firefox looks ten times a second, and whenever something is submitted.
    while (!(await soon(done, PATIENCE_MS))) this.device.queue.submit([]);
    await done.catch((error: unknown) => {
      throw this.explain(error, what);
    });
    this.requireSound();
  }

  close(): void {
    this.#note(new HearthError("usage", "The model is closed."));
    this.device.destroy();
  }

  #note(error: HearthError): void {
    this.#trouble ??= error;
  }
}

/** The page's GPU. `software`: also one that is played by a program. */
export async function findAdapter(software: boolean): Promise<GPUAdapter> {
  const gpu = (globalThis.navigator as Navigator | undefined)?.gpu;
  if (gpu === undefined) {
    const secure = globalThis.isSecureContext !== false;
    const why = secure ? "This browser has no WebGPU, or it is switched off." : "Pages have WebGPU over https or on localhost only.";
    throw new HearthError("device", "There is no GPU.", { why, hint: ELSEWHERE });
  }
  const adapter = await gpu.requestAdapter({ powerPreference: "high-performance" });
  if (adapter === null) {
    throw new HearthError("device", "There is no GPU.", { why: "The browser offers none of this machine's.", hint: ELSEWHERE });
  }
  if (adapter.info.isFallbackAdapter && !software) {
    const why = `The GPU ${adapterName(adapter)} is a program that plays one, slower than the processor's own kernels.`;
    throw new HearthError("device", "There is no GPU.", { why, hint: ELSEWHERE });
  }
  return adapter;
}

function adapterName({ info }: GPUAdapter): string {
  if (info.description) return info.description;
  return [info.vendor, info.architecture, info.device].filter(Boolean).join(" ") || "without a name";
}

/** Features of variants that an adapter has. */
export function featuresOf(adapter: GPUAdapter): ReadonlySet<string> {
  const has = new Set(DEVICE_FEATURES.filter(([, feature]) => adapter.features.has(feature)).map(([name]) => name));
  const language = navigator.gpu.wgslLanguageFeatures as WGSLLanguageFeatures | undefined; // older browsers have none
  if (language?.has(DOT4) === true) has.add("dot4");
  return has;
}

function lost(name: string, message: string): GpuLost {
  return new GpuLost("device", `The GPU ${name} was lost.`, { why: message, hint: "Load the model again." });
}

function problem(error: GPUError, what: string): HearthError {
  const memory = typeof GPUOutOfMemoryError !== "undefined" && error instanceof GPUOutOfMemoryError;
  const hint = memory ? "Use a smaller context, a smaller model or a smaller number format, or close other pages." : ELSEWHERE;
  return new HearthError(memory ? "memory" : "device", what, { why: error.message, hint });
}
