// An open model: the plan's description, what computes it, and sessions over its weights.

import { HearthError } from "./errors.ts";
import type { KnownAnswers } from "./gpu/known_answers.ts";
import { GpuModel } from "./gpu/model.ts";
import { chooseKernels } from "./gpu/race.ts";
import { type ModelInfo, textInfo, type TextInfo } from "./info.ts";
import type { Library, Region } from "./library.ts";
import type { Manifest } from "./manifest.ts";
import { Session, type SessionSizes } from "./session.ts";
import { Staging } from "./staging.ts";
import { OPEN_OPTIONS, writeStruct } from "./structs.ts";
import type { ThreadCount } from "./threads.ts";

/** What computes a model. */
export interface Device {
  /** The page's GPU, or the processor. */
  readonly kind: "webgpu" | "wasm";
  /** The adapter, or the instruction set in use and the number of threads, for people. */
  readonly name: string;
  /** How many threads of the processor compute; 0: none of them. */
  readonly threads: number;
  /** Why it is this one and not the GPU, where that was to be used if it could be; why there are fewer threads than were to be. */
  readonly why: string;
  /** Whether the GPU has shown that it computes what the processor computes: the bundle must have known answers. */
  readonly isChecked: boolean;
  /** Kernels that use more than every GPU has, and what: of `f16`, `subgroups`, `dot4`. */
  readonly variants: Readonly<Record<string, string>>;
}

/** What the bundle's files say beside the plan. */
export interface About {
  readonly manifest: Manifest;
  readonly endIds: readonly number[];
}

/** A model that is open somewhere: in a module, and its weights in that one's memory or on the GPU. */
export interface Placed {
  readonly library: Library;
  readonly pointer: number;
  readonly weights: Region | GpuModel;
  readonly info: ModelInfo;
  readonly device: Device;
}

/** Opens what lies in a module's memory for the processor: `weights` are there, `weightsBytes` of them. */
export function placeInModule(library: Library, about: About, plan: Uint8Array, weights: Region, weightsBytes: number, why: string): Placed {
  const pointer = openPlan(library, about, plan, weights, weightsBytes, "cpu");
  const info = describe(library, pointer);
  return { library, pointer, weights, info, device: processor(info, library.threads.count, why) };
}

/** What a GPU needs of a bundle. */
export interface GpuFiles {
  readonly plan: Uint8Array;
  /** The content of gpu_kernels.wgsl. */
  readonly shaders: string;
  /** What it has to compute; without them it is not checked. */
  readonly known: KnownAnswers | undefined;
  /** Begins weights.bin, once there is room for it. */
  readonly weights: () => AsyncIterable<Uint8Array>;
}

/** Opens a model on a GPU, and has that show what it computes. */
export async function placeOnGpu(library: Library, about: About, files: GpuFiles, adapter: GPUAdapter, memoryLimitBytes: number | undefined): Promise<Placed> {
  const { plan, shaders, known, weights } = files;
  const pointer = openPlan(library, about, plan, undefined, 0, "gpu");
  let gpu: GpuModel | undefined;
  try {
    const info = describe(library, pointer);
    gpu = await GpuModel.open(library, pointer, shaders, weights, { adapter, memoryLimitBytes, isChecked: known !== undefined });
    const session = (sizes: SessionSizes): Promise<Session> => Session.create(library, info, pointer, sizes, gpu, () => undefined);
    if (known !== undefined) await chooseKernels(gpu, known, gpu.record, (textInfo(info)?.stateBytesPerSlot ?? 0) > 0, session);
    const device = { kind: "webgpu", name: gpu.gpu.name, threads: 0, why: "", isChecked: gpu.isChecked, variants: gpu.variants } as const;
    return { library, pointer, weights: gpu, info, device };
  } catch (error) {
    gpu?.close();
    library.call("hearth_close", pointer);
    throw error;
  }
}

