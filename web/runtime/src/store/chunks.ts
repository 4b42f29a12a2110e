// Where a browser keeps chunks between visits, by the SHA-256 that is their name, and beside them records of the models that they
// belong to (`records.ts`). Of these places the first that is there.

/** A place for chunks. What it gives may be damaged, or half of a chunk: whoever reads checks it. */
export interface ChunkStore {
  readonly kind: "opfs" | "cache";
  /** Bytes of what is kept, by its name. */
  sizes(): Promise<ReadonlyMap<string, number>>;
  read(name: string): Promise<Uint8Array<ArrayBuffer> | undefined>;
  /** Fails where there is no room, with the browser's own error. */
  write(name: string, content: Uint8Array<ArrayBuffer>): Promise<void>;
  remove(name: string): Promise<void>;
}

const PLACE = "hearth-chunks";
const SIZE = "content-length";

/** The first that can be had, or why there is none. */
export async function openStore(): Promise<ChunkStore | string> {
  const reasons: string[] = [];
  for (const open of [openOpfs, openCache]) {
    try {
      return await open();
    } catch (error) {
      reasons.push(error instanceof Error ? error.message : String(error));
    }
  }
  return globalThis.isSecureContext === false ? "Pages may keep files over https or on localhost only." : reasons.join(" ");
}

/** The origin's private file system. */
async function openOpfs(): Promise<ChunkStore> {
  if (globalThis.navigator?.storage?.getDirectory === undefined) throw new Error("There is no private file system.");
  const folder = await (await navigator.storage.getDirectory()).getDirectoryHandle(PLACE, { create: true });
  return {
    kind: "opfs",
    async sizes() {
      const sizes = new Map<string, number>();
      for await (const [name, handle] of folder as unknown as AsyncIterable<[string, FileSystemFileHandle]>) {
        // One that is gone meanwhile, or that is being written in another tab, has no size yet.
        const size = await handle.getFile().then((file) => file.size, () => undefined);
        if (size !== undefined) sizes.set(name, size);
      }
      return sizes;
    },
    async read(name) {
      try {
        return new Uint8Array(await (await (await folder.getFileHandle(name)).getFile()).arrayBuffer());
      } catch {
        return undefined;
      }
    },
    async write(name, content) {
      await writeFile(await folder.getFileHandle(name, { create: true }), content);
    },
    remove: (name) => folder.removeEntry(name).catch(() => undefined),
  };
}

interface SyncAccessHandle {
  write(content: Uint8Array, options: { at: number }): number;
  truncate(size: number): void;
  flush(): void;
  close(): void;
}

/** Workers have a faster way, which Safari had for long as the only one. */
async function writeFile(file: FileSystemFileHandle, content: Uint8Array<ArrayBuffer>): Promise<void> {
  if (!("createSyncAccessHandle" in file)) {
    const stream = await file.createWritable();
    await stream.write(content);
    return stream.close();
  }
  const handle = await (file.createSyncAccessHandle as () => Promise<SyncAccessHandle>)();
  try {
    handle.truncate(0);
    const written = handle.write(content, { at: 0 });
    if (written !== content.length) throw new DOMException("There is no room for it.", "QuotaExceededError");
    handle.flush();
  } finally {
    handle.close();
  }
}

/** The Cache API, under addresses that nobody fetches. */
async function openCache(): Promise<ChunkStore> {
  if (globalThis.caches === undefined) throw new Error("There is no Cache API.");
  const cache = await caches.open(PLACE);
  const address = (name: string): string => `/${PLACE}/${name}`;
  return {
    kind: "cache",
    async sizes() {
      const sizes = new Map<string, number>();
      for (const request of await cache.keys()) {
        const size = (await cache.match(request))?.headers.get(SIZE);
        sizes.set(request.url.slice(request.url.lastIndexOf("/") + 1), Number(size ?? 0));
      }
      return sizes;
    },
    async read(name) {
      const kept = await cache.match(address(name));
      return kept && new Uint8Array(await kept.arrayBuffer());
    },
    write: (name, content) => cache.put(address(name), new Response(content, { headers: { [SIZE]: String(content.length) } })),
    async remove(name) {
      await cache.delete(address(name));
    },
  };
}
