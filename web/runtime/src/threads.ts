// The threads beside the one that calls: how many there are to be, and their workers. Workers come up only while whoever
// started them waits for its event loop, so they are started beforehand, and taken by sessions as these are made.

import { HearthError } from "./errors.ts";
import type { Library } from "./library.ts";
import { nodeModule } from "./node_module.ts";
import { hasWorkers, startWorker, type ThreadWorker } from "./thread_worker.ts";

/** What a worker is sent: see thread.ts. */
export interface ThreadStart {
  readonly module: WebAssembly.Module;
  readonly memory: WebAssembly.Memory;
  /** performance.timeOrigin of the thread that calls: all count time from there. */
  readonly timeOrigin: number;
  /** Where in the memory the thread is, its stack ends and its thread-locals are. */
  readonly thread: number;
  readonly stack: number;
  readonly locals: number;
}

export const MOST_THREADS = 64;
/** By default: more share the memory's speed, and hold up the page and its neighbours. */
const MOST_BY_DEFAULT = 8;
/** A thread with its stack, which has what the module's own has. */
const THREAD_BYTES = 1 << 20;

export interface ThreadCount {
  readonly count: number;
  /** Why it is less, where more were to be. */
  readonly why: string;
}

export const ONE_THREAD: ThreadCount = { count: 1, why: "" };

/** How many threads there are to be, of as many as are asked for. */
export function chooseThreads(asked: number | "auto" = "auto"): ThreadCount {
  if (asked !== "auto" && !(Number.isInteger(asked) && asked >= 1 && asked <= MOST_THREADS)) {
    throw new HearthError("usage", `threads is ${String(asked)}, must be a whole number from 1 to ${MOST_THREADS}, or "auto".`);
  }
  const count = asked === "auto" ? threadsOf(processors()) : asked;
  const why = count > 1 ? whyNone() : "";
  return { count: why === "" ? count : 1, why };
}

/** As many as there are processors, up to 4. Of more about every other is the second half of a core, or a slow one. */
export function threadsOf(processorCount: number): number {
  if (processorCount <= 4) return Math.max(1, processorCount);
  return Math.min(MOST_BY_DEFAULT, Math.max(4, processorCount >> 1));
}

function processors(): number {
  return globalThis.navigator?.hardwareConcurrency ?? nodeModule("node:os")?.availableParallelism() ?? 1;
}

function whyNone(): string {
  if (globalThis.crossOriginIsolated === false) return "1 thread, as the page is not cross-origin isolated.";
  if (typeof SharedArrayBuffer === "undefined") return "1 thread, as there is no shared memory here.";
  if (!hasWorkers()) return "1 thread, as no workers can be started here.";
  return "";
}

/** Whether this thread may sleep until another wakes it: a page's own thread may not. */
export function maySleep(): boolean {
  try {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 1);
    return true;
  } catch {
    return false;
  }
}

export class Threads {
  readonly #library: Library;
  readonly #module: WebAssembly.Module;
  readonly #memory: WebAssembly.Memory;
  readonly #workers: ThreadWorker[] = [];
  readonly #wanted: ThreadCount;
  /** Why workers do not start; what failed once is not tried again. */
  #refused = "";

  constructor(library: Library, module: WebAssembly.Module, memory: WebAssembly.Memory, wanted: ThreadCount) {
    this.#library = library;
    this.#module = module;
    this.#memory = memory;
    this.#wanted = wanted;
  }

  /** How many a session has that is made now, the one that calls included. */
  get count(): ThreadCount {
    const count = Math.min(this.#wanted.count, this.#library.call("hth_processor_count"));
    if (this.#refused === "") return { count, why: this.#wanted.why };
    return { count, why: `${count} thread${count === 1 ? "" : "s"}, as no more workers start. ${this.#refused}` };
  }

  /** Starts as many workers as a session lacks. */
  async reserve(): Promise<void> {
    if (this.#refused !== "") return;
    const lacking = this.#wanted.count - this.count.count;
    const started = await Promise.allSettled(Array.from({ length: lacking }, () => this.#start()));
    const failed = started.find((each) => each.status === "rejected");
    if (failed !== undefined) this.#refused = (failed.reason as Error).message;
  }

  /** Ends them all. Nothing may run in the module afterwards. */
  close(): void {
    for (const worker of this.#workers.splice(0)) worker.terminate();
  }

  async #start(): Promise<void> {
    const worker = startWorker();
    this.#workers.push(worker);
    try {
      const region = this.#library.allocate(THREAD_BYTES, "a thread");
      const [thread, stack] = [region.at, region.at + region.size];
      const locals = this.#library.call("hth_thread_create", thread);
      await worker.up({ module: this.#module, memory: this.#memory, timeOrigin: performance.timeOrigin, thread, stack, locals });
      this.#library.call("hth_thread_add", thread);
    } catch (error) {
      worker.terminate(); // the memory stays its own: it may be about to write there
      throw error;
    }
  }
}
