// The structures of hearth.h as they lie in the memory of a wasm32 module: fields in C's order, aligned as C aligns them.

const SIZES = { u32: 4, pointer: 4, u64: 8, i64: 8 } as const;
type FieldType = keyof typeof SIZES;

export interface Struct<Name extends string> {
  readonly size: number;
  readonly offsets: Readonly<Record<Name, number>>;
  readonly types: Readonly<Record<Name, FieldType>>;
}

/** Fields in C's order. */
export function struct<const Fields extends Readonly<Record<string, FieldType>>>(fields: Fields): Struct<keyof Fields & string> {
  let size = 0;
  let alignment = 1;
  const offsets: Record<string, number> = {};
  for (const [name, type] of Object.entries(fields)) {
    const width = SIZES[type];
    offsets[name] = size = Math.ceil(size / width) * width;
    size += width;
    alignment = Math.max(alignment, width);
  }
  return { size: Math.ceil(size / alignment) * alignment, offsets, types: fields } as unknown as Struct<keyof Fields & string>;
}

/** Writes some fields of a structure at `at`, and zeroes to the others. */
export function writeStruct<Name extends string>(
  memory: DataView,
  at: number,
  layout: Struct<Name>,
  values: Partial<Record<Name, number>>,
): void {
  for (const name of Object.keys(layout.offsets) as Name[]) {
    const place = at + layout.offsets[name];
    const value = values[name] ?? 0;
    if (SIZES[layout.types[name]] === 8) memory.setBigInt64(place, BigInt(value), true);
    else memory.setUint32(place, value, true);
  }
}

export function readField<Name extends string>(memory: DataView, at: number, layout: Struct<Name>, name: Name): number {
  const place = at + layout.offsets[name];
  return SIZES[layout.types[name]] === 8 ? Number(memory.getBigInt64(place, true)) : memory.getUint32(place, true);
}

/** hearth_open_options, as far as it says what computes. */
export const OPEN_OPTIONS = struct({
  struct_size: "u32",
  use_mmap: "u32",
  load_threads: "u32",
  reserved: "u32",
  memory_limit_bytes: "u64",
  progress: "pointer",
  progress_user: "pointer",
  isa: "pointer",
  device: "pointer",
});

export const SIZE = struct({ name: "pointer", value: "i64" });

export const SESSION_OPTIONS = struct({
  struct_size: "u32",
  threads: "u32",
  sizes: "pointer",
  num_sizes: "u32",
  reserved: "u32",
});

export const BATCH = struct({
  struct_size: "u32",
  num_tokens: "u32",
  num_seqs: "u32",
  num_logit_rows: "u32",
  block_table_stride: "u32",
  num_prompt_tokens: "u32",
  token_ids: "pointer",
  positions: "pointer",
  token_seq: "pointer",
  block_table: "pointer",
  logit_rows: "pointer",
  num_embeddings: "u32",
  outputs: "u32",
  embeddings: "pointer",
  embedded_tokens: "pointer",
  last_seen: "pointer",
  rope_positions: "pointer",
  layer_input: "pointer",
  state_from: "pointer",
  state_to: "pointer",
});

export const VIEW = struct({ data: "pointer", dtype: "u32", rows: "u32", cols: "u32", row_stride: "u32" });

/** hearth_output: two numbers, then these views. */
export const OUTPUT_HEAD = struct({ struct_size: "u32", reserved: "u32" });
export const OUTPUT_VIEWS = ["logits", "argmax", "hidden", "layer_output", "likeliest"] as const;

/** hearth_outputs. */
export const WANTED = { logits: 1, argmax: 2, hidden: 4, nothing: 8, likeliest: 16 } as const;

/** hearth_tensor, with each axis of `shape` as a field of its own. */
export const TENSOR = struct({
  name: "pointer",
  data: "pointer",
  dtype: "u32",
  rank: "u32",
  shape0: "i64",
  shape1: "i64",
  shape2: "i64",
  shape3: "i64",
  shape4: "i64",
  shape5: "i64",
  shape6: "i64",
  shape7: "i64",
  row_stride: "i64",
});

export const MOST_AXES = 8;
export const shapeField = (axis: number): keyof (typeof TENSOR)["offsets"] => `shape${axis}` as "shape0";
