// Where a bundle's files come from: anything that gives a file by its name, in pieces.

import { HearthError } from "./errors.ts";

export interface BundleFiles {
  /** The content of one of the bundle's files, piece by piece. Fails with a HearthError where there is none. */
  open(name: string): Promise<AsyncIterable<Uint8Array>>;
  /** Told once the model is open: all that is wanted of the files was read. */
  opened?(): Promise<void>;
}

/** The files of a bundle under a URL, as any web server gives them. */
export function fetchedFiles(base: string | URL, options: RequestInit = {}): BundleFiles {
  const folder = new URL(`${String(base).replace(/\/*$/, "")}/`, globalThis.location?.href);
  return {
    async open(name) {
      const url = new URL(name, folder);
      let response: Response;
      try {
        response = await fetch(url, options);
      } catch (error) {
        throw new HearthError("network", `${url.href} cannot be fetched.`, { why: String(error) });
      }
      if (!response.ok || response.body === null) {
        const kind = response.status === 404 ? "corrupt" : "network";
        throw new HearthError(kind, `${url.href} cannot be fetched.`, { why: `The server answered ${response.status}.` });
      }
      return pieces(response.body);
    },
  };
}

/** Files that the user chose, or that are in memory, by their name. */
export function filesOf(files: Iterable<Blob & { name: string }> | ReadonlyMap<string, Blob>): BundleFiles {
  const byName = files instanceof Map ? files : new Map([...files].map((file) => [(file as File).name, file as Blob]));
  return {
    open(name) {
      const file = byName.get(name);
      if (file === undefined) return Promise.reject(missing(name));
      return Promise.resolve(pieces(file.stream()));
    },
  };
}

export const missing = (name: string, why = ""): HearthError =>
  new HearthError("corrupt", `The bundle has no file ${name}.`, { why, hint: "Compile the model again: hearth compile MODEL." });

/** Not every browser's streams can be iterated. */
async function* pieces(stream: ReadableStream<Uint8Array>): AsyncIterable<Uint8Array> {
  const reader = stream.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield value;
    }
  } finally {
    reader.releaseLock();
  }
}