export class Model {
  readonly manifest: Manifest;
  /** Tokens that end an answer. */
  readonly endIds: readonly number[];
  readonly #place: () => Promise<Placed>;
  readonly #sessions = new Set<Session>();
  #placed: Placed;
  #isOpen = true;
  #isClosed = false;

  /** @param place opens it once more. */
  constructor(about: About, placed: Placed, place: () => Promise<Placed>) {
    this.manifest = about.manifest;
    this.endIds = about.endIds;
    this.#placed = placed;
    this.#place = place;
  }

  get info(): ModelInfo {
    return this.#placed.info;
  }

  /** What of it concerns a language model; undefined for others. */
  get text(): TextInfo | undefined {
    return textInfo(this.info);
  }

  get device(): Device {
    return this.#placed.device;
  }

  /**
   * Takes memory for calls of this model's functions.
   *
   * @param sizes how many units the model's states have, by the name of their symbol: a language model has `pages`, of
   *   `text.pageTokens` positions of one sequence each, and where `text.stateBytesPerSlot` is not 0 `slots`.
   */
  async session(sizes: SessionSizes = {}): Promise<Session> {
    if (!this.#isOpen) throw new HearthError("usage", "The model is closed.");
    const { library, pointer, weights, info } = this.#placed;
    const forget = (session: Session): unknown => this.#sessions.delete(session);
    const gpu = weights instanceof GpuModel ? weights : undefined;
    const session = await Session.create(library, info, pointer, sizes, gpu, forget);
    this.#sessions.add(session);
    return session;
  }

  /** Bytes of the page's own memory that the model and its sessions hold, all of them. */
  get memoryBytes(): number {
    return this.#placed.library.memoryBytes;
  }

  /**
   * Opens the model once more after its GPU was lost: there, or on the processor where that is not to be had and the model was
   * opened with `device: "auto"`. Its sessions are closed, and what they held is lost. Where it fails it may be tried again.
   */
  async reopen(): Promise<void> {
    if (this.#isClosed) throw new HearthError("usage", "The model is closed.");
    this.#release();
    this.#placed = await this.#place();
    this.#isOpen = true;
    if (this.#isClosed) this.#release();
  }

  /** Gives the model and its sessions back. */
  close(): void {
    this.#isClosed = true;
    this.#release();
  }

  #release(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    const { library, pointer, weights } = this.#placed;
    try {
      for (const session of [...this.#sessions]) session.close();
      library.call("hearth_close", pointer);
      if (weights instanceof GpuModel) weights.close();
      else library.free(weights);
    } finally {
      library.close();
    }
  }
}

function processor({ isa }: ModelInfo, { count, why }: ThreadCount, whyNoGpu: string): Device {
  const name = `${isa}, ${count} thread${count === 1 ? "" : "s"}`;
  const reasons = [whyNoGpu, why].filter(Boolean).join(" ");
  return { kind: "wasm", name, threads: count, why: reasons, isChecked: false, variants: {} };
}

/** hearth_open_memory; answers the model. */
function openPlan(
  library: Library,
  about: About,
  plan: Uint8Array,
  weights: Region | undefined,
  weightsBytes: number,
  device: "cpu" | "gpu",
): number {
  const staging = new Staging(library);
  staging.begin(plan.length + OPEN_OPTIONS.size + 4 + device.length + 1, 4);
  const answer = staging.reserve(4);
  const options = staging.reserve(OPEN_OPTIONS.size);
  const sizes = [BigInt(plan.length), BigInt(weightsBytes)] as const;
  writeStruct(library.view, options, OPEN_OPTIONS, { struct_size: OPEN_OPTIONS.size, device: staging.putText(device) });
  const what = `The bundle of ${about.manifest.source_name} cannot be opened.`;
  try {
    library.check(what, "hearth_open_memory", staging.put(plan), sizes[0], weights?.at ?? 0, sizes[1], options, answer);
    return library.view.getUint32(answer, true);
  } finally {
    staging.free();
  }
}

const describe = (library: Library, model: number): ModelInfo =>
  JSON.parse(library.text(library.call("hearth_describe", model))) as ModelInfo;
