// A model as `hearth package web` writes it: its files, chunk by chunk from where they are kept or from the server. A chunk is used
// once its SHA-256 is right, so what broke off or was damaged is fetched again, it alone. While a newer version comes, the older one
// stays, and is what opens without a network; it goes when the newer one is whole, or when there is no room for both.

import { HearthError } from "../errors.ts";
import { type BundleFiles, missing } from "../files.ts";
import { type ChunkStore, openStore } from "./chunks.ts";
import { addressOf, chunkNames, chunkSizes, PACKAGE_FILE, type PackageFacts, type PackageFile, readFacts } from "./facts.ts";
import { keepOnly, type ModelRecord, readRecords, writeRecord } from "./records.ts";
import { sha256 } from "./sha256.ts";

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

/** What a package is: model.json, where it is from, and which version. */
type Identity = Pick<ModelRecord, "url" | "version" | "facts">;

export class Package implements BundleFiles {
  readonly facts: PackageFacts;
  readonly #identity: Identity;
  readonly #options: PackageOptions;
  readonly #place: ChunkStore | string;
  /** What the server has; else that which is left when it does not answer, and takes the place of nothing. */
  readonly #isCurrent: boolean;
  #keeps: boolean;
  #claimed: Promise<void> | undefined;

  private constructor(identity: Identity, isCurrent: boolean, options: PackageOptions, place: ChunkStore | string) {
    this.facts = identity.facts;
    this.#identity = identity;
    this.#isCurrent = isCurrent;
    this.#options = options;
    this.#place = place;
    this.#keeps = typeof place !== "string";
  }

  /** Reads the model.json at a URL; where it cannot be had, that of the last version that was open here, whole. */
  static async open(url: string | URL, options: PackageOptions = {}): Promise<Package> {
    const address = addressOf(url);
    const place = await openStore();
    try {
      return new Package(await toldAt(address, options.signal), true, options, place);
    } catch (error) {
      const records = typeof place === "string" || !isOfNetwork(error) ? [] : await readRecords(place);
      const kept = records.find((record) => record.url === address && record.isComplete);
      if (kept === undefined) throw error;
      return new Package(kept, false, options, place);
    }
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
    const kept = isStore ? await place.sizes() : new Map<string, number>();
    const chunks = names.flatMap((name) => chunkSizes(this.facts, this.facts.files[name]!));
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

  /** This version is kept whole, so far as this browser uses it: older ones have served their time. */
  async opened(): Promise<void> {
    if (!this.#isCurrent || !this.#keeps || typeof this.#place === "string") return;
    try {
      const [newest] = (await readRecords(this.#place)).filter(({ url }) => url === this.#identity.url);
      const isNoted = newest?.version === this.#identity.version && newest.isComplete;
      if (!isNoted) await writeRecord(this.#place, { ...this.#identity, isComplete: true });
      await this.#removeOthers(this.#place);
    } catch {
      // It is tried again the next time. The model is open all the same.
    }
  }

  /** Gives back what is kept of some of its files, by default of all. What other models have, too, stays. */
  async forget(names: readonly string[] = Object.keys(this.facts.files)): Promise<void> {
    const place = this.#place;
    if (typeof place === "string") return;
    const chunksOf = (files: readonly string[]): readonly string[] => files.flatMap((name) => this.facts.files[name]?.chunks ?? []);
    const left = Object.keys(this.facts.files).filter((name) => !names.includes(name));
    const others = (await readRecords(place)).filter(({ url }) => url !== this.#identity.url);
    if (left.length === 0) {
      await keepOnly(place, ({ url }) => url !== this.#identity.url);
      return;
    }
    await writeRecord(place, { ...this.#identity, isComplete: false });
    const staying = new Set([...chunksOf(left), ...others.flatMap(({ facts }) => chunkNames(facts))]);
    for (const chunk of chunksOf(names)) if (!staying.has(chunk)) await place.remove(chunk);
  }

  /** Frees what other versions of this model have. */
  #removeOthers(place: ChunkStore): Promise<number> {
    const { url, version } = this.#identity;
    return keepOnly(place, (record) => record.url !== url || record.version === version);
  }

  async *#chunks(file: string, described: PackageFile): AsyncGenerator<Uint8Array> {
    for (const [name, size] of chunkSizes(this.facts, described)) {
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
    const url = new URL(`blobs/${name}`, this.#identity.url);
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
    if (!this.#isCurrent || !this.#keeps || typeof this.#place === "string") return;
    const place = this.#place;
    const write = async (): Promise<void> => {
      await (this.#claimed ??= this.#claim(place));
      await place.write(name, content);
    };
    try {
      try {
        await write();
      } catch (error) {
        // Where there is no room for two versions, that which comes is worth more than that which goes.
        if ((await this.#removeOthers(place)) === 0) throw error;
        this.#claimed = undefined;
        await write();
      }
    } catch (error) {
      this.#keeps = false;
      await place.remove(name);
      this.#options.onNotice?.(`The browser cannot keep the model for the next time: ${error instanceof Error ? error.message : String(error)}`);
    }
  }

  /** Says whose the chunks are, before the first of them comes. */
  async #claim(place: ChunkStore): Promise<void> {
    const { url, version } = this.#identity;
    const [newest] = (await readRecords(place)).filter((record) => record.url === url);
    if (newest?.version !== version) await writeRecord(place, { ...this.#identity, isComplete: false });
  }
}

async function toldAt(url: string, signal: AbortSignal | undefined): Promise<Identity> {
  const response = await fetched(new URL(url), { signal: signal ?? null, cache: "no-cache" });
  const text = await response.text();
  return { url, version: await sha256(new TextEncoder().encode(text)), facts: readFacts(text) };
}

/** What the model.json at a URL says. */
export const packageFacts = async (url: URL, signal?: AbortSignal): Promise<PackageFacts> => (await toldAt(addressOf(url), signal)).facts;

const isOfNetwork = (error: unknown): boolean => error instanceof HearthError && error.kind === "network";

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
