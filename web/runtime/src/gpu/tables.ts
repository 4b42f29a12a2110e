// What the runtime tells of a plan and of a session on the GPU, as it lies in the module's memory: csrc/device_web.c has the
// structures, docs/architecture.md ("The plan") the records of the tables.

import type { Library } from "../library.ts";
import { readField, struct, type Struct } from "../structs.ts";

const MOST_ARENAS = 8;

const PLAN_TABLES = struct({
  strings: "pointer",
  args: "pointer",
  arena_bytes: "pointer",
  buffers: "pointer",
  weights: "pointer",
  states: "pointer",
  kernels: "pointer",
  steps: "pointer",
  num_buffers: "u32",
  num_weights: "u32",
  num_states: "u32",
  num_kernels: "u32",
  num_steps: "u32",
  num_inputs: "u32",
});
const BUFFER = struct({ kind: "u32", index: "u32", offset: "u64", size: "u64" });
const WEIGHT = struct({ name: "u32", zero: "u32", offset: "u64", size: "u64" });
const STATE = struct({ name: "u32", symbol: "u32", unit_bytes: "u64" });
const KERNEL = struct({ name: "u32", num_buffers: "u32", num_scalars: "u32", zero: "u32" });
const STEP = struct({ kernel: "u32", first_arg: "u32", units: "u32", grain: "u32", label: "u32", flags: "u32" });

const SESSION_MEMORY = struct({ changing_bytes: "u64", input_bytes: "pointer", input_offsets: "pointer", state_bytes: "pointer" });
const COPY = struct({ offset: "u64", arena: "u32", size: "u32", to: "pointer" });

const KINDS = ["arena", "weight", "state", "input"] as const;

/** What a step reads or writes: a range of arena or weight `index`, or all of that state or input. */
export interface PlanBuffer {
  readonly kind: (typeof KINDS)[number];
  readonly index: number;
  /** In bytes, as `size`; both are 0 for states and inputs. */
  readonly offset: number;
  readonly size: number;
}

export interface PlanStep {
  readonly label: string;
  /** An index into the plan's kernels. */
  readonly kernel: number;
  /** The ranges that are bound, in the order of bindings. */
  readonly buffers: readonly PlanBuffer[];
}

export interface GpuPlan {
  /** Bytes of each arena; 0: there is none. */
  readonly arenaBytes: readonly number[];
  readonly buffers: readonly PlanBuffer[];
  /** Where each weight lies in weights.bin, in bytes. */
  readonly weights: readonly { readonly name: string; readonly offset: number; readonly size: number }[];
  readonly states: readonly { readonly name: string }[];
  readonly kernels: readonly { readonly name: string; readonly numBuffers: number }[];
  readonly steps: readonly PlanStep[];
  readonly numInputs: number;
}

/** Memory of a session beside the arenas, in bytes. */
export interface SessionMemory {
  /** Of the buffer that has a slot of uniforms for each step, then the inputs. */
  readonly changingBytes: number;
  /** Where each input lies in it, and how many bytes it has at its largest. */
  readonly inputs: readonly { readonly offset: number; readonly size: number }[];
  readonly stateBytes: readonly number[];
}

/** An output that is to be brought to the module's memory. */
export interface Copy {
  readonly arena: number;
  readonly offset: number;
  readonly size: number;
  readonly to: number;
}

/** Reads `count` records at `at`: the value of a field by its name. */
function records<Name extends string, Made>(
  library: Library,
  at: number,
  count: number,
  layout: Struct<Name>,
  make: (field: (name: Name) => number) => Made,
): Made[] {
  const view = library.view;
  return Array.from({ length: count }, (_, i) => make((name) => readField(view, at + i * layout.size, layout, name)));
}

const bytesAt = (library: Library, at: number, count: number): number[] =>
  Array.from({ length: count }, (_, i) => Number(library.view.getBigUint64(at + 8 * i, true)));

/** The plan of a model that was opened for the GPU. */
export function readPlan(library: Library, model: number): GpuPlan {
  const tables = library.call("hth_web_plan", model);
  const table = (name: keyof (typeof PLAN_TABLES)["offsets"]): number => readField(library.view, tables, PLAN_TABLES, name);
  const text = (offset: number): string => library.text(table("strings") + offset);
  const buffers = records(library, table("buffers"), table("num_buffers"), BUFFER, (field) => ({
    kind: KINDS[field("kind")]!,
    index: field("index"),
    offset: field("offset"),
    size: field("size"),
  }));
  const kernels = records(library, table("kernels"), table("num_kernels"), KERNEL, (field) => ({
    name: text(field("name")),
    numBuffers: field("num_buffers"),
  }));
  const args = table("args");
  return {
    arenaBytes: bytesAt(library, table("arena_bytes"), MOST_ARENAS),
    buffers,
    weights: records(library, table("weights"), table("num_weights"), WEIGHT, (field) => ({
      name: text(field("name")),
      offset: field("offset"),
      size: field("size"),
    })),
    states: records(library, table("states"), table("num_states"), STATE, (field) => ({ name: text(field("name")) })),
    kernels,
    steps: records(library, table("steps"), table("num_steps"), STEP, (field) => ({
      label: text(field("label")),
      kernel: field("kernel"),
      buffers: Array.from({ length: kernels[field("kernel")]!.numBuffers }, (_, i) => {
        return buffers[library.view.getUint32(args + 4 * (field("first_arg") + i), true)]!;
      }),
    })),
    numInputs: table("num_inputs"),
  };
}

/** What a session takes on the GPU. */
export function readSessionMemory(library: Library, session: number, plan: GpuPlan): SessionMemory {
  const at = library.call("hth_web_session", session);
  const field = (name: keyof (typeof SESSION_MEMORY)["offsets"]): number => readField(library.view, at, SESSION_MEMORY, name);
  const offsets = bytesAt(library, field("input_offsets"), plan.numInputs);
  const sizes = bytesAt(library, field("input_bytes"), plan.numInputs);
  return {
    changingBytes: field("changing_bytes"),
    inputs: offsets.map((offset, i) => ({ offset, size: sizes[i]! })),
    stateBytes: bytesAt(library, field("state_bytes"), plan.states.length),
  };
}

export function readCopies(library: Library, at: number, count: number): Copy[] {
  return records(library, at, count, COPY, (field) => ({
    arena: field("arena"),
    offset: field("offset"),
    size: field("size"),
    to: field("to"),
  }));
}
