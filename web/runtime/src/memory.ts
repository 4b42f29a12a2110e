// The memory that a bundle's module imports: shared, where threads are to compute over it, or the instance's own. Modules say
// that it is shared, which a page may have only where it is cross-origin isolated; all else in them runs over either kind. So
// that one module serves both, the bit that says it is set or cleared before the module is compiled.

const IMPORTS = 2;
/** What is imported, as the format numbers it. */
const FUNCTION = 0;
const MEMORY = 2;
const HAS_MAXIMUM = 1;
const SHARED = 2;

const PAGE_BYTES = 65536;

export interface ModuleMemory {
  /** The module, as it is to be compiled. */
  readonly module: Uint8Array<ArrayBuffer>;
  readonly memory: WebAssembly.Memory;
  /** Why the memory is not shared, where it was to be. */
  readonly why: string;
}

/**
 * Makes a module's memory.
 *
 * @param leastBytes that shared memory must be able to grow to: else the module has memory of its own. How much it may grow
 *   to is taken of the addresses at once, of which telephones have few, so half of the maximum and less will do.
 */
export function memoryOf(module: Uint8Array, shared: boolean, leastBytes = 0): ModuleMemory {
  const limits = memoryImport(module);
  const { initial } = limits;
  let why = shared ? `It could not grow to ${leastBytes} bytes.` : "";
  for (let { maximum } = limits; shared && maximum >= initial && maximum * PAGE_BYTES >= leastBytes; maximum >>= 1) {
    try {
      const memory = new WebAssembly.Memory({ initial, maximum, shared });
      return { module: withFlags(module, limits, HAS_MAXIMUM | SHARED), memory, why: "" };
    } catch (error) {
      why = String(error);
    }
  }
  const memory = new WebAssembly.Memory({ initial, maximum: limits.maximum });
  return { module: withFlags(module, limits, HAS_MAXIMUM), memory, why };
}

/** What a module says of the memory that it imports, in pages, and where it says whether that is shared. */
interface Limits {
  readonly flagsAt: number;
  readonly initial: number;
  readonly maximum: number;
}

function withFlags(module: Uint8Array, { flagsAt }: Limits, flags: number): Uint8Array<ArrayBuffer> {
  const copy = new Uint8Array(module);
  copy[flagsAt] = flags;
  return copy;
}

function memoryImport(module: Uint8Array): Limits {
  const reader = new Reader(module, 8); // behind magic number and version
  while (reader.at < module.length) {
    const section = reader.byte();
    const end = reader.number() + reader.at;
    if (section === IMPORTS) {
      for (let left = reader.number(); left > 0; left--) {
        reader.skip(reader.number()); // the name of a module
        reader.skip(reader.number()); // the name in it
        const kind = reader.byte();
        if (kind === FUNCTION) reader.number();
        else if (kind === MEMORY) return limitsAt(reader);
        else break; // nothing else is imported
      }
    }
    reader.at = end;
  }
  throw new Error("It imports no memory.");
}

function limitsAt(reader: Reader): Limits {
  const flagsAt = reader.at;
  if ((reader.byte() & HAS_MAXIMUM) === 0) throw new Error("Its memory has no maximum.");
  return { flagsAt, initial: reader.number(), maximum: reader.number() };
}

class Reader {
  readonly #bytes: Uint8Array;
  at: number;

  constructor(bytes: Uint8Array, at: number) {
    this.#bytes = bytes;
    this.at = at;
  }

  byte(): number {
    const byte = this.#bytes[this.at++];
    if (byte === undefined) throw new Error("It ends too early.");
    return byte;
  }

  /** Unsigned LEB128, of 32 bits. */
  number(): number {
    let value = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = this.byte();
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
    throw new Error("It has a number of more than 32 bits.");
  }

  skip(count: number): void {
    this.at += count;
  }
}
