// Which models the kept chunks belong to. Each version of a model has a record beside them, under the address of its model.json.
// It is written before the first of its chunks, so a chunk that no record names is nobody's; and it says when the model was open
// once, whole: then it can be opened without a network, and older versions have served their time.

import type { ChunkStore } from "./chunks.ts";
import { chunkNames, type PackageFacts } from "./facts.ts";
import { sha256 } from "./sha256.ts";

export interface ModelRecord {
  /** Of its model.json. */
  readonly url: string;
  /** The SHA-256 of that. */
  readonly version: string;
  /** Of all records of this place the newest has the highest. */
  readonly order: number;
  /** All of it that this browser uses is kept. */
  readonly isComplete: boolean;
  readonly facts: PackageFacts;
}

const SUFFIX = ".json";

const nameOf = async ({ url, version }: Pick<ModelRecord, "url" | "version">): Promise<string> =>
  (await sha256(new TextEncoder().encode(`${url}\n${version}`))) + SUFFIX;

/** All that can be read, the newest first. One that was cut off while it was written is none. */
export async function readRecords(store: ChunkStore): Promise<readonly ModelRecord[]> {
  const names = [...(await store.sizes()).keys()].filter((name) => name.endsWith(SUFFIX));
  const records: ModelRecord[] = [];
  for (const name of names) {
    try {
      const record = JSON.parse(new TextDecoder().decode(await store.read(name))) as ModelRecord;
      if ((await nameOf(record)) === name && typeof record.facts.files === "object") records.push(record);
    } catch {
      // Then nobody knows of it, and what it named is fetched again.
    }
  }
  return records.sort((a, b) => b.order - a.order);
}

/** Puts a version before all others. */
export async function writeRecord(store: ChunkStore, record: Omit<ModelRecord, "order">): Promise<void> {
  const [newest] = await readRecords(store);
  const numbered: ModelRecord = { ...record, order: (newest?.order ?? 0) + 1 };
  await store.write(await nameOf(record), new TextEncoder().encode(JSON.stringify(numbered)));
}

/** What belongs to none of some records: names and bytes of the chunks. */
export function unclaimed(sizes: ReadonlyMap<string, number>, records: readonly ModelRecord[]): readonly (readonly [string, number])[] {
  const claimed = new Set(records.flatMap(({ facts }) => chunkNames(facts)));
  return [...sizes].filter(([name]) => !name.endsWith(SUFFIX) && !claimed.has(name));
}

/** Removes all records but some, and the chunks that belong to none of these. Answers the bytes that it freed. */
export async function keepOnly(store: ChunkStore, choose: (record: ModelRecord) => boolean): Promise<number> {
  // In this order: what another tab begins to keep meanwhile has its record before its first chunk.
  const sizes = await store.sizes();
  const records = await readRecords(store);
  for (const record of records) if (!choose(record)) await store.remove(await nameOf(record));
  const leaving = unclaimed(sizes, records.filter(choose));
  for (const [name] of leaving) await store.remove(name);
  return leaving.reduce((freed, [, size]) => freed + size, 0);
}
