// Numbers on their way back from the GPU. That takes a while beside what the GPU computes, and how long is the browser's matter:
// Chrome tells in a millisecond or so that the GPU is done, Firefox looks ten times a second, and whenever something is
// submitted. So it is measured, and where the browser looks too rarely it is made to look by submitting nothing.

import { type Gpu, MAP_READ, USAGE } from "./gpu.ts";
import { soon } from "./soon.ts";

const LEAST_BYTES = 64 << 10;
const PROBES = 8; // browsers' clocks are coarse: Firefox's has milliseconds
/** A browser that has not told for so long of a GPU that had nothing to do is one that looks now and then. */
const PROMPT_MS = 20;
const NUDGE_MS = 1;
/** Timers of browsers wait for so long at least: who wants to know sooner has to be busy meanwhile, and is for no longer. */
const TIMER_MS = 4;

export class ReadBack {
  /** How long reading takes where there is nothing to wait for. */
  latencyMs = 0;
  readonly #gpu: Gpu;
  #buffer: GPUBuffer | undefined;
  #nudges = false;

  constructor(gpu: Gpu) {
    this.#gpu = gpu;
  }

  /** Where what is to be read is copied to, with room for so many bytes: it grows as they do, in scopes that are the caller's. */
  reserve(bytes: number): GPUBuffer {
    if (this.#buffer !== undefined && this.#buffer.size >= bytes) return this.#buffer;
    let size = this.#buffer?.size ?? LEAST_BYTES;
    while (size < bytes) size *= 2;
    this.close();
    this.#buffer = this.#gpu.createBuffer("outputs", size, USAGE.MAP_READ | USAGE.COPY_DST);
    return this.#buffer;
  }

  /** Its first bytes, once all that was submitted is done, of which it is expected to take so long. */
  async read(bytes: number, expectedMs: number): Promise<Uint8Array<ArrayBuffer>> {
    const buffer = this.#buffer!;
    const mapping = buffer.mapAsync(MAP_READ, 0, bytes);
    if (this.#nudges) await this.#nudgeUntil(mapping, expectedMs);
    await mapping;
    const content = new Uint8Array(buffer.getMappedRange(0, bytes)).slice();
    buffer.unmap();
    return content;
  }

  /** Finds out how long reading takes, and whether the browser wants nudging. */
  async measure(): Promise<void> {
    await this.#gpu.make(`The GPU ${this.#gpu.name} has no memory for outputs.`, () => this.reserve(4));
    const times: number[] = [];
    while (times.length < PROBES) {
      const begun = performance.now();
      const encoder = this.#gpu.device.createCommandEncoder();
      encoder.clearBuffer(this.#buffer!, 0, 4);
      this.#gpu.device.queue.submit([encoder.finish()]);
      const reading = this.read(4, 0).catch((error: unknown) => {
        throw this.#gpu.explain(error, "What the GPU computed cannot be read.");
      });
      const isPrompt = this.#nudges || (await soon(reading, PROMPT_MS));
      if (!isPrompt) {
        this.#nudges = true;
        await this.#nudgeUntil(reading, 0);
      }
      await reading;
      // One that began just before the browser looked proves nothing, but the next one begins just after it.
      if (isPrompt) times.push(performance.now() - begun);
      else times.length = 0;
    }
    const mean = times.reduce((sum, time) => sum + time, 0) / PROBES;
    // Nudging keeps this thread busy, which counts as well.
    this.latencyMs = this.#nudges ? Math.max(mean, TIMER_MS) : mean;
    this.close();
  }

  close(): void {
    if (this.#buffer !== undefined) this.#gpu.destroyBuffer(this.#buffer);
    this.#buffer = undefined;
  }

  async #nudgeUntil(reading: Promise<unknown>, expectedMs: number): Promise<void> {
    const { queue } = this.#gpu.device;
    // Half of it, for it may take less: what is expected is what it took before, this waiting included.
    if (expectedMs > 2 * TIMER_MS && (await soon(reading, expectedMs / 2))) return;
    let isDone = false;
    void soon(reading, Infinity).then(() => (isDone = true));
    const turns = new Turns();
    const begun = performance.now();
    for (let last = -Infinity; !isDone; await turns.next()) {
      const now = performance.now();
      if (now - last < NUDGE_MS) continue;
      if (now - begun > TIMER_MS && (await soon(reading, TIMER_MS))) break;
      queue.submit([]);
      last = now;
    }
    turns.close();
  }
}

/** The thread's turns, one after the other: what else there is to do gets its own in between. */
class Turns {
  readonly #channel = new MessageChannel();

  next(): Promise<void> {
    const { port1, port2 } = this.#channel;
    return new Promise((resolve) => {
      port2.onmessage = () => resolve();
      port1.postMessage(undefined);
    });
  }

  close(): void {
    this.#channel.port2.close();
  }
}
