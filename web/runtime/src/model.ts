// An open model: the plan's description, what computes it, and sessions over its weights.

import { HearthError } from "./errors.ts";
import { GpuModel, type GpuModelOptions } from "./gpu/model.ts";
import { type ModelInfo, textInfo, type TextInfo } from "./info.ts";
import type { Library, Region } from "./library.ts";
import type { Manifest } from "./manifest.ts";
import { Session } from "./session.ts";
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
}

/** What the bundle's files say beside the plan. */
export interface About {
  readonly manifest: Manifest;
  readonly endIds: readonly number[];
}

export class Model {
  readonly info: ModelInfo;
  /** What of it concerns a language model; undefined for others. */
  readonly text: TextInfo | undefined;
  readonly manifest: Manifest;
  /** Tokens that end an answer. */
  readonly endIds: readonly number[];
  readonly device: Device;
  readonly #library: Library;
  readonly #weights: Region | undefined;
  readonly #gpu: GpuModel | undefined;
  #pointer: number;
  readonly #sessions = new Set<Session>();

  private constructor(library: Library, about: About, pointer: number, where: Region | GpuModel, why: string) {
    this.#library = library;
    this.manifest = about.manifest;
    this.endIds = about.endIds;
    this.#pointer = pointer;
    this.#gpu = where instanceof GpuModel ? where : undefined;
    this.#weights = where instanceof GpuModel ? undefined : where;
    this.info = describe(library, pointer);
    this.text = textInfo(this.info);
    this.device = this.#gpu === undefined ? processor(this.info, library.threads.count, why) : { kind: "webgpu", name: this.#gpu.gpu.name, threads: 0, why };
  }

  /** Opens what lies in a module's memory for the processor: `weights` are there, `weightsBytes` of them. */
  static open(library: Library, about: About, plan: Uint8Array, weights: Region, weightsBytes: number, why: string): Model {
    return new Model(library, about, openPlan(library, about, plan, weights, weightsBytes, "cpu"), weights, why);
  }

  /** Opens a plan for a GPU whose weights come there as GpuModel.open says. */
  static async openOnGpu(
    library: Library,
    about: About,
    plan: Uint8Array,
    shaders: string,
    weights: () => AsyncIterable<Uint8Array>,
    options: GpuModelOptions,
  ): Promise<Model> {
    const pointer = openPlan(library, about, plan, undefined, 0, "gpu");
    try {
      return new Model(library, about, pointer, await GpuModel.open(library, pointer, shaders, weights, options), "");
    } catch (error) {
      library.call("hearth_close", pointer);
      throw error;
    }
  }

  /**
   * Takes memory for calls of this model's functions.
   *
   * @param sizes how many units the model's states have, by the name of their symbol: a language model has `pages`, of
   *   `text.pageTokens` positions of one sequence each.
   */
  async session(sizes: Readonly<Record<string, number>> = {}): Promise<Session> {
    if (this.#pointer === 0) throw new HearthError("usage", "The model is closed.");
    const forget = (session: Session): unknown => this.#sessions.delete(session);
    const session = await Session.create(this.#library, this.info, this.#pointer, sizes, this.#gpu, forget);
    this.#sessions.add(session);
    return session;
  }

  /** Bytes of the page's own memory that the model and its sessions hold, all of them. */
  get memoryBytes(): number {
    return this.#library.memoryBytes;
  }

  /** Gives the model and its sessions back. */
  close(): void {
    if (this.#pointer === 0) return;
    try {
      for (const session of [...this.#sessions]) session.close();
      this.#library.call("hearth_close", this.#pointer);
      if (this.#weights !== undefined) this.#library.free(this.#weights);
      this.#gpu?.close();
    } finally {
      this.#library.close();
      this.#pointer = 0;
    }
  }
}

function processor({ isa }: ModelInfo, { count, why }: ThreadCount, whyNoGpu: string): Device {
  const name = `${isa}, ${count} thread${count === 1 ? "" : "s"}`;
  return { kind: "wasm", name, threads: count, why: [whyNoGpu, why].filter(Boolean).join(" ") };
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
