// One session of a model: forwards of a language model, runs of any other function. One call at a time, as the C API has it.

import { HearthError } from "./errors.ts";
import type { GpuModel } from "./gpu/model.ts";
import type { DecodeOptions } from "./gpu/calls.ts";
import type { GpuCounters, GpuSession } from "./gpu/session.ts";
import { type Dtype, DTYPES, type FunctionInfo, type ModelInfo, requireText } from "./info.ts";
import type { Library } from "./library.ts";
import { Staging } from "./staging.ts";
import {
  BATCH,
  MOST_AXES,
  OUTPUT_HEAD,
  OUTPUT_VIEWS,
  readField,
  SESSION_OPTIONS,
  shapeField,
  SIZE,
  TENSOR,
  VIEW,
  WANTED,
  writeStruct,
} from "./structs.ts";

type TypedArray = Float32Array | Int32Array | Uint8Array | Int8Array | Uint16Array;

/** An array in row-major order. f16 as its bits, in a Uint16Array. */
export interface Tensor {
  readonly data: TypedArray;
  readonly shape: readonly number[];
}

const ARRAYS: Record<Dtype, { new (size: number): TypedArray; new (buffer: ArrayBuffer): TypedArray; BYTES_PER_ELEMENT: number }> = {
  f32: Float32Array,
  i32: Int32Array,
  u8: Uint8Array,
  i8: Int8Array,
  f16: Uint16Array,
};

/** A batch of tokens of any mixture of sequences: see hearth_batch in hearth.h. */
export interface Batch {
  readonly tokenIds: Int32Array;
  /** The position of each token in its sequence. */
  readonly positions: Int32Array;
  /** The row of `blockTable` that each token belongs to. Tokens of one sequence stand together, positions ascend by 1. */
  readonly tokenSeq: Int32Array;
  /** Rows of pages, one for each sequence, in the order of positions; -1 where none is needed. */
  readonly blockTable: Int32Array;
  readonly blockTableStride: number;
  /** Indices of the tokens whose logits are wanted. */
  readonly logitRows: Int32Array;
  /** So many of the first tokens are of prompts. */
  readonly numPromptTokens?: number;
  /** Of a model with slots of state, and only there: the slot with the state of each row of `blockTable` before its first token of the
   * batch; -1: it begins here. */
  readonly stateFrom?: Int32Array | undefined;
  /** Likewise, for each token: the slot that the state after it is written to, or -1. */
  readonly stateTo?: Int32Array | undefined;
  /** What is wanted of the result, all but `likeliest` by default: nothing else is brought back from a GPU. */
  readonly outputs?: readonly Exclude<keyof typeof WANTED, "nothing">[];
}

/** What a forward computed. Each array is copied out of the session's memory when it is asked for, and must be asked for
 * before the session's next call. Of an output that the plan does not give, or that was not wanted, it is empty. */
export interface ForwardResult {
  /** One row after the other for each of `logitRows`. */
  readonly logits: Float32Array;
  /** For each of `logitRows` the token of the largest logit. */
  readonly argmax: Int32Array;
  /** The hidden states of each token, after the final norm. */
  readonly hidden: Float32Array;
  /** For each of `logitRows` its largest logits, as many as `TextInfo.likeliest` says, largest first, and the tokens that they are of,
   * of equals the lowest first; -1 where there is none. */
  readonly likeliest: { readonly logits: Float32Array; readonly tokens: Int32Array };
}

/** How many units the model's states have, by the name of their symbol. */
export type SessionSizes = Readonly<Record<string, number>>;

export class Session {
  readonly #library: Library;
  readonly #info: ModelInfo;
  readonly #staging: Staging;
  readonly #onClose: () => void;
  #pointer: number;
  #gpu: GpuSession | undefined;
  #calls = 0;
  #busy = false;

