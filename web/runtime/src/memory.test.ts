import { afterEach, expect, test, vi } from "vitest";
import { memoryOf } from "./memory.ts";

const PAGE = 65536;
const text = (name: string): number[] => [name.length, ...new TextEncoder().encode(name)];
const section = (id: number, content: number[]): number[] => [id, content.length, ...content];
const FUNCTION_TYPE = section(1, [1, 0x60, 0, 0]);
const FUNCTION = [...text("hearth"), ...text("now"), 0, 0];
/** Shared, of 2 to 1024 pages. */
const MEMORY = [...text("env"), ...text("memory"), 2, 3, 2, 0x80, 8];
const module = Uint8Array.from([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, ...FUNCTION_TYPE, ...section(2, [2, ...FUNCTION, ...MEMORY])]);

const imports = (memory: WebAssembly.Memory): WebAssembly.Imports => ({ env: { memory }, hearth: { now: () => 0 } });

afterEach(() => {
  vi.unstubAllGlobals();
});

test.each([true, false])("one module takes memory that is shared (%s), and no other", async (shared) => {
  const made = memoryOf(module, shared);
  expect(made.memory.buffer instanceof SharedArrayBuffer).toBe(shared);
  expect(made.memory.buffer.byteLength).toBe(2 * PAGE);
  expect(made.why).toBe("");
  await WebAssembly.instantiate(made.module, imports(made.memory));
  const other = memoryOf(module, !shared).memory;
  await expect(WebAssembly.instantiate(made.module, imports(other))).rejects.toThrow(WebAssembly.LinkError);
});

test("where there are few addresses shared memory may grow to less, or is not shared", async () => {
  const maxima: (number | undefined)[] = [];
  class Memory extends WebAssembly.Memory {
    constructor(descriptor: WebAssembly.MemoryDescriptor) {
      if (descriptor.shared === true) {
        maxima.push(descriptor.maximum);
        if (descriptor.maximum! > 256) throw new RangeError("Out of memory");
      }
      super(descriptor);
    }
  }
  vi.stubGlobal("WebAssembly", { ...WebAssembly, Memory, instantiate: WebAssembly.instantiate });
  const made = memoryOf(module, true, 200 * PAGE);
  expect(maxima).toEqual([1024, 512, 256]);
  expect(made.memory.buffer).toBeInstanceOf(SharedArrayBuffer);
  await WebAssembly.instantiate(made.module, imports(made.memory));
  const own = memoryOf(module, true, 300 * PAGE);
  expect(own.memory.buffer).toBeInstanceOf(ArrayBuffer);
  expect(own.why).toContain("Out of memory");
});

test.each([
  ["no module", Uint8Array.of(1, 2, 3), "It imports no memory."],
  ["one with memory of its own", module.slice(0, 8 + FUNCTION_TYPE.length), "It imports no memory."],
  ["one that ends too early", module.slice(0, -2), "It ends too early."],
])("%s is refused", (_, content, why) => {
  expect(() => memoryOf(content, true)).toThrow(why);
});
