// A model on the GPU: what of it is made once for all sessions, and the memory that all of them take, which is known from the
// plan before any is taken.

import { HearthError } from "../errors.ts";
import type { Library } from "../library.ts";
import { featuresOf, Gpu, type Needs, USAGE } from "./gpu.ts";
import { Pipelines } from "./pipelines.ts";
import { RaceRecord } from "./race_record.ts";
import { GpuSession, requireStates, sessionBytes } from "./session.ts";
import { CORE, type Kernel, kernelsOf, readShaders, type Shader } from "./shaders.ts";
import { type GpuPlan, type PlanBuffer, readPlan, readSessionMemory } from "./tables.ts";
import { layoutWeights, uploadWeights, type WeightLayout } from "./weights.ts";

export interface GpuModelOptions {
  /** To open, once. */
  readonly adapter: GPUAdapter;
  /** Take no more of the GPU's memory than this, weights and sessions together. */
  readonly memoryLimitBytes: number | undefined;
  /** Whether what it computes will be checked: else it uses no variants of kernels. */
  readonly isChecked: boolean;
}

export class GpuModel {
  readonly gpu: Gpu;
  readonly plan: GpuPlan;
  /** As the plan has them. */
  readonly kernels: readonly Kernel[];
  /** What races on this adapter have found. */
  readonly record: RaceRecord;
  readonly isChecked: boolean;
  readonly #library: Library;
  readonly #made: Pipelines;
  #shaders: readonly Shader[] = [];
  #pipelines: readonly GPUComputePipeline[] = [];
  readonly #layout: WeightLayout;
  readonly #weights: readonly GPUBuffer[];
  readonly #limit: number;
  readonly #sessions = new Map<GpuSession, number>();

  private constructor(
    library: Library,
    gpu: Gpu,
    plan: GpuPlan,
    kernels: readonly Kernel[],
    record: RaceRecord,
    layout: WeightLayout,
    weights: readonly GPUBuffer[],
    { memoryLimitBytes = Infinity, isChecked }: GpuModelOptions,
  ) {
    this.#library = library;
    this.gpu = gpu;
    this.plan = plan;
    this.kernels = kernels;
    this.record = record;
    this.#made = new Pipelines(gpu);
    this.#layout = layout;
    this.#weights = weights;
    this.#limit = memoryLimitBytes;
    this.isChecked = isChecked;
  }

  /**
   * Puts a model on the GPU.
   *
   * @param pointer the model in the library, opened for the GPU.
   * @param shaders the content of gpu_kernels.wgsl.
   * @param weights begins weights.bin, once there is room for it.
   */
  static async open(
    library: Library,
    pointer: number,
    shaders: string,
    weights: () => AsyncIterable<Uint8Array>,
    options: GpuModelOptions,
  ): Promise<GpuModel> {
    const { adapter, memoryLimitBytes = Infinity, isChecked } = options;
    const plan = readPlan(library, pointer);
    const kernels = kernelsOf(readShaders(shaders), plan.kernels, isChecked ? featuresOf(adapter) : new Set());
    const record = await RaceRecord.open(adapter, kernels);
    const layout = layoutWeights(plan);
    requireRoom("The weights do not fit the GPU.", bytesOf(layout), memoryLimitBytes);
    const gpu = await Gpu.open(adapter, needs(plan, layout, kernels));
    try {
      const buffers = await gpu.make(`The GPU ${gpu.name} has no memory for the weights.`, () =>
        layout.bufferBytes.map((size, i) => gpu.createBuffer(`weights ${i}`, size, USAGE.STORAGE | USAGE.COPY_DST)),
      );
      const model = new GpuModel(library, gpu, plan, kernels, record, layout, buffers, options);
      // What won once may be refused by another driver.
      const compiled = model.use((kernel) => record.choice(kernel) ?? CORE).catch(() => model.use(() => CORE));
      compiled.catch(() => undefined); // looked at below, whatever comes before
      await uploadWeights(gpu, layout, buffers, weights());
      await compiled;
      return model;
    } catch (error) {
      gpu.close();
      throw error;
    }
  }

  /** The kernels' pipelines, in their order. */
  get pipelines(): readonly GPUComputePipeline[] {
    return this.#pipelines;
  }

  /** The features that kernels use, by their names; of those that every adapter runs nothing. */
  get variants(): Readonly<Record<string, string>> {
    return Object.fromEntries(this.#shaders.filter(({ features }) => features !== CORE).map(({ name, features }) => [name, features]));
  }

  /** Computes with the variants of these features from now on, where there are such; sessions must be made afterwards. */
  async use(features: (kernel: Kernel) => string): Promise<void> {
    const shaders = this.kernels.map((kernel) => kernel.variants.get(features(kernel)) ?? kernel.core);
    this.#pipelines = await this.#made.make(shaders);
    this.#shaders = shaders;
  }

  /** Bytes of the weights on the GPU. */
  get weightBytes(): number {
    return bytesOf(this.#layout);
  }

  weightPlace(range: PlanBuffer): { buffer: GPUBuffer; offset: number } {
    const { buffer, offset } = this.#layout.places.get(range)!;
    return { buffer: this.#weights[buffer]!, offset };
  }

  /** Takes the memory of a session that the library has made. */
  async session(pointer: number): Promise<GpuSession> {
    const memory = readSessionMemory(this.#library, pointer, this.plan);
    const bytes = sessionBytes(this.plan.arenaBytes, memory);
    const others = [...this.#sessions.values()].reduce((sum, size) => sum + size, this.weightBytes);
    requireRoom("The session does not fit the GPU.", others + bytes, this.#limit);
    requireStates(this, memory);
    const what = `The GPU ${this.gpu.name} has no memory for a session of ${bytes} bytes.`;
    let session: GpuSession | undefined;
    try {
      return await this.gpu.make(what, () => {
        session = new GpuSession(this.#library, this, memory);
        this.#sessions.set(session, bytes);
        return session;
      });
    } catch (error) {
      session?.close();
      throw error;
    }
  }

  forget(session: GpuSession): void {
    this.#sessions.delete(session);
  }

  close(): void {
    this.gpu.close();
  }
}

const bytesOf = ({ bufferBytes }: WeightLayout): number => bufferBytes.reduce((sum, size) => sum + size, 0);

function requireRoom(what: string, bytes: number, limit: number): void {
  if (bytes <= limit) return;
  const why = `It needs ${bytes} bytes of the GPU's memory, memoryLimitBytes allows ${limit}.`;
  throw new HearthError("memory", what, { why, hint: "Use a smaller context, a smaller model or a smaller number format." });
}

/** What the adapter must have, whatever sizes sessions have: of states they say so themselves. */
function needs(plan: GpuPlan, { bufferBytes }: WeightLayout, kernels: readonly Kernel[]): Needs {
  const most = (numbers: readonly number[]): number => Math.max(0, ...numbers);
  return {
    bufferBytes: most([...bufferBytes, ...plan.arenaBytes]),
    bindingBytes: most(plan.buffers.map(({ size }) => size)),
    storageBuffers: most(plan.kernels.map(({ numBuffers }) => numBuffers)),
    invocations: most(kernels.flatMap(({ core, variants }) => [core, ...variants.values()]).map(({ threads }) => threads)),
  };
}
