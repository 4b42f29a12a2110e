// Loading a bundle: its manifest, the best of its modules that this engine runs, the plan of what is to compute it, and its
// weights, which go piece by piece to where they stay, so that they are never held twice.

import { HearthError } from "./errors.ts";
import { hasFeature } from "./features.ts";
import type { BundleFiles } from "./files.ts";
import { findAdapter } from "./gpu/gpu.ts";
import { readKnownAnswers } from "./gpu/known_answers.ts";
import { VariantLost } from "./gpu/race.ts";
import { Library, type Region } from "./library.ts";
import {
  GPU_KERNELS,
  GPU_PLAN,
  type InstructionSet,
  KNOWN_ANSWERS,
  type Manifest,
  MANIFEST,
  moduleName,
  PLAN,
  readManifest,
  TOKENIZER_META,
  WEIGHTS,
} from "./manifest.ts";
import { type About, Model, type Placed, placeInModule, placeOnGpu } from "./model.ts";
import { filesAt, type Source } from "./sources.ts";
import type { PackageOptions } from "./store/package.ts";
import { chooseThreads, type ThreadCount } from "./threads.ts";

/** Memory for a model's sessions is counted as what its weights take, where it matters. */
const LEAST_GROWTH = 2;

export interface LoadOptions extends PackageOptions {
  /** Told as the bundle's files come: bytes, of all. */
  readonly onProgress?: (doneBytes: number, totalBytes: number) => void;
  /**
   * What computes: the page's GPU ("webgpu"), the processor ("wasm"), or the GPU where it can be had and holds the model and
   * else the processor ("auto", as by default): `Model.device` then says which, and why.
   */
  readonly device?: "auto" | "webgpu" | "wasm";
  /** Whether to take a GPU that is played by a program: slow, but what there is where pages are tested. By default where
   * `device` asks for a GPU. */
  readonly softwareGpu?: boolean;
  /** Take no more of the GPU's memory than this, weights and sessions together. */
  readonly memoryLimitBytes?: number;
  /** The name of the instruction set to use, to measure or to compare; else the best that the engine runs. */
  readonly isa?: string;
  /**
   * On how many threads the processor computes; by default as many as are worth it here. It is one where a page is not
   * cross-origin isolated or workers do not start: `Model.device` then says so.
   */
  readonly threads?: number | "auto";
}

/** Opens the bundle at a URL, the packaged one whose model.json is at a URL, or that of files. */
export async function loadBundle(source: Source, options: LoadOptions = {}): Promise<Model> {
  const files = await filesAt(source, options);
  const model = await load(files, options);
  await files.opened?.();
  return model;
}

async function load(files: BundleFiles, options: LoadOptions): Promise<Model> {
  const manifest = readManifest(new TextDecoder().decode(await whole(files, MANIFEST, options)));
  const isa = chooseIsa(manifest, options.isa);
  const threads = chooseThreads(options.threads);
  const loading = new Loading(files, manifest, options);
  // On a GPU another plan, which is as small beside the weights.
  loading.expect(moduleName(isa), PLAN in manifest.files ? PLAN : GPU_PLAN, WEIGHTS);
  const module = await loading.whole(moduleName(isa));
  const endIds = TOKENIZER_META in manifest.files ? await readEndIds(files, options) : [];
  const about = { manifest, endIds };
  const again = (): Promise<Placed> => place(new Loading(files, manifest, {}), module, about, threads, options);
  return new Model(about, await place(loading, module, about, threads, options), again);
}

/** Opens the model where it computes. */
async function place(loading: Loading, module: Uint8Array, about: About, threads: ThreadCount, options: LoadOptions): Promise<Placed> {
  let why = "";
  if (options.device !== "wasm") {
    try {
      return await onGpu(loading, module, about, options);
    } catch (error) {
      if (options.device === "webgpu" || !isOfGpu(error)) throw error;
      why = `${error.what} ${error.why}`.trim();
    }
  }
  return inModule(loading, module, about, threads, why);
}

async function inModule(loading: Loading, module: Uint8Array, about: About, threads: ThreadCount, why: string): Promise<Placed> {
  loading.expect(PLAN, WEIGHTS);
  const weightsBytes = loading.size(WEIGHTS);
  const library = await Library.instantiate(module, threads, LEAST_GROWTH * weightsBytes);
  try {
    const starting = library.threads.reserve();
    const plan = await loading.whole(PLAN);
    const weights = library.allocate(weightsBytes, "the weights");
    await loading.into(library, weights, WEIGHTS);
    await starting;
    return placeInModule(library, about, plan, weights, weightsBytes, why);
  } catch (error) {
    library.close();
    throw error;
  }
}

async function readEndIds(files: BundleFiles, options: LoadOptions): Promise<number[]> {
  const text = new TextDecoder().decode(await whole(files, TOKENIZER_META, options));
  return (JSON.parse(text) as { eos_ids: number[] }).eos_ids;
}

/** What another device may yet do. */
const isOfGpu = (error: unknown): error is HearthError =>
  error instanceof HearthError && (error.kind === "device" || error.kind === "memory");

