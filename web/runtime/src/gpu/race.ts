// Whether the page's GPU computes what the processor computes, and which variants of its kernels it computes with: what each
// gains differs from GPU to GPU, up to its sign, and a driver may get one wrong. Where a GPU first meets kernels, each set of
// variants computes the model's known answers; of those that do, near enough, each kernel gets the fastest. From then on these
// alone are checked. A GPU whose plainest kernels are wrong is not used. Weights stay where they are meanwhile.

import { HearthError } from "../errors.ts";
import type { Batch, Session, SessionSizes } from "../session.ts";
import { GpuLost } from "./gpu.ts";
import type { KnownAnswers, KnownCall } from "./known_answers.ts";
import type { GpuModel } from "./model.ts";
import type { RaceRecord } from "./race_record.ts";
import { CORE, type Kernel } from "./shaders.ts";

/** Relative distances of logits that are no rounding any more: the processor may compute with 8-bit activations. */
const FAR_FROM_CPU = 0.1;
const FAR_FROM_CORE = 0.05;
const MOST_ROUNDS = 5;
/** A call of a race is repeated for so long, but once at least. */
const ROUNDS_MS = 100;

/** A variant took the GPU with it: opened once more, the model goes without. */
export class VariantLost extends GpuLost {}

interface Lap {
  /** After each call. */
  readonly logits: readonly Float32Array[];
  /** Of each call, the median; empty where it was not timed. */
  readonly milliseconds: readonly number[];
  /** Names of the kernels that had something to do in each call. */
  readonly ran: readonly ReadonlySet<string>[];
}

/** Slots of state: a call writes the one that it does not read, so that it can be computed again. */
const SLOTS = 2;

/**
 * @param hasState whether the model has slots of state.
 * @param open a session of the model.
 */
export async function chooseKernels(
  model: GpuModel,
  known: KnownAnswers,
  record: RaceRecord,
  hasState: boolean,
  open: (sizes: SessionSizes) => Promise<Session>,
): Promise<void> {
  const lap = (timed: boolean): Promise<Lap> => runLap(known, hasState, open, timed);
  const expected = known.calls.map(({ logits }) => logits);
  const racing = model.kernels.filter((kernel) => kernel.variants.size > 0 && record.choice(kernel) === undefined);
  const core = await lap(racing.length > 0);
  const far = farthest(core.logits, expected);
  if (far > FAR_FROM_CPU) {
    if (Object.keys(model.variants).length === 0) throw wrong(model, far);
    // Right once, and no longer: the driver is another one. What remains is the core.
    await record.choose(new Map(model.kernels.filter(({ variants }) => variants.size > 0).map((kernel) => [kernel, CORE])));
    await model.use(() => CORE);
    return chooseKernels(model, known, record, hasState, open);
  }
  if (racing.length === 0) return;
  const laps = new Map([[CORE, core]]);
  for (const features of [...new Set(racing.flatMap(({ variants }) => [...variants.keys()]))].sort()) {
    if (await record.hasLost(features)) continue;
    const variant = await tried(model, features, record, lap);
    if (variant !== undefined && farthest(variant.logits, core.logits) <= FAR_FROM_CORE) laps.set(features, variant);
  }
  await record.choose(new Map(racing.map((kernel) => [kernel, fastest(kernel, laps)])));
  await model.use((kernel) => record.choice(kernel) ?? CORE);
}

/** A lap with the variants of these features; undefined where the driver refuses them. */
async function tried(model: GpuModel, features: string, record: RaceRecord, lap: (timed: boolean) => Promise<Lap>): Promise<Lap | undefined> {
  await record.beginTrial(features);
  try {
    await model.use(() => features);
    return await lap(true);
  } catch (error) {
    if (error instanceof GpuLost) throw new VariantLost(error.kind, error.what, error);
    return undefined;
  } finally {
    if (!model.gpu.isLost) await record.endTrial(features);
  }
}

