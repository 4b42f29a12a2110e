// Calls of a session on the GPU: what the runtime says that a call writes, runs and copies back is submitted before the
// runtime's function returns, and the numbers of the outputs come afterwards. Nothing is made but commands.
//
// Several decoded tokens are calls of the runtime one after the other, of which the GPU itself gives each but the first its
// tokens: those with the largest logits of the one before. What later ones write goes to a buffer of its own first, since the
// queue would write it before any of them runs; their numbers come together.

import type { Library } from "../library.ts";
import { USAGE } from "./gpu.ts";
import type { GpuModel } from "./model.ts";
import { Pace, SUBMIT_MS } from "./pace.ts";
import { ReadBack } from "./read_back.ts";
import { soon } from "./soon.ts";
import { type Copy, readCopies } from "./tables.ts";

const MOST_GROUPS = 32768; // along one axis: kernels count on along another
const LEAST_AHEAD = 16 << 10;
const LOST_MS = 200;

const NO_COSTS: CallCosts = { steps: 0, dispatches: 0, passes: 0, submits: 0, readBacks: 0, writes: 0, writtenBytes: 0, readBytes: 0, objects: 0 };

/** What a call had the GPU do. */
export interface CallCosts {
  /** Forwards, or runs of another function: one, or as many as were decoded at once. */
  readonly steps: number;
  /** Steps of the plan that ran. */
  readonly dispatches: number;
  readonly passes: number;
  readonly submits: number;
  /** How often something was waited for and brought to the page's memory. */
  readonly readBacks: number;
  /** From the page's memory to the GPU's. */
  readonly writes: number;
  readonly writtenBytes: number;
  readonly readBytes: number;
  /** Made on the GPU beside a command encoder, its passes and its command buffer. */
  readonly objects: number;
}

/** What the runtime asked for in one call. */
interface Recorded {
  readonly firstStep: number;
  /** Groups of each step. */
  readonly units: readonly number[];
  readonly copies: readonly Copy[];
  /** To be written before its steps, and behind those of the call before. */
  readonly changes: readonly Change[];
  /** Whether its tokens come from the call before. */
  readonly follows: boolean;
}

interface Change {
  readonly offset: number;
  readonly bytes: Uint8Array;
}

export interface DecodeOptions {
  /** How long the GPU may be kept busy by one submit, in milliseconds, as far as that can be told: 8 by default, so that it
   * draws the page, too. */
  readonly submitMs?: number | undefined;
}

/** Of a session: what calls work on. */
export interface SessionBuffers {
  readonly arenas: readonly (GPUBuffer | undefined)[];
  /** A slot of uniforms for each step, then the inputs. */
  readonly changing: GPUBuffer;
  /** Of each step of the plan. */
  readonly groups: readonly GPUBindGroup[];
}

type Counted = { -readonly [Name in keyof CallCosts]: CallCosts[Name] };

export class GpuCalls {
  readonly #library: Library;
  readonly #model: GpuModel;
  readonly #buffers: SessionBuffers;
  readonly #readBack: ReadBack;
  readonly #pace: Pace;
  #ahead: GPUBuffer | undefined;
  #running: Promise<void> | undefined;
  /** Of calls that are decoded at once: those that are not submitted yet, and what the next one writes. */
  #pending: Recorded[] = [];
  #changes: Change[] = [];
  #decoded = 0;
  #decoding = false;
  #costs: Counted = { ...NO_COSTS };
  #lastCosts = NO_COSTS;
  #ran: Set<number> = new Set();

  constructor(library: Library, model: GpuModel, buffers: SessionBuffers) {
    this.#library = library;
    this.#model = model;
    this.#buffers = buffers;
    this.#readBack = new ReadBack(model.gpu);
    this.#pace = new Pace(() => this.#readBack.latencyMs);
  }

  /** Finds out what reading back costs in this browser. */
  async measure(): Promise<void> {
    await this.#readBack.measure();
  }

  /** Of the last call. */
  get costs(): CallCosts {
    return this.#lastCosts;
  }

  /** Indices of the kernels that the last submit ran. */
  get ran(): ReadonlySet<number> {
    return this.#ran;
  }

  /** Steps that are worth decoding for one reading-back, by what both have taken so far. */
  get stepsWorthReading(): number {
    return this.#pace.steps;
  }