  private constructor(
    library: Library,
    info: ModelInfo,
    model: number,
    sizes: SessionSizes,
    onClose: () => void,
  ) {
    this.#library = library;
    this.#info = info;
    this.#staging = new Staging(library);
    this.#onClose = onClose;
    this.#pointer = this.#create(model, Object.entries(sizes), library.threads.count.count);
  }

  /** Made by `Model.session`; `gpu` is where the model computes, if not in the module. */
  static async create(
    library: Library,
    info: ModelInfo,
    model: number,
    sizes: SessionSizes,
    gpu: GpuModel | undefined,
    onClose: (session: Session) => void,
  ): Promise<Session> {
    if (gpu === undefined) await library.threads.reserve();
    const session: Session = new Session(library, info, model, sizes, () => onClose(session));
    try {
      session.#gpu = await gpu?.session(session.#pointer);
      await session.#gpu?.measure();
    } catch (error) {
      session.close();
      throw error;
    }
    library.attach(session.#pointer, session.#gpu);
    return session;
  }

  /** What the last call had the GPU do; undefined where it computed in the module. */
  get counters(): GpuCounters | undefined {
    return this.#gpu?.counters;
  }

  #create(model: number, sizes: readonly [string, number][], threads: number): number {
    const text = sizes.reduce((sum, [name]) => sum + 4 * name.length + 1, 0);
    this.#staging.begin(SESSION_OPTIONS.size + 4 + sizes.length * SIZE.size + text, 3 + sizes.length);
    const answer = this.#staging.reserve(4);
    const options = this.#staging.reserve(SESSION_OPTIONS.size);
    const table = this.#staging.reserve(sizes.length * SIZE.size);
    sizes.forEach(([name, value], i) => {
      writeStruct(this.#library.view, table + i * SIZE.size, SIZE, { name: this.#staging.putText(name), value });
    });
    writeStruct(this.#library.view, options, SESSION_OPTIONS, {
      struct_size: SESSION_OPTIONS.size,
      threads,
      sizes: table,
      num_sizes: sizes.length,
    });
    const wanted = sizes.map(([name, value]) => `${value} ${name}`).join(", ");
    this.#library.check(`A session with ${wanted || "no sizes"} cannot be made.`, "hearth_session_create", model, options, answer);
    return this.#library.view.getUint32(answer, true);
  }

  /** Runs a language model over a batch of tokens. */
  async forward(batch: Batch): Promise<ForwardResult> {
    const output = this.#forward(this.#open(), batch);
    await this.#finish(() => this.#gpu!.finish());
    return this.#result(output + OUTPUT_HEAD.size);
  }

  /** How many steps of `decode` are worth one reading-back, by what both have taken so far: 1 where results need not be waited for. */
  get stepsWorthReading(): number {
    return this.#gpu?.stepsWorthReading ?? 1;
  }

  /**
   * Several forwards one after the other, each over the likeliest tokens of the one before, that are waited for once: where
   * reading from the GPU takes a while, several tokens cost that once.
   *
   * @param batch of the first: one token of each of its sequences, whose logits are wanted, with pages for all `steps` positions.
   *   `stateTo` has what each step writes, one step after the other; the next one reads it.
   * @returns of each forward the token of the largest logit of each sequence.
   */
  async decode(batch: Batch, steps: number, options: DecodeOptions = {}): Promise<readonly Int32Array[]> {
    const pointer = this.#open();
    this.#requireDecoding(batch, steps);
    const gpu = this.#gpu;
    if (gpu === undefined) {
      const found: Int32Array[] = [];
      while (found.length < steps) {
        const { argmax } = await this.forward(following(batch, found.length, found.at(-1)));
        found.push(argmax);
      }
      return found;
    }
    const forward = (step: number): unknown => this.#forward(pointer, following(batch, step));
    this.#calls++;
    let decoded: readonly Int32Array[] = [];
    await this.#finish(async () => {
      decoded = await gpu.decode(steps, forward, inputIndex(this.#info, "token_ids"), options);
    });
    return decoded;
  }