/** Of the features that a kernel has variants for, those with which what it ran in took the least time. */
function fastest({ name, variants }: Kernel, laps: ReadonlyMap<string, Lap>): string {
  const cost = ({ milliseconds, ran }: Lap): number => Math.min(...milliseconds.filter((_, call) => ran[call]!.has(name)));
  let best = CORE;
  for (const features of variants.keys()) {
    const lap = laps.get(features);
    if (lap !== undefined && cost(lap) < cost(laps.get(best)!)) best = features;
  }
  return best;
}

async function runLap(
  { pages, calls }: KnownAnswers,
  hasState: boolean,
  open: (sizes: SessionSizes) => Promise<Session>,
  timed: boolean,
): Promise<Lap> {
  const session = await open(hasState ? { pages, slots: SLOTS } : { pages });
  const [logits, milliseconds, ran]: [Float32Array[], number[], Set<string>[]] = [[], [], []];
  try {
    for (const [i, call] of calls.entries()) {
      const batch = { ...batchOf(call), ...(hasState && statesOf(call, i)) };
      logits.push(await compute(session, call, batch));
      ran.push(new Set(session.counters!.kernels));
      if (timed) milliseconds.push(await timeOf(() => session.forward({ ...batch, outputs: ["argmax"] })));
    }
  } finally {
    session.close();
  }
  return { logits, milliseconds, ran };
}

/** The logits that are known; none where the GPU does not find the largest of its own. */
async function compute(session: Session, { rows, stride }: KnownCall, batch: Batch): Promise<Float32Array> {
  const { logits, argmax } = await session.forward({ ...batch, outputs: ["logits", "argmax"] });
  const width = logits.length / rows;
  const found = argmax.every((place, row) => isLargest(logits.subarray(row * width, (row + 1) * width), place));
  return found ? logits.filter((_, i) => i % stride === 0) : new Float32Array();
}

const batchOf = ({ tokens, position, pages, rows }: KnownCall): Batch => ({
  tokenIds: Int32Array.from(tokens),
  positions: Int32Array.from(tokens, (_, i) => position + i),
  tokenSeq: new Int32Array(tokens.length),
  blockTable: Int32Array.from(pages),
  blockTableStride: pages.length,
  logitRows: Int32Array.from({ length: rows }, (_, i) => tokens.length - rows + i),
});

/** Of the call with this number: it goes on from what the one before left. */
const statesOf = ({ tokens, position }: KnownCall, number: number): Pick<Batch, "stateFrom" | "stateTo"> => ({
  stateFrom: Int32Array.of(position === 0 ? -1 : number % SLOTS),
  stateTo: new Int32Array(tokens.length).fill(-1).fill((number + 1) % SLOTS, tokens.length - 1),
});

const isLargest = (row: Float32Array, place: number): boolean => row.every((value) => value <= row[place]!);

async function timeOf(run: () => Promise<unknown>): Promise<number> {
  const times: number[] = [];
  const begun = performance.now();
  for (let now = begun; times.length === 0 || (times.length < MOST_ROUNDS && now - begun < ROUNDS_MS); ) {
    await run();
    const then = now;
    times.push((now = performance.now()) - then);
  }
  return times.sort((a, b) => a - b)[times.length >> 1]!;
}

const farthest = (mine: readonly Float32Array[], theirs: readonly Float32Array[]): number =>
  Math.max(...theirs.map((each, call) => distance(mine[call]!, each)));

/** Relative, in the Euclidean norm; what is no number is as far as can be. */
function distance(mine: Float32Array, theirs: Float32Array): number {
  if (mine.length !== theirs.length) return Infinity;
  const far = Math.hypot(...mine.map((value, i) => value - theirs[i]!)) / Math.hypot(...theirs);
  return Number.isFinite(far) ? far : Infinity;
}

function wrong({ gpu }: GpuModel, far: number): HearthError {
  const away = Number.isFinite(far) ? `${(100 * far).toFixed(0)} % away from` : "not";
  return new HearthError("device", `The GPU ${gpu.name} does not compute what the processor computes.`, {
    why: `Logits are ${away} those of the same model on the processor.`,
    hint: "Update the GPU's driver and the browser, or compute on the processor: device: \"wasm\".",
  });
}