  write(offset: number, at: number, size: number): void {
    const bytes = this.#library.bytes(at, size);
    if (this.#pending.length > 0) this.#changes.push({ offset, bytes: bytes.slice() });
    else this.#writeTo(this.#buffers.changing, offset, bytes);
  }

  run(firstStep: number, numSteps: number, unitsAt: number, copiesAt: number, numCopies: number): void {
    this.#model.gpu.requireSound();
    const view = this.#library.view;
    const units = Array.from({ length: numSteps }, (_, i) => view.getUint32(unitsAt + 8 * i, true)); // of 64 bits, of which these may be used
    const copies = readCopies(this.#library, copiesAt, numCopies);
    this.#pending.push({ firstStep, units, copies, changes: this.#changes, follows: this.#decoded > 0 });
    this.#changes = [];
    if (this.#decoding) return;
    const bytes = sizeOf(copies);
    const taken = this.#submit(0, bytes);
    this.#running = this.#bring(taken, copies, bytes);
    this.#running.catch(() => undefined); // whoever made the call waits for it
  }

  /**
   * Several forwards that want nothing but the largest logits of all their tokens, one token of each sequence. Answers the
   * tokens of each.
   *
   * @param forward has the runtime make one of them: its tokens are zeroes, but for those of the first.
   * @param tokensAt where in `changing` the tokens lie.
   */
  async decode(
    steps: number,
    forward: (step: number) => void,
    tokensAt: number,
    { submitMs = SUBMIT_MS }: DecodeOptions,
  ): Promise<readonly Int32Array[]> {
    const begun = performance.now();
    const submits: Promise<void>[] = [];
    const most = this.#pace.stepsWithin(submitMs);
    let bytes = 0;
    this.#decoding = true;
    try {
      for (let step = 0; step < steps; step++) {
        forward(step);
        bytes = sizeOf(this.#pending.at(-1)!.copies);
        this.#decoded++;
        if (this.#pending.length < most && step < steps - 1) continue;
        submits.push(this.#submit(tokensAt, bytes * steps));
      }
    } finally {
      this.#settle(submits, tokensAt, bytes, steps);
    }
    const numbers = await this.#numbers(Promise.all(submits), bytes * steps, this.#pace.expectedMs(steps));
    this.#pace.took(steps, performance.now() - begun);
    return Array.from({ length: steps }, (_, i) => new Int32Array(numbers.buffer, i * bytes, bytes / 4));
  }

  /** Waits until the outputs of the call lie where the runtime says. */
  async finish(): Promise<void> {
    await this.#running;
  }

  close(): void {
    if (this.#ahead !== undefined) this.#model.gpu.destroyBuffer(this.#ahead);
    this.#readBack.close();
  }

  /**
   * Submits what was recorded.
   *
   * @param tokensAt where in `changing` the tokens lie.
   * @param outputBytes of all outputs until they are read, those of one call after those of the one before.
   */
  #submit(tokensAt: number, outputBytes: number): Promise<void> {
    const { gpu } = this.#model;
    gpu.device.pushErrorScope("out-of-memory");
    gpu.device.pushErrorScope("validation");
    const before = gpu.allocatedBytes;
    const outputs = outputBytes > 0 ? this.#readBack.reserve(outputBytes) : undefined;
    if (gpu.allocatedBytes !== before) this.#costs.objects++;
    this.#writeAhead();
    const encoder = gpu.device.createCommandEncoder();
    const first = this.#decoded - this.#pending.length;
    this.#ran = new Set();
    let ahead = 0;
    this.#pending.forEach((call, i) => {
      for (const { offset, bytes } of call.changes) {
        encoder.copyBufferToBuffer(this.#ahead!, ahead, this.#buffers.changing, offset, bytes.length);
        ahead += bytes.length;
      }
      if (call.follows) {
        const [{ arena, offset, size }] = call.copies as [Copy];
        encoder.copyBufferToBuffer(this.#buffers.arenas[arena]!, offset, this.#buffers.changing, tokensAt, size);
      }
      this.#record(encoder, call);
      // The runtime gave zeroes as tokens, and is to be right in what it believes to be there.
      if (call.follows) encoder.clearBuffer(this.#buffers.changing, tokensAt, sizeOf(call.copies));
      let at = this.#decoding ? (first + i) * sizeOf(call.copies) : 0;
      for (const { arena, offset, size } of call.copies) {
        encoder.copyBufferToBuffer(this.#buffers.arenas[arena]!, offset, outputs!, at, size);
        at += size;
      }
    });
    gpu.device.queue.submit([encoder.finish()]);
    this.#costs.steps += this.#pending.length;
    this.#costs.submits++;
    this.#pending = [];
    return gpu.popScopes(2, "The GPU refuses a call.");
  }

  /** What calls write that run behind others of the same submit, one after the other. */
  #writeAhead(): void {
    const changes = this.#pending.flatMap((call) => call.changes);
    const size = changes.reduce((sum, { bytes }) => sum + bytes.length, 0);
    if (size === 0) return;
    const { gpu } = this.#model;
    if (this.#ahead === undefined || this.#ahead.size < size) {
      let room = this.#ahead?.size ?? LEAST_AHEAD;
      while (room < size) room *= 2;
      if (this.#ahead !== undefined) gpu.destroyBuffer(this.#ahead);
      this.#ahead = gpu.createBuffer("inputs of later steps", room, USAGE.COPY_SRC | USAGE.COPY_DST);
      this.#costs.objects++;
    }
    const together = new Uint8Array(size);
    let at = 0;
    for (const { bytes } of changes) {
      together.set(bytes, at);
      at += bytes.length;
    }
    this.#writeTo(this.#ahead, 0, together);
  }

  #writeTo(buffer: GPUBuffer, offset: number, bytes: Uint8Array): void {
    this.#model.gpu.device.queue.writeBuffer(buffer, offset, bytes);
    this.#costs.writes++;
    this.#costs.writtenBytes += bytes.length;
  }

  /** The steps that have units, in one pass. */
  #record(encoder: GPUCommandEncoder, { firstStep, units }: Recorded): void {
    const { plan, pipelines } = this.#model;
    let pass: GPUComputePassEncoder | undefined;
    let current: GPUComputePipeline | undefined;
    units.forEach((count, i) => {
      if (count === 0) return;
      pass ??= encoder.beginComputePass();
      const { kernel } = plan.steps[firstStep + i]!;
      const pipeline = pipelines[kernel]!;
      if (pipeline !== current) pass.setPipeline(pipeline);
      current = pipeline;
      this.#ran.add(kernel);
      pass.setBindGroup(0, this.#buffers.groups[firstStep + i]!);
      const x = Math.min(count, MOST_GROUPS);
      pass.dispatchWorkgroups(x, 1, Math.ceil(count / x));
      this.#costs.dispatches++;
    });
    pass?.end();
    if (pass !== undefined) this.#costs.passes++;
  }

  /** Ends decoding so that `changing` has what the runtime believes it has, also where that refused a forward. */
  #settle(submits: Promise<void>[], tokensAt: number, bytes: number, steps: number): void {
    if (this.#pending.length > 0) submits.push(this.#submit(tokensAt, bytes * steps));
    for (const { offset, bytes: content } of this.#changes) this.#writeTo(this.#buffers.changing, offset, content);
    for (const each of submits) each.catch(() => undefined); // looked at together, unless the runtime refused
    this.#changes = [];
    this.#decoded = 0;
    this.#decoding = false;
  }

  async #bring(taken: Promise<void>, copies: readonly Copy[], bytes: number): Promise<void> {
    const numbers = await this.#numbers(taken, bytes, 0);
    let at = 0;
    for (const { size, to } of copies) {
      this.#library.bytes(to, size).set(numbers.subarray(at, at + size));
      at += size;
    }
  }

  /** The outputs that were copied, once the GPU has taken all of the call and done it. */
  async #numbers(taken: Promise<unknown>, bytes: number, expectedMs: number): Promise<Uint8Array<ArrayBuffer>> {
    const { gpu } = this.#model;
    this.#lastCosts = { ...this.#costs, readBytes: bytes, readBacks: bytes > 0 ? 1 : 0 };
    this.#costs = { ...NO_COSTS };
    const [accepted, read] = await Promise.allSettled([taken, bytes > 0 ? this.#readBack.read(bytes, expectedMs) : new Uint8Array()]);
    // Firefox tells that reading failed before it tells that the GPU was lost.
    if (read.status === "rejected") await soon(gpu.device.lost, LOST_MS);
    gpu.requireSound();
    for (const each of [accepted, read]) {
      if (each.status === "rejected") throw gpu.explain(each.reason, "What the GPU computed cannot be read.");
    }
    return (read as PromiseFulfilledResult<Uint8Array<ArrayBuffer>>).value;
  }
}

const sizeOf = (copies: readonly Copy[]): number => copies.reduce((sum, { size }) => sum + size, 0);