async function onGpu(loading: Loading, module: Uint8Array, about: About, options: LoadOptions): Promise<Placed> {
  const { manifest } = about;
  if (manifest.files[GPU_PLAN] === undefined) {
    const why = "It has an operation that no kernel for GPUs computes yet, or takes no tokens.";
    throw new HearthError("device", `The bundle of ${manifest.source_name} runs on the processor alone.`, { why });
  }
  const adapter = await findAdapter(options.softwareGpu ?? options.device === "webgpu");
  const answers = KNOWN_ANSWERS in manifest.files ? [KNOWN_ANSWERS] : [];
  loading.expect(GPU_PLAN, GPU_KERNELS, ...answers, WEIGHTS);
  const plan = await loading.whole(GPU_PLAN);
  const shaders = await loading.text(GPU_KERNELS);
  const known = answers.length > 0 ? readKnownAnswers(await loading.text(KNOWN_ANSWERS)) : undefined;
  const weights = (): AsyncIterable<Uint8Array> => loading.pieces(WEIGHTS);
  const library = await Library.instantiate(module);
  try {
    return await placeOnGpu(library, about, { plan, shaders, known, weights }, adapter, options.memoryLimitBytes);
  } catch (error) {
    library.close();
    if (!(error instanceof VariantLost)) throw error;
    return onGpu(loading, module, about, options); // which variant it was is remembered
  }
}

function chooseIsa({ source_name, instruction_sets }: Manifest, wanted: string | undefined): InstructionSet {
  const known = instruction_sets.filter(({ name }) => wanted === undefined || name === wanted);
  if (known.length === 0) {
    const names = instruction_sets.map(({ name }) => name).join(", ");
    throw new HearthError("usage", `The bundle of ${source_name} has no kernels for ${wanted}.`, { why: `It has: ${names}.` });
  }
  const runs = known.find(({ features }) => features.every(hasFeature));
  if (runs !== undefined) return runs;
  const lacking = known.map(({ name, features }) => `${name} needs ${features.filter((f) => !hasFeature(f)).join(", ")}`);
  throw new HearthError("mismatch", `This browser cannot run the bundle of ${source_name}.`, {
    why: `It does not know what the bundle's kernels need: ${lacking.join("; ")}.`,
    hint: "Use a current version of Chrome, Firefox or Safari.",
  });
}

async function whole(files: BundleFiles, name: string, { signal }: LoadOptions): Promise<Uint8Array<ArrayBuffer>> {
  const parts: Uint8Array[] = [];
  for await (const part of await files.open(name)) {
    signal?.throwIfAborted();
    parts.push(part);
  }
  const result = new Uint8Array(parts.reduce((size, part) => size + part.length, 0));
  let at = 0;
  for (const part of parts) {
    result.set(part, at);
    at += part.length;
  }
  return result;
}

/** The files of one bundle as they come, with what is told of them. */
class Loading {
  readonly #files: BundleFiles;
  readonly #manifest: Manifest;
  readonly #options: LoadOptions;
  #total = 0;
  #done = 0;

  constructor(files: BundleFiles, manifest: Manifest, options: LoadOptions) {
    this.#files = files;
    this.#manifest = manifest;
    this.#options = options;
  }

  /** That these are the files to come. */
  expect(...names: readonly string[]): void {
    this.#total = names.reduce((sum, name) => sum + this.size(name), this.#done);
  }

  /** What the manifest says. */
  size(name: string): number {
    const entry = this.#manifest.files[name];
    if (entry === undefined) throw new HearthError("corrupt", `${MANIFEST} names no file ${name}.`);
    return entry.size_bytes;
  }

  async whole(name: string): Promise<Uint8Array<ArrayBuffer>> {
    const content = await whole(this.#files, name, this.#options);
    this.#check(name, content.length);
    this.#tell(content.length);
    return content;
  }

  async text(name: string): Promise<string> {
    return new TextDecoder().decode(await this.whole(name));
  }

  /** A file in pieces; fails at its end where it has not the bytes that the manifest says. */
  async *pieces(name: string): AsyncGenerator<Uint8Array> {
    const size = this.size(name);
    let at = 0;
    for await (const part of await this.#files.open(name)) {
      this.#options.signal?.throwIfAborted();
      at += part.length;
      if (at > size) this.#check(name, at);
      yield part;
      this.#tell(part.length);
    }
    this.#check(name, at);
  }

  async into(library: Library, region: Region, name: string): Promise<void> {
    let at = 0;
    for await (const part of this.pieces(name)) {
      library.bytes(region.at + at, part.length).set(part);
      at += part.length;
    }
  }

  #tell(bytes: number): void {
    this.#done += bytes;
    this.#options.onProgress?.(this.#done, Math.max(this.#done, this.#total));
  }

  #check(name: string, got: number): void {
    const size = this.size(name);
    if (got === size) return;
    throw new HearthError("corrupt", `${name} has ${got > size ? "more than " : ""}${Math.min(got, size)} bytes.`, {
      why: `${MANIFEST} says ${size}.`,
      hint: "Load it again; if that does not help, compile the model again.",
    });
  }
}
