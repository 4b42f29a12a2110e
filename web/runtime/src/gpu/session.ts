// A session on the GPU: its memory and the bind groups of its steps, made once.

import { HearthError } from "../errors.ts";
import type { GpuHost, Library } from "../library.ts";
import { type CallCosts, type DecodeOptions, GpuCalls } from "./calls.ts";
import { USAGE } from "./gpu.ts";
import type { GpuModel } from "./model.ts";
import type { PlanBuffer, PlanStep, SessionMemory } from "./tables.ts";

const SLOT_BYTES = 256;
const RANGE_ALIGN = 16;

/** What the last call of a session had the GPU do, and what memory of the GPU is in use. */
export interface GpuCounters extends CallCosts {
  /** Names of the kernels that ran. */
  readonly kernels: readonly string[];
  /** Of the model and this session, as the plan has it. */
  readonly plannedBytes: number;
  /** Of all buffers of the model and its sessions. */
  readonly allocatedBytes: number;
}

const bound = (size: number): number => Math.ceil(Math.max(size, 1) / RANGE_ALIGN) * RANGE_ALIGN;

/** What a session takes on the GPU beside the weights, in bytes. */
export function sessionBytes(arenaBytes: readonly number[], memory: SessionMemory): number {
  const arenas = arenaBytes.reduce((sum, size) => sum + Math.ceil(size / SLOT_BYTES) * SLOT_BYTES, 0);
  return arenas + memory.stateBytes.reduce((sum, size) => sum + size, 0) + memory.changingBytes;
}

export class GpuSession implements GpuHost {
  readonly #model: GpuModel;
  readonly #memory: SessionMemory;
  readonly #arenas: (GPUBuffer | undefined)[];
  readonly #states: GPUBuffer[];
  readonly #changing: GPUBuffer;
  readonly #calls: GpuCalls;

  /** Takes the memory and makes the bind groups, in scopes that are the caller's. */
  constructor(library: Library, model: GpuModel, memory: SessionMemory) {
    const { gpu, plan } = model;
    const { STORAGE, UNIFORM, COPY_SRC, COPY_DST } = USAGE;
    this.#model = model;
    this.#memory = memory;
    this.#arenas = plan.arenaBytes.map((size, i) => {
      const rounded = Math.ceil(size / SLOT_BYTES) * SLOT_BYTES;
      return size > 0 ? gpu.createBuffer(`arena ${i}`, rounded, STORAGE | COPY_SRC) : undefined;
    });
    this.#states = plan.states.map(({ name }, i) => gpu.createBuffer(name, memory.stateBytes[i]!, STORAGE | COPY_DST));
    const usage = STORAGE | UNIFORM | COPY_DST;
    this.#changing = gpu.createBuffer("uniforms and inputs", Math.max(memory.changingBytes, SLOT_BYTES), usage);
    const groups = plan.steps.map((step, i) => this.#group(step, i));
    this.#calls = new GpuCalls(library, model, { arenas: this.#arenas, changing: this.#changing, groups });
  }

  /** Finds out what reading back costs in this browser. */
  async measure(): Promise<void> {
    await this.#calls.measure();
  }

  /** Steps that are worth decoding for one reading-back, by what both have taken so far. */
  get stepsWorthReading(): number {
    return this.#calls.stepsWorthReading;
  }

  get counters(): GpuCounters {
    const { weightBytes, plan, gpu } = this.#model;
    const plannedBytes = weightBytes + sessionBytes(plan.arenaBytes, this.#memory);
    const { costs, ran } = this.#calls;
    const kernels = plan.kernels.filter((_, i) => ran.has(i)).map(({ name }) => name);
    return { ...costs, kernels, plannedBytes, allocatedBytes: gpu.allocatedBytes };
  }

  write(offset: number, at: number, size: number): void {
    this.#calls.write(offset, at, size);
  }

  run(firstStep: number, numSteps: number, unitsAt: number, copiesAt: number, numCopies: number): void {
    this.#calls.run(firstStep, numSteps, unitsAt, copiesAt, numCopies);
  }

  /**
   * Several forwards that want nothing but the largest logits of all their tokens, one token of each sequence. Answers the
   * tokens of each.
   *
   * @param forward has the runtime make one of them: its tokens are zeroes, but for those of the first.
   * @param tokensInput the plan's input that has the tokens.
   */
  decode(steps: number, forward: (step: number) => void, tokensInput: number, options: DecodeOptions): Promise<readonly Int32Array[]> {
    return this.#calls.decode(steps, forward, this.#memory.inputs[tokensInput]!.offset, options);
  }

  clearStates(): void {
    const encoder = this.#model.gpu.device.createCommandEncoder();
    for (const state of this.#states) encoder.clearBuffer(state);
    this.#model.gpu.device.queue.submit([encoder.finish()]);
  }

  /** Waits until the outputs of the call lie where the runtime says. */
  async finish(): Promise<void> {
    await this.#calls.finish();
  }

  close(): void {
    const buffers = [...this.#arenas, ...this.#states, this.#changing];
    for (const buffer of buffers) if (buffer !== undefined) this.#model.gpu.destroyBuffer(buffer);
    this.#calls.close();
    this.#model.forget(this);
  }

  #group(step: PlanStep, i: number): GPUBindGroup {
    const slot = { buffer: this.#changing, offset: i * SLOT_BYTES, size: SLOT_BYTES };
    const resources = [...step.buffers.map((buffer) => this.#range(buffer)), slot];
    const layout = this.#model.pipelines[step.kernel]!.getBindGroupLayout(0);
    const entries = resources.map((resource, binding) => ({ binding, resource }));
    return this.#model.gpu.device.createBindGroup({ label: step.label, layout, entries });
  }

  #range(buffer: PlanBuffer): GPUBufferBinding {
    switch (buffer.kind) {
      case "arena":
        return { buffer: this.#arenas[buffer.index]!, offset: buffer.offset, size: bound(buffer.size) };
      case "weight":
        return { ...this.#model.weightPlace(buffer), size: bound(buffer.size) };
      case "state":
        return { buffer: this.#states[buffer.index]! };
      case "input": {
        const { offset, size } = this.#memory.inputs[buffer.index]!;
        return { buffer: this.#changing, offset, size: bound(size) };
      }
    }
  }
}

/** Fails where the adapter cannot bind a state of the session. */
export function requireStates(model: GpuModel, memory: SessionMemory): void {
  const { gpu, plan } = model;
  const most = Math.min(gpu.device.limits.maxStorageBufferBindingSize, gpu.device.limits.maxBufferSize);
  plan.states.forEach(({ name }, i) => {
    if (memory.stateBytes[i]! <= most) return;
    const why = `The state ${name} would take ${memory.stateBytes[i]} bytes, the GPU ${gpu.name} binds at most ${most}.`;
    throw new HearthError("memory", "The session does not fit the GPU.", { why, hint: "Use a smaller context, or fewer sequences at once." });
  });
}