  #requireDecoding({ tokenIds, logitRows, tokenSeq }: Batch, steps: number): void {
    const { functions } = this.#info;
    const hasArgmax = functions.some(({ door, outputs }) => door === "text" && outputs.some(({ name }) => name === "argmax"));
    const isOneEach = new Set(tokenSeq).size === tokenIds.length && logitRows.length === tokenIds.length;
    if (hasArgmax && isOneEach && logitRows.every((row, i) => row === i) && Number.isInteger(steps) && steps >= 1) return;
    throw new HearthError("usage", "These tokens cannot be decoded.", {
      why: hasArgmax
        ? `${steps} steps, ${tokenIds.length} tokens of ${new Set(tokenSeq).size} sequences, of which ${logitRows.length} rows are wanted.`
        : "The plan does not say which token is the likeliest.",
      hint: "Give one token of each sequence, and the rows of all of them in their order.",
    });
  }

  /** Has the runtime make a forward; answers where what it says of its outputs lies. */
  #forward(pointer: number, batch: Batch): number {
    requireText(this.#info);
    const { tokenIds, positions, tokenSeq, blockTable, blockTableStride, logitRows } = batch;
    if (positions.length !== tokenIds.length || tokenSeq.length !== tokenIds.length) {
      throw new HearthError("usage", "tokenIds, positions and tokenSeq must have one entry a token.", {
        why: `They have ${tokenIds.length}, ${positions.length} and ${tokenSeq.length}.`,
      });
    }
    const { stateFrom, stateTo } = batch;
    const numSequences = blockTableStride > 0 ? blockTable.length / blockTableStride : 0;
    if ((stateFrom?.length ?? numSequences) !== numSequences || (stateTo?.length ?? tokenIds.length) !== tokenIds.length) {
      throw new HearthError("usage", "stateFrom must have one entry a sequence, stateTo one a token.", {
        why: `They have ${stateFrom?.length} and ${stateTo?.length}, for ${numSequences} and ${tokenIds.length}.`,
      });
    }
    const arrays = [tokenIds, positions, tokenSeq, blockTable, logitRows, ...[stateFrom, stateTo].filter((each) => each !== undefined)];
    const outputSize = OUTPUT_HEAD.size + numViews(this.#info) * VIEW.size;
    this.#staging.begin(BATCH.size + outputSize + 4 * arrays.reduce((sum, each) => sum + each.length, 0), 2 + arrays.length);
    const at = this.#staging.reserve(BATCH.size);
    const output = this.#staging.reserve(outputSize);
    const fields = {
      struct_size: BATCH.size,
      num_tokens: tokenIds.length,
      num_seqs: numSequences,
      num_logit_rows: logitRows.length,
      block_table_stride: blockTableStride,
      num_prompt_tokens: batch.numPromptTokens ?? 0,
      token_ids: this.#staging.put(tokenIds),
      positions: this.#staging.put(positions),
      token_seq: this.#staging.put(tokenSeq),
      block_table: this.#staging.put(blockTable),
      logit_rows: this.#staging.put(logitRows),
      outputs: wantedBits(batch.outputs),
      ...(stateFrom && { state_from: this.#staging.put(stateFrom) }),
      ...(stateTo && { state_to: this.#staging.put(stateTo) }),
    };
    writeStruct(this.#library.view, at, BATCH, fields);
    writeStruct(this.#library.view, output, OUTPUT_HEAD, { struct_size: outputSize });
    this.#library.check("The batch cannot be run.", "hearth_forward", pointer, at, output);
    return output;
  }

  /** Runs a function that is no language model's: arrays by name in, arrays by name out. */
  async run(name: string, inputs: Readonly<Record<string, Tensor>> = {}): Promise<Record<string, Tensor>> {
    const pointer = this.#open();
    const about = this.#function(name);
    const given = Object.entries(inputs);
    const bytes = given.reduce((sum, [input, { data }]) => sum + data.byteLength + 4 * input.length + 1, 0);
    const tensors = given.length + about.outputs.length;
    this.#staging.begin(bytes + 4 * name.length + 1 + tensors * TENSOR.size, 3 + 2 * given.length);
    const inputsAt = this.#staging.reserve(given.length * TENSOR.size);
    const outputsAt = this.#staging.reserve(about.outputs.length * TENSOR.size);
    given.forEach(([input, tensor], i) => this.#writeTensor(inputsAt + i * TENSOR.size, input, tensor));
    const counts = [given.length, about.outputs.length] as const;
    const text = this.#staging.putText(name);
    const what = `${name} cannot be run.`;
    this.#library.check(what, "hearth_run", pointer, text, inputsAt, counts[0], outputsAt, counts[1]);
    await this.#finish(() => this.#gpu!.finish());
    this.#calls++;
    return Object.fromEntries(about.outputs.map((each, i) => [each.name, this.#readTensor(outputsAt + i * TENSOR.size)]));
  }

  /** Gives the session's memory back. */
  close(): void {
    if (this.#pointer === 0) return;
    this.#library.attach(this.#pointer, undefined);
    this.#library.call("hearth_session_free", this.#pointer);
    this.#gpu?.close();
    this.#staging.free();
    this.#pointer = 0;
    this.#onClose();
  }

  #open(): number {
    if (this.#pointer === 0) throw new HearthError("usage", "The session is closed.");
    if (this.#busy) throw new HearthError("usage", "Another call runs in this session.", { hint: "Await it first." });
    return this.#pointer;
  }

  /** Waits until what a GPU computes is there, or begins with that. */
  async #finish(computing: () => Promise<void>): Promise<void> {
    if (this.#gpu === undefined) return;
    this.#busy = true;
    try {
      await computing();
    } finally {
      this.#busy = false;
    }
    this.#open();
  }

  #function(name: string): FunctionInfo {
    const found = this.#info.functions.find((each) => each.name === name);
    if (found !== undefined) return found;
    const names = this.#info.functions.map((each) => each.name).join(", ");
    throw new HearthError("usage", `The model has no function ${name}.`, { why: `It has: ${names}.` });
  }

  #result(views: number): ForwardResult {
    const call = ++this.#calls;
    const viewOf = (name: (typeof OUTPUT_VIEWS)[number]): ((field: keyof (typeof VIEW)["offsets"]) => number) => {
      if (call !== this.#calls || this.#pointer === 0) {
        throw new HearthError("usage", "A result is read after the session's next call.");
      }
      const place = OUTPUT_VIEWS.indexOf(name);
      if (place >= numViews(this.#info)) return () => 0;
      return (field) => readField(this.#library.view, views + place * VIEW.size, VIEW, field);
    };
    const read = <Read extends TypedArray>(name: (typeof OUTPUT_VIEWS)[number]): Read => {
      const view = viewOf(name);
      return this.#rows(view("data"), DTYPES[view("dtype")]!, view("rows"), view("cols"), view("row_stride")) as Read;
    };
    /** Its columns are the numbers of two types, half of them each. */
    const readLikeliest = <Read extends TypedArray>(half: 0 | 1, dtype: Dtype): Read => {
      const view = viewOf("likeliest");
      const [at, cols] = [view("data"), view("cols") / 2];
      return this.#rows(at && at + half * cols * ARRAYS[dtype].BYTES_PER_ELEMENT, dtype, view("rows"), cols, view("row_stride")) as Read;
    };
    return {
      get logits() {
        return read<Float32Array>("logits");
      },
      get argmax() {
        return read<Int32Array>("argmax");
      },
      get hidden() {
        return read<Float32Array>("hidden");
      },
      get likeliest() {
        return { logits: readLikeliest<Float32Array>(0, "f32"), tokens: readLikeliest<Int32Array>(1, "i32") };
      },
    };
  }

  /** Rows that lie `stride` elements apart, next to each other in fresh memory. */
  #rows(at: number, dtype: Dtype, rows: number, cols: number, stride: number): TypedArray {
    const Kind = ARRAYS[dtype];
    if (at === 0) return new Kind(0);
    const width = Kind.BYTES_PER_ELEMENT;
    const result = new Kind(rows * cols);
    const bytes = new Uint8Array(result.buffer);
    for (let row = 0; row < rows; row++) {
      bytes.set(this.#library.bytes(at + row * stride * width, cols * width), row * cols * width);
    }
    return result;
  }

  #writeTensor(at: number, name: string, { data, shape }: Tensor): void {
    const dtype = DTYPES.findIndex((each) => data instanceof ARRAYS[each]);
    const size = shape.reduce((product, axis) => product * axis, 1);
    if (dtype < 0 || shape.length > MOST_AXES || size !== data.length) {
      throw new HearthError("usage", `${name} cannot be given: ${data.length} numbers for the shape (${shape.join(", ")}).`);
    }
    const axes = Object.fromEntries(shape.map((axis, i) => [shapeField(i), axis]));
    const pointers = { name: this.#staging.putText(name), data: this.#staging.put(data as Uint8Array) };
    writeStruct(this.#library.view, at, TENSOR, { ...axes, ...pointers, dtype, rank: shape.length });
  }

  #readTensor(at: number): Tensor {
    const field = (name: keyof (typeof TENSOR)["offsets"]): number => readField(this.#library.view, at, TENSOR, name);
    const axes = Array.from({ length: field("rank") }, (_, axis) => axis);
    const shape = axes.map((axis) => field(shapeField(axis)));
    const cols = shape.at(-1) ?? 1;
    const rows = shape.slice(0, -1).reduce((product, axis) => product * axis, 1);
    const stride = shape.length > 0 ? field("row_stride") : 1;
    return { data: this.#rows(field("data"), DTYPES[field("dtype")]!, rows, cols, stride), shape };
  }
}

/** The batch so many steps later, over the tokens that came out of the step before; zeroes where the GPU has these. */
function following(batch: Batch, step: number, tokens: Int32Array = new Int32Array(batch.tokenIds.length)): Batch {
  const count = batch.tokenIds.length;
  const written = (at: number): Int32Array | undefined => batch.stateTo?.subarray(at * count, (at + 1) * count);
  const states = { stateFrom: step === 0 ? batch.stateFrom : written(step - 1), stateTo: written(step) };
  if (step === 0) return { ...batch, ...states, outputs: ["argmax"] };
  const positions = batch.positions.map((position) => position + step);
  return { ...batch, ...states, tokenIds: tokens, positions, numPromptTokens: 0, outputs: ["argmax"] };
}

/** Among the inputs of all functions, in the plan's order. */
function inputIndex({ functions }: ModelInfo, input: string): number {
  const text = functions.findIndex(({ door }) => door === "text");
  const before = functions.slice(0, text).reduce((sum, { inputs }) => sum + inputs.length, 0);
  return before + functions[text]!.inputs.findIndex(({ name }) => name === input);
}

/** Of hearth_output, up to the last that the plan gives: the module of an older bundle refuses those that it does not know. */
function numViews({ functions }: ModelInfo): number {
  const outputs = functions.find(({ door }) => door === "text")?.outputs ?? [];
  return Math.max(0, ...outputs.map((output) => 1 + OUTPUT_VIEWS.findIndex((name) => name === output.name)));
}

/** Bits of hearth_outputs; 0 for all that is wanted by default. */
function wantedBits(wanted: Batch["outputs"]): number {
  if (wanted === undefined) return 0;
  return wanted.reduce((bits, name) => bits | WANTED[name], 0) || WANTED.nothing;
}
