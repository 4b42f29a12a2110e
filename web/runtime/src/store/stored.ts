// What this browser keeps of models, for a page that shows it and lets go of it.

import { openStore } from "./chunks.ts";
import { addressOf, chunkNames } from "./facts.ts";
import { keepOnly, readRecords, unclaimed } from "./records.ts";

/** One version of a model, as far as it is kept. Versions may share chunks. */
export interface StoredModel {
  /** Of its model.json. */
  readonly url: string;
  readonly name: string;
  /** The SHA-256 of its model.json. */
  readonly version: string;
  /** Whether all of it that this browser uses is kept, so that it opens without a network. */
  readonly isComplete: boolean;
  readonly keptBytes: number;
}

/** What the pages of this origin keep. */
export interface Stored {
  /** The newest first. */
  readonly models: readonly StoredModel[];
  readonly totalBytes: number;
  /** What `removeOldVersions` would free. */
  readonly oldBytes: number;
}

/** What the pages of this origin keep; `url` is the model.json whose older versions count as old. */
export async function stored(url: string | URL): Promise<Stored> {
  const store = await openStore();
  if (typeof store === "string") return { models: [], totalBytes: 0, oldBytes: 0 };
  const sizes = await store.sizes();
  const records = await readRecords(store);
  const kept = (names: Iterable<string>): number => [...new Set(names)].reduce((sum, name) => sum + (sizes.get(name) ?? 0), 0);
  const newest = records.find((record) => record.url === addressOf(url));
  const stay = records.filter((record) => record.url !== addressOf(url) || record === newest);
  const bytesBeside = (some: typeof records): number => unclaimed(sizes, some).reduce((sum, [, size]) => sum + size, 0);
  return {
    models: records.map(({ url, version, isComplete, facts }) => ({
      url,
      name: facts.name,
      version,
      isComplete,
      keptBytes: kept(chunkNames(facts)),
    })),
    totalBytes: bytesBeside([]),
    oldBytes: bytesBeside(stay),
  };
}

/**
 * Removes all versions but the newest of the model whose model.json is at a URL, and chunks that belong to no model. It happens by
 * itself once a newer version was open, whole.
 *
 * @returns the bytes that it freed.
 */
export async function removeOldVersions(url: string | URL): Promise<number> {
  const store = await openStore();
  if (typeof store === "string") return 0;
  const newest = (await readRecords(store)).find((record) => record.url === addressOf(url));
  return keepOnly(store, (record) => record.url !== addressOf(url) || record.version === newest?.version);
}

/**
 * Removes all versions of the model whose model.json is at a URL. Whoever has it open goes on with what is in memory.
 *
 * @returns the bytes that it freed: what other models have, too, stays.
 */
export async function removeStored(url: string | URL): Promise<number> {
  const store = await openStore();
  return typeof store === "string" ? 0 : keepOnly(store, (record) => record.url !== addressOf(url));
}
