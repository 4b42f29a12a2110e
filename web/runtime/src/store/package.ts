// A model as `hearth package web` writes it: what model.json says, and its files, chunk by chunk from where they are kept or
// from the server. A chunk is used once its SHA-256 is right, so what broke off or was damaged is fetched again, it alone.

import { HearthError } from "../errors.ts";
import { type BundleFiles, missing } from "../files.ts";
import { type ChunkStore, openStore } from "./chunks.ts";
import { sha256 } from "./sha256.ts";

/** As hearth.package.site has it. */
const FORMAT_VERSION = 1;
export const PACKAGE_FILE = "model.json";

export interface PackageFile {
  readonly size_bytes: number;
  /** SHA-256 of each chunk, which are of `chunk_bytes` but for the last. */
  readonly chunks: readonly string[];
}

/** model.json. */
export interface PackageFacts {
  readonly format: number;
  readonly name: string;
  readonly parameters: number;
  readonly formats: string;
  /** Tokens that the model can hold at most. */
  readonly context: number;
  readonly weights_bytes: number;
  readonly arena_bytes: number;
  readonly kv_bytes_per_token: number;
  readonly chunk_bytes: number;
  readonly files: Readonly<Record<string, PackageFile>>;
}

export interface PackageOptions {
  /** Told what is not as it should be, in words: that the model cannot be kept for the next time, and why. */
  readonly onNotice?: (text: string) => void;
  /** Ends the loading, with the signal's reason. */
  readonly signal?: AbortSignal;
}

/** Where a model will be kept and what is there of it, to be shown before it is loaded. */
export interface Keeping {
  /** "memory": nothing is kept; `why` says why. */
  readonly kind: ChunkStore["kind"] | "memory";
  readonly why: string;
  /** Bytes of the files asked about that are kept already, of all of them. */
  readonly keptBytes: number;
  readonly totalBytes: number;
  /** What the browser gives this origin yet; undefined where it does not say. */
  readonly freeBytes: number | undefined;
}

export class Package implements BundleFiles {
  readonly facts: PackageFacts;
  readonly #blobs: URL;
  readonly #options: PackageOptions;
  readonly #place: ChunkStore | string;
  #keeps: boolean;

  private constructor(facts: PackageFacts, url: URL, options: PackageOptions, place: ChunkStore | string) {
    this.facts = facts;
    this.#blobs = new URL("blobs/", url);
    this.#options = options;
    this.#place = place;
    this.#keeps = typeof place !== "string";
  }

  /** Reads the model.json at a URL. */
  static async open(url: string | URL, options: PackageOptions = {}): Promise<Package> {
    const address = new URL(url, globalThis.location?.href);
    return new Package(await packageFacts(address, options.signal), address, options, await openStore());
  }

  async open(name: string): Promise<AsyncIterable<Uint8Array>> {
    const file = this.facts.files[name];
    if (file === undefined) throw missing(name, `${PACKAGE_FILE} does not name it.`);
    return this.#chunks(name, file);
  }

  /** What there is of some of its files, by default of all. */
  async keeping(names: readonly string[] = Object.keys(this.facts.files)): Promise<Keeping> {
    const place = this.#place;
    const isStore = typeof place !== "string";
    const kept = isStore ? await place.names() : new Set<string>();
    const chunks = names.flatMap((name) => this.#sizes(this.facts.files[name]!));
    const sum = (some: readonly (readonly [string, number])[]): number => some.reduce((total, [, size]) => total + size, 0);
    const estimate = await globalThis.navigator?.storage?.estimate?.().catch(() => undefined);
    const free = estimate?.quota === undefined ? undefined : Math.max(0, estimate.quota - (estimate.usage ?? 0));
    return {
      kind: isStore ? place.kind : "memory",
      why: isStore ? "" : place,
      keptBytes: sum(chunks.filter(([chunk]) => kept.has(chunk))),
      totalBytes: sum(chunks),
      freeBytes: free,
    };
  }

  /** Gives back what is kept of some of its files, by default of all. */
  async forget(names: readonly string[] = Object.keys(this.facts.files)): Promise<void> {
    const place = this.#place;
    if (typeof place === "string") return;
    const chunks = new Set(names.flatMap((name) => this.facts.files[name]?.chunks ?? []));
    for (const name of await place.names()) if (chunks.has(name)) await place.remove(name);
  }

  /** Name and size of each chunk of a file. */
  #sizes({ size_bytes: size, chunks }: PackageFile): readonly (readonly [string, number])[] {
    const most = this.facts.chunk_bytes;
    return chunks.map((chunk, i) => [chunk, Math.min(most, size - i * most)] as const);
  }

