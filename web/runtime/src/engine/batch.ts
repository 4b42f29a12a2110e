// The arrays of one ragged forward. Knows the layout that `forward.ts` asks for and nothing of why a token is in it.

import type { ForwardBatch, OutputName } from "./forward.ts";
import type { StateWay } from "./held_state.ts";
import { isPrompt, type PagedTokens, type Slice, wantsLogits } from "./scheduler.ts";

/**
 * Lays out slices one after the other, prompts first, with one row of logits for each that wants them; these rows are in the order
 * that `slices` have, once the prompts among them stand first.
 *
 * @param tableStride pages in a row of the block table.
 * @param hasState whether the model has slots of state.
 */
export function layOut(
  slices: readonly Slice<PagedTokens>[],
  tableStride: number,
  outputs: readonly OutputName[],
  hasState: boolean,
): ForwardBatch {
  const size = slices.reduce((sum, { count }) => sum + count, 0);
  const tokenIds = new Int32Array(size);
  const positions = new Int32Array(size);
  const tokenSeq = new Int32Array(size);
  const blockTable = new Int32Array(slices.length * tableStride).fill(-1);
  const logitRows: number[] = [];
  let at = 0;
  let numPromptTokens = 0;
  slices.forEach((slice, row) => {
    const { sequence, start, count } = slice;
    for (let i = 0; i < count; i++, at++) {
      tokenIds[at] = sequence.tokens[start + i]!;
      positions[at] = start + i;
      tokenSeq[at] = row;
    }
    blockTable.set(sequence.pages, row * tableStride);
    if (isPrompt(slice)) numPromptTokens = at;
    if (wantsLogits(slice)) logitRows.push(at - 1);
  });
  return {
    tokenIds,
    positions,
    tokenSeq,
    blockTable,
    blockTableStride: tableStride,
    logitRows: Int32Array.from(logitRows),
    numPromptTokens,
    outputs,
    ...(hasState && statesOf(slices.map(({ sequence, start, count }) => sequence.state.way(start, start + count)))),
  };
}

const statesOf = (ways: readonly StateWay[]): Pick<ForwardBatch, "stateFrom" | "stateTo"> => ({
  stateFrom: Int32Array.from(ways, ({ from }) => from),
  stateTo: Int32Array.from(ways.flatMap(({ to }) => to)),
});

/** The first of so many steps at once, of slices of one token each, with what all of them write. */
export function layOutSteps(slices: readonly Slice[], tableStride: number, steps: number, hasState: boolean): ForwardBatch {
  const batch = layOut(slices, tableStride, ["argmax"], false);
  if (!hasState) return batch;
  const ways = slices.map(({ sequence, start }) => sequence.state.wayOfSteps(start, start + steps));
  const stateTo = Int32Array.from({ length: steps * ways.length }, (_, i) => ways[i % ways.length]!.to[Math.floor(i / ways.length)]!);
  return { ...batch, ...statesOf(ways), stateTo };
}

/** Prompts first, else in the order they have. */
export const promptsFirst = (slices: readonly Slice[]): Slice[] => [
  ...slices.filter((slice) => isPrompt(slice)),
  ...slices.filter((slice) => !isPrompt(slice)),
];
