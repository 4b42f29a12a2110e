import { expect, test } from "vitest";
import { type ForwardBatch, StatesLost } from "../../src/engine/forward.ts";
import { sessionForward } from "../../src/engine/session_forward.ts";
import { GpuLost } from "../../src/gpu/gpu.ts";
import type { Model } from "../../src/model.ts";

/** A model whose GPU is lost in these forwards, by their number, and cannot be opened for these times. */
function losing(forwards: readonly number[], openings: readonly number[] = []): { model: Model; opened: () => number } {
  const lost = (): GpuLost => new GpuLost("device", "The GPU was lost.");
  const axes = (name: string): object => ({ name, high: 10 });
  const info = { functions: [{ door: "text", inputs: [axes("token_ids"), axes("positions")], outputs: [] }], symbols: {}, states: [] };
  let [calls, opened] = [0, 0];
  const session = {
    forward: () => (forwards.includes(++calls) ? Promise.reject(lost()) : Promise.resolve("computed")),
    close: () => undefined,
  };
  const model = {
    info,
    session: () => Promise.resolve(session),
    reopen: () => (openings.includes(++opened) ? Promise.reject(lost()) : Promise.resolve()),
  };
  return { model: model as unknown as Model, opened: () => opened };
}

const batch: ForwardBatch = {
  tokenIds: Int32Array.of(1),
  positions: Int32Array.of(0),
  tokenSeq: Int32Array.of(0),
  blockTable: Int32Array.of(0),
  blockTableStride: 1,
  logitRows: new Int32Array(),
  numPromptTokens: 0,
  outputs: [],
};

test("a GPU that is lost is opened again, and what it held is said to be lost", async () => {
  const { model, opened } = losing([2, 4]);
  const forward = await sessionForward(model, 4, 0);
  expect(await forward.forward(batch)).toBe("computed");
  await expect(forward.forward(batch)).rejects.toThrow(StatesLost);
  expect(await forward.forward(batch)).toBe("computed");
  await expect(forward.forward(batch)).rejects.toThrow(StatesLost);
  expect(opened()).toBe(2);
});

test("one that is lost before it has computed anything ends the request; the next one opens it again", async () => {
  const { model, opened } = losing([1, 2]);
  const forward = await sessionForward(model, 4, 0);
  await expect(forward.forward(batch)).rejects.toThrow(StatesLost);
  await expect(forward.forward(batch)).rejects.toThrow(GpuLost);
  expect(opened()).toBe(1);
  await expect(forward.forward(batch)).rejects.toThrow(StatesLost);
  expect(await forward.forward(batch)).toBe("computed");
});

test("one that cannot be opened is an error, and may be had later", async () => {
  const { model } = losing([1], [1]);
  const forward = await sessionForward(model, 4, 0);
  await expect(forward.forward(batch)).rejects.toThrow(GpuLost);
  await expect(forward.forward(batch)).rejects.toThrow(StatesLost);
  expect(await forward.forward(batch)).toBe("computed");
});
