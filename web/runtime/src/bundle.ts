// Loading a bundle: its manifest, the best of its modules that this engine runs, its plan, and its weights, which go piece by
// piece to where they stay, so that they are never held twice.

import { HearthError } from "./errors.ts";
import { hasFeature } from "./features.ts";
import { type BundleFiles, fetchedFiles } from "./files.ts";
import { Library, type Region } from "./library.ts";
import { type InstructionSet, type Manifest, MANIFEST, moduleName, PLAN, readManifest, TOKENIZER_META, WEIGHTS } from "./manifest.ts";
import { Model } from "./model.ts";

export interface LoadOptions {
  /** Told as the bundle's files come: bytes, of all. */
  readonly onProgress?: (doneBytes: number, totalBytes: number) => void;
  /** The name of the instruction set to use, to measure or to compare; else the best that the engine runs. */
  readonly isa?: string;
  /** Ends the loading, with the signal's reason. */
  readonly signal?: AbortSignal;
}

/** Opens the bundle at a URL, or of `files`. */
export async function loadBundle(source: string | URL | BundleFiles, options: LoadOptions = {}): Promise<Model> {
  const files = typeof source === "string" || source instanceof URL ? fetchedFiles(source) : source;
  const manifest = readManifest(new TextDecoder().decode(await whole(files, MANIFEST, options)));
  const isa = chooseIsa(manifest, options.isa);
  const names = [moduleName(isa), PLAN, WEIGHTS];
  const loading = new Loading(files, manifest, names, options);
  const library = await Library.instantiate(await loading.whole(names[0]!));
  const plan = await loading.whole(PLAN);
  const weights = library.allocate(loading.size(WEIGHTS), "the weights");
  await loading.into(library, weights, WEIGHTS);
  const endIds = TOKENIZER_META in manifest.files ? await readEndIds(files, options) : [];
  return Model.open(library, { manifest, endIds }, plan, weights, loading.size(WEIGHTS));
}

async function readEndIds(files: BundleFiles, options: LoadOptions): Promise<number[]> {
  const text = new TextDecoder().decode(await whole(files, TOKENIZER_META, options));
  return (JSON.parse(text) as { eos_ids: number[] }).eos_ids;
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
  readonly #total: number;
  #done = 0;

  constructor(files: BundleFiles, manifest: Manifest, names: readonly string[], options: LoadOptions) {
    this.#files = files;
    this.#manifest = manifest;
    this.#options = options;
    this.#total = names.reduce((sum, name) => sum + this.size(name), 0);
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

  async into(library: Library, region: Region, name: string): Promise<void> {
    const size = this.size(name);
    let at = 0;
    for await (const part of await this.#files.open(name)) {
      this.#options.signal?.throwIfAborted();
      if (at + part.length > size) this.#check(name, at + part.length);
      library.bytes(region.at + at, part.length).set(part);
      at += part.length;
      this.#tell(part.length);
    }
    this.#check(name, at);
  }

  #tell(bytes: number): void {
    this.#done += bytes;
    this.#options.onProgress?.(this.#done, this.#total);
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
