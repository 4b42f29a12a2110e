// run_kernel.c for WebAssembly: node run_kernel.mjs MODULE KERNEL. Reads and writes what run_kernel.c does, and takes the
// kernel by its exported name.
import fs from "node:fs";
const [modulePath, name] = process.argv.slice(2);
const input = fs.readFileSync(0);
let at = 0;
const number = () => Number(input.readBigInt64LE((at += 8) - 8));

const math = Object.fromEntries(["sin", "cos", "exp", "tanh"].map((f) => [f + "f", (x) => Math.fround(Math[f](x))]));
const { exports } = new WebAssembly.Instance(new WebAssembly.Module(fs.readFileSync(modulePath)), { env: math });
const [, units, chunk, count, numScalars] = [number(), number(), number(), number(), number()];
const scalars = Array.from({ length: numScalars }, () => BigInt(number()));
let end = exports.__heap_base.value;
const places = [];
for (let i = 0; i < count; i++) {
  const size = number();
  const start = Math.ceil(end / 64) * 64;
  places.push({ start, size, from: at });
  at += size;
  end = start + size;
}
const missing = end - exports.memory.buffer.byteLength;
if (missing > 0) exports.memory.grow(Math.ceil(missing / 65536));
const memory = new Uint8Array(exports.memory.buffer);
for (const p of places) memory.set(input.subarray(p.from, p.from + p.size), p.start);
const pointers = places.map((p) => p.start);
for (let begin = 0; begin < units; begin += chunk) {
  const range = [BigInt(begin), BigInt(Math.min(begin + chunk, units))];
  if (exports[name](...range, ...pointers.slice(0, -1), ...scalars, pointers[count - 1]) !== 0) process.exit(1);
}
for (const p of places) fs.writeSync(1, memory, p.start, p.size);