  async *#chunks(file: string, described: PackageFile): AsyncGenerator<Uint8Array> {
    for (const [name, size] of this.#sizes(described)) {
      this.#options.signal?.throwIfAborted();
      yield (await this.#kept(name)) ?? (await this.#fetched(file, name, size));
    }
  }

  async #kept(name: string): Promise<Uint8Array<ArrayBuffer> | undefined> {
    if (typeof this.#place === "string") return undefined;
    const content = await this.#place.read(name);
    if (content === undefined || (await sha256(content)) === name) return content;
    await this.#place.remove(name);
    return undefined;
  }

  async #fetched(file: string, name: string, size: number): Promise<Uint8Array<ArrayBuffer>> {
    const url = new URL(name, this.#blobs);
    // Where it is kept here, a second copy in the browser's own cache would only take its room.
    const cache = this.#keeps ? "no-store" : "default";
    const response = await fetched(url, { signal: this.#options.signal ?? null, cache });
    let content: Uint8Array<ArrayBuffer>;
    try {
      content = new Uint8Array(await response.arrayBuffer());
    } catch (error) {
      this.#options.signal?.throwIfAborted();
      throw new HearthError("network", `${url.href} broke off.`, { why: String(error), hint: "Load again: what came is kept." });
    }
    if (content.length !== size || (await sha256(content)) !== name) {
      throw new HearthError("corrupt", `A part of ${file} is damaged.`, {
        why: `${url.href} has ${content.length} bytes whose SHA-256 is not its name.`,
        hint: "Load again; if that does not help, the server's copy of the site is damaged.",
      });
    }
    await this.#keep(name, content);
    return content;
  }

  async #keep(name: string, content: Uint8Array<ArrayBuffer>): Promise<void> {
    if (!this.#keeps || typeof this.#place === "string") return;
    try {
      await this.#place.write(name, content);
    } catch (error) {
      this.#keeps = false;
      await this.#place.remove(name);
      this.#options.onNotice?.(`The browser cannot keep the model for the next time: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
}

/** What the model.json at a URL says. */
export async function packageFacts(url: URL, signal?: AbortSignal): Promise<PackageFacts> {
  return readFacts(await (await fetched(url, { signal: signal ?? null, cache: "no-cache" })).text());
}

async function fetched(url: URL, init: RequestInit): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(url, init);
  } catch (error) {
    init.signal?.throwIfAborted();
    throw new HearthError("network", `${url.href} cannot be fetched.`, { why: String(error), hint: "Load again: what came is kept." });
  }
  if (response.ok) return response;
  const kind = response.status === 404 ? "corrupt" : "network";
  throw new HearthError(kind, `${url.href} cannot be fetched.`, { why: `The server answered ${response.status}.` });
}

function readFacts(text: string): PackageFacts {
  let facts: PackageFacts;
  try {
    facts = JSON.parse(text) as PackageFacts;
  } catch (error) {
    throw new HearthError("corrupt", `${PACKAGE_FILE} is no JSON.`, { why: String(error) });
  }
  if (facts?.format === FORMAT_VERSION && typeof facts.files === "object") return facts;
  throw new HearthError("mismatch", `${PACKAGE_FILE} has format ${String(facts?.format)}.`, {
    why: `This package reads format ${FORMAT_VERSION}.`,
    hint: "Package the model again with the Hearth that the page came with: hearth package web MODEL.",
  });
}
