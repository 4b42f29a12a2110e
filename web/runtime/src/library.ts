// One instance of a bundle's WebAssembly module: its memory, its functions (hearth.h), its errors.

import { HearthError, type ErrorKind } from "./errors.ts";

/** hearth_status of hearth.h, from HEARTH_INVALID = 1 on. */
const KINDS: readonly ErrorKind[] = ["usage", "corrupt", "memory", "storage", "mismatch", "internal", "internal"];
const WEIGHTS_ALIGN = 64;
const PAGE = 4096;

type Function = (...args: (number | bigint)[]) => number | bigint;

/** Where something lies in the module's memory, and how many bytes it has. */
export interface Region {
  readonly at: number;
  readonly size: number;
}

export class Library {
  readonly #exports: WebAssembly.Exports;
  readonly #memory: WebAssembly.Memory;
  #view: DataView;

  private constructor(instance: WebAssembly.Instance) {
    this.#exports = instance.exports;
    this.#memory = instance.exports["memory"] as WebAssembly.Memory;
    this.#view = new DataView(this.#memory.buffer);
    (instance.exports["_initialize"] as () => void)();
  }

  static async instantiate(module: BufferSource): Promise<Library> {
    const imports = { hearth: { now: () => performance.now() } };
    try {
      return new Library((await WebAssembly.instantiate(module, imports)).instance);
    } catch (error) {
      throw new HearthError("mismatch", "The bundle's module cannot be loaded.", {
        why: String(error),
        hint: "Compile the model again: hearth compile MODEL --target wasm32",
      });
    }
  }

  /** The memory as it is now: views end when it grows, which any call may make it do. */
  get view(): DataView {
    if (this.#view.buffer !== this.#memory.buffer) this.#view = new DataView(this.#memory.buffer);
    return this.#view;
  }

  get memoryBytes(): number {
    return this.#memory.buffer.byteLength;
  }

  bytes(at: number, size: number): Uint8Array<ArrayBuffer> {
    return new Uint8Array(this.#memory.buffer as ArrayBuffer, at, size);
  }

  /** A function that answers a pointer or a count. */
  call(name: string, ...args: (number | bigint)[]): number {
    return Number((this.#exports[name] as Function)(...args)) >>> 0;
  }

  /** A function that answers a hearth_status; `what` is what was tried, for the error. */
  check(what: string, name: string, ...args: (number | bigint)[]): void {
    const status = this.call(name, ...args);
    if (status === 0) return;
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
