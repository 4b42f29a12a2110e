// Memory through which the arguments of a call go into the module: made once, larger only where a call needs more.

import type { Library, Region } from "./library.ts";

const ALIGN = 16;

type Content = Uint8Array | Int32Array | Float32Array | Int8Array | Uint16Array;

export class Staging {
  readonly #library: Library;
  #region: Region | undefined;
  #used = 0;

  constructor(library: Library) {
    this.#library = library;
  }

  /** Room for the next call, whose parts together have at most so many bytes; what is there is forgotten. */
  begin(bytes: number, parts: number): void {
    const needed = bytes + parts * ALIGN;
    this.#used = 0;
    if (this.#region !== undefined && this.#region.size >= needed) return;
    this.free();
    this.#region = this.#library.allocate(2 * needed, "the arguments of a call");
  }

  /** Room for `size` bytes of zeroes. */
  reserve(size: number): number {
    const at = this.#take(size);
    this.#library.bytes(at, size).fill(0);
    return at;
  }

  put(content: Content): number {
    const at = this.#take(content.byteLength);
    const bytes = new Uint8Array(content.buffer, content.byteOffset, content.byteLength);
    this.#library.bytes(at, content.byteLength).set(bytes);
    return at;
  }

  putText(text: string): number {
    return this.put(encoded(text));
  }

  free(): void {
    if (this.#region !== undefined) this.#library.free(this.#region);
    this.#region = undefined;
  }

  #take(size: number): number {
    const region = this.#region!;
    const at = region.at + this.#used;
    this.#used += Math.ceil(size / ALIGN) * ALIGN;
    if (this.#used > region.size) throw new RangeError("more was staged than begin() was told");
    return at;
  }
}

/** UTF-8 with a zero behind it. */
export const encoded = (text: string): Uint8Array => new TextEncoder().encode(`${text}\0`);
