// Weights on the GPU: ranges that steps read are laid into a few buffers, into which weights.bin streams in blocks. All of it
// is never in the page's memory at once.

import { HearthError } from "../errors.ts";
import type { Gpu } from "./gpu.ts";
import type { GpuPlan, PlanBuffer } from "./tables.ts";

// Smaller buffers find their place more easily; a larger range has one of its own.
const BUFFER_BYTES = 256 << 20;
const BLOCK_BYTES = 4 << 20;
// What was handed to the browser and is not on the GPU yet.
const MOST_UNDERWAY = 64 << 20;
const OFFSET_ALIGN = 256;

/** Bytes of weights.bin that lie together on the GPU: ranges of one weight that overlap. */
export interface Span {
  readonly fileOffset: number;
  readonly size: number;
  /** Which buffer, and where in it. */
  readonly buffer: number;
  readonly offset: number;
}

export interface WeightLayout {
  /** In the order of weights.bin. */
  readonly spans: readonly Span[];
  readonly bufferBytes: readonly number[];
  /** Where each range of the plan lies. */
  readonly places: ReadonlyMap<PlanBuffer, { readonly buffer: number; readonly offset: number }>;
}

const roundUp = (size: number, align: number): number => Math.ceil(size / align) * align;

/** Where everything goes that the plan's steps read. */
export function layoutWeights(plan: GpuPlan): WeightLayout {
  const start = (range: PlanBuffer): number => plan.weights[range.index]!.offset + range.offset;
  const ranges = plan.buffers.filter(({ kind }) => kind === "weight").sort((a, b) => start(a) - start(b) || a.index - b.index);
  const spans: { fileOffset: number; size: number; buffer: number; offset: number }[] = [];
  const owners: number[] = [];
  ranges.forEach((range, i) => {
    const last = spans.at(-1);
    const [begin, end] = [start(range), start(range) + range.size];
    if (last === undefined || ranges[i - 1]!.index !== range.index || begin >= last.fileOffset + last.size) {
      spans.push({ fileOffset: begin, size: range.size, buffer: 0, offset: 0 });
    } else {
      last.size = Math.max(last.size, end - last.fileOffset);
    }
    owners.push(spans.length - 1);
  });
  const bufferBytes: number[] = [];
  for (const span of spans) {
    const size = roundUp(span.size, OFFSET_ALIGN);
    if (bufferBytes.length === 0 || bufferBytes.at(-1)! + size > BUFFER_BYTES) bufferBytes.push(0);
    span.buffer = bufferBytes.length - 1;
    span.offset = bufferBytes.at(-1)!;
    bufferBytes[span.buffer]! += size;
  }
  const places = new Map(
    ranges.map((range, i) => {
      const span = spans[owners[i]!]!;
      return [range, { buffer: span.buffer, offset: span.offset + start(range) - span.fileOffset }] as const;
    }),
  );
  return { spans, bufferBytes, places };
}

/** Sends weights.bin, as it comes in pieces of any size, to `buffers`. */
export async function uploadWeights(
  gpu: Gpu,
  layout: WeightLayout,
  buffers: readonly GPUBuffer[],
  pieces: AsyncIterable<Uint8Array>,
): Promise<void> {
  const what = "The weights cannot be sent to the GPU.";
  let [underway, at, next] = [0, 0, 0];
  for await (const block of blocks(pieces)) {
    gpu.requireSound();
    const end = at + block.length;
    for (; next < layout.spans.length; next++) {
      const span = layout.spans[next]!;
      const from = Math.max(span.fileOffset, at);
      // Sizes are multiples of 4, as WebGPU has it: there is room behind every span.
      const to = Math.min(roundUp(span.fileOffset + span.size, 4), end);
      if (from < to) {
        const offset = span.offset + from - span.fileOffset;
        gpu.device.queue.writeBuffer(buffers[span.buffer]!, offset, block, from - at, to - from);
        underway += to - from;
      }
      if (span.fileOffset + span.size > end) break;
    }
    at = end;
    if (underway < MOST_UNDERWAY) continue;
    await gpu.wait(what);
    underway = 0;
  }
  await gpu.wait(what);
  const last = layout.spans.at(-1);
  if (last !== undefined && at < last.fileOffset + last.size) {
    throw new HearthError("corrupt", `weights.bin has ${at} bytes, its plan reads up to ${last.fileOffset + last.size}.`);
  }
}

/** The same bytes in blocks of a size that is a multiple of 4, each valid until the next; the last is filled up with zeroes. */
async function* blocks(pieces: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  const block = new Uint8Array(BLOCK_BYTES);
  let filled = 0;
  for await (const piece of pieces) {
    for (let taken = 0; taken < piece.length; ) {
      const part = piece.subarray(taken, taken + BLOCK_BYTES - filled);
      block.set(part, filled);
      taken += part.length;
      filled += part.length;
      if (filled < BLOCK_BYTES) continue;
      yield block;
      filled = 0;
    }
  }
  if (filled === 0) return;
  block.fill(0, filled, roundUp(filled, 4));
  yield block.subarray(0, roundUp(filled, 4));
}
