// One instance of a bundle's WebAssembly module: its memory, its functions (hearth.h), its errors.

import { HearthError, type ErrorKind } from "./errors.ts";
import { memoryOf } from "./memory.ts";
import { maySleep, ONE_THREAD, type ThreadCount, Threads } from "./threads.ts";

/** hearth_status of hearth.h, from HEARTH_INVALID = 1 on. */
const KINDS: readonly ErrorKind[] = ["usage", "corrupt", "memory", "storage", "mismatch", "internal", "internal", "device"];
const WEIGHTS_ALIGN = 64;
const PAGE = 4096;

type Function = (...args: (number | bigint)[]) => number | bigint;

/** Where something lies in the module's memory, and how many bytes it has. */
export interface Region {
  readonly at: number;
  readonly size: number;
}

/** What a GPU does for a session of the module, as csrc/device_web.c asks: none of it waits. Numbers are places in the
 * module's memory, or counts. */
export interface GpuHost {
  /** Writes `size` bytes from `at` to `offset` of what changes from call to call. */
  write(offset: number, at: number, size: number): void;
  /** Runs steps, with as many groups of each as 64-bit numbers at `units` say, then copies outputs. */
  run(firstStep: number, numSteps: number, units: number, copies: number, numCopies: number): void;
  clearStates(): void;
}

export class Library {
  /** Those that sessions on the processor have. */
  readonly threads: Threads;
  readonly #exports: WebAssembly.Exports;
  readonly #memory: WebAssembly.Memory;
  readonly #hosts: Hosts;
  #view: DataView;

  private constructor({ module, instance }: WebAssembly.WebAssemblyInstantiatedSource, memory: WebAssembly.Memory, hosts: Hosts, threads: ThreadCount) {
    this.#hosts = hosts;
    this.#exports = instance.exports;
    this.#memory = memory;
    this.#view = new DataView(memory.buffer);
    (instance.exports["_initialize"] as () => void)();
    this.threads = new Threads(this, module, memory, threads);
    if (threads.count > 1 && !maySleep()) this.call("hth_never_sleep");
  }

  /**
   * @param wanted how many threads sessions are to have: the memory of several is shared.
   * @param leastBytes that the memory must be able to grow to.
   */
  static async instantiate(content: Uint8Array, wanted: ThreadCount = ONE_THREAD, leastBytes = 0): Promise<Library> {
    const hosts = new Hosts();
    try {
      const { module, memory, why } = memoryOf(content, wanted.count > 1, leastBytes);
      const threads = why === "" ? wanted : { count: 1, why: `1 thread, as no shared memory can be had. ${why}` };
      const imports = { env: { memory }, hearth: { now: () => performance.now(), ...hosts.imports } };
      return new Library(await WebAssembly.instantiate(module, imports), memory, hosts, threads);
    } catch (error) {
      throw new HearthError("mismatch", "The bundle's module cannot be loaded.", {
        why: String(error),
        hint: "Compile the model again: hearth compile MODEL --target wasm32",
      });
    }
  }

  /** Ends the threads. Nothing may be called afterwards. */
  close(): void {
    this.threads.close();
  }

  /** Has `host` do what the module asks of a GPU for a session; undefined: the session has ended. */
  attach(session: number, host: GpuHost | undefined): void {
    if (host === undefined) this.#hosts.sessions.delete(session);
    else this.#hosts.sessions.set(session, host);
  }

  /** The memory as it is now: views end when it grows, which any call may make it do. */
  get view(): DataView {
    if (this.#view.buffer !== this.#memory.buffer) this.#view = new DataView(this.#memory.buffer);
    return this.#view;
  }

  get memoryBytes(): number {
    return this.#memory.buffer.byteLength;
  }

  /** In the memory as it is now; of memory that threads share, which not everything takes. */
  bytes(at: number, size: number): Uint8Array {
    return new Uint8Array(this.#memory.buffer, at, size);
  }

  /** A function that answers a pointer or a count. */
  call(name: string, ...args: (number | bigint)[]): number {
    return Number((this.#exports[name] as Function)(...args)) >>> 0;
  }

  /** A function that answers a hearth_status; `what` is what was tried, for the error. */
  check(what: string, name: string, ...args: (number | bigint)[]): void {
    const status = this.call(name, ...args);
    const failure = this.#hosts.takeFailure();
    if (status === 0) return;
    if (failure !== undefined) throw failure;
    throw new HearthError(KINDS[status - 1] ?? "internal", what, { why: this.text(this.call("hearth_error")) });
  }

  /** Memory for what is handed over, all zeroes; at a multiple of 64 and more. */
  allocate(size: number, what: string): Region {
    const asked = Math.max(Math.ceil(size / PAGE), 1) * PAGE;
    const at = asked < 2 ** 32 ? this.call("hth_pages_allocate", asked, WEIGHTS_ALIGN) : 0;
    if (at === 0) {
      throw new HearthError("memory", `${size} bytes for ${what} cannot be had.`, {
        why: `The module's memory has ${this.memoryBytes} bytes, and may have 4 GiB where the system gives them.`,
        hint: "Use a smaller context, a smaller model or a smaller number format.",
      });
    }
    return { at, size: asked };
  }

  free(region: Region): void {
    this.call("hth_pages_free", region.at, region.size);
  }

  /** The text at a pointer, up to its zero. */
  text(at: number): string {
    const memory = new Uint8Array(this.#memory.buffer);
    return new TextDecoder().decode(memory.slice(at, memory.indexOf(0, at)));
  }
}

/** Those who do what the module asks of a GPU. What they throw does not go through the module, which would not come to its
 * end: it is told that they failed, and `check` throws it. */
class Hosts {
  readonly sessions = new Map<number, GpuHost>();
  #failure: unknown;

  readonly imports = {
    gpu_write: (session: number, offset: number, at: number, size: number): void => {
      this.#ask(session, (host) => host.write(offset, at >>> 0, size >>> 0));
    },
    gpu_run: (session: number, firstStep: number, numSteps: number, units: number, copies: number, numCopies: number): number =>
      this.#ask(session, (host) => host.run(firstStep, numSteps, units >>> 0, copies >>> 0, numCopies)),
    gpu_clear_states: (session: number): number => this.#ask(session, (host) => host.clearStates()),
  };

  takeFailure(): unknown {
    const failure = this.#failure;
    this.#failure = undefined;
    return failure;
  }

  /** 0 where all went well, up to now. */
  #ask(session: number, question: (host: GpuHost) => void): number {
    if (this.#failure !== undefined) return 1;
    try {
      question(this.sessions.get(session >>> 0)!);
      return 0;
    } catch (error) {
      this.#failure = error;
      return 1;
    }
  }
}
