// Versions of packaged models in a browser's storage: what stays while an update comes, what goes when it is whole.

import { createHash } from "node:crypto";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Package, removeOldVersions, removeStored, stored } from "../../src/store/index.ts";
import { FakeOpfs } from "../fake_opfs.ts";

const CHUNK = 100;
const sha = (content: Uint8Array): string => createHash("sha256").update(content).digest("hex");
const chunk = (letter: string): Uint8Array<ArrayBuffer> => new TextEncoder().encode(letter.repeat(CHUNK));

let opfs: FakeOpfs;
/** What the server has, by address; of an address that is not there it says 404. */
let served: Map<string, Uint8Array<ArrayBuffer>>;
let isOnline: boolean;

beforeEach(() => {
  opfs = new FakeOpfs();
  served = new Map();
  isOnline = true;
  vi.stubGlobal("navigator", { storage: opfs.storage });
  vi.stubGlobal("fetch", async (url: URL) => {
    if (!isOnline) throw new TypeError("no network");
    const content = served.get(url.href);
    return content === undefined ? new Response(null, { status: 404 }) : new Response(content);
  });
});

afterEach(() => vi.unstubAllGlobals());

/** Puts a version of a model at an address, made of chunks that letters stand for. */
function publish(url: string, letters: string): void {
  const contents = [...letters].map(chunk);
  const file = { size_bytes: CHUNK * letters.length, chunks: contents.map(sha) };
  const facts = { format: 1, name: letters, chunk_bytes: CHUNK, files: { "weights.bin": file } };
  served.set(url, new TextEncoder().encode(JSON.stringify(facts)));
  for (const content of contents) served.set(new URL(`blobs/${sha(content)}`, url).href, content);
}

/** Loads a model, all of it or so many chunks; answers what came. */
async function load(url: string, most = Infinity): Promise<string> {
  const notices: string[] = [];
  const found = await Package.open(url, { onNotice: (text) => notices.push(text) });
  let text = "";
  for await (const part of await found.open("weights.bin")) {
    text += String.fromCharCode(part[0]!);
    if (text.length === most) return text;
  }
  await found.opened();
  expect(notices).toEqual([]);
  return text;
}

const keptLetters = (): string =>
  [...opfs.files.values()]
    .filter(({ length }) => length === CHUNK)
    .map((content) => String.fromCharCode(content[0]!))
    .sort()
    .join("");

const A = "https://site.test/a/model.json";
const B = "https://site.test/b/model.json";

test("what an update does not use goes once all of it is there, and not before", async () => {
  publish(A, "abc");
  await load(A);
  publish(A, "bcde");
  expect(await load(A, 3)).toBe("bcd");
  expect(keptLetters()).toBe("abcd");
  expect(await load(A)).toBe("bcde");
  expect(keptLetters()).toBe("bcde");
  expect((await stored(A)).models.map(({ name, isComplete }) => [name, isComplete])).toEqual([["bcde", true]]);
});

test("without a network the last whole version opens, and a half update keeps what it has", async () => {
  publish(A, "abc");
  await load(A);
  publish(A, "bde");
  await load(A, 2);
  isOnline = false;
  expect(await load(A)).toBe("abc");
  expect(keptLetters()).toBe("abcd");
  isOnline = true;
  expect(await load(A)).toBe("bde");
  expect(keptLetters()).toBe("bde");
});

test("a model that never was whole does not open without a network", async () => {
  publish(A, "abc");
  await load(A, 2);
  isOnline = false;
  await expect(load(A)).rejects.toThrow("cannot be fetched");
});

test("where there is no room for two versions the older one makes room", async () => {
  publish(A, "abcd");
  await load(A);
  opfs.quotaBytes = opfs.usedBytes + 1.5 * CHUNK;
  publish(A, "efgh");
  expect(await load(A)).toBe("efgh");
  expect(keptLetters()).toBe("efgh");
});

test("a version that is back at the server takes the place of the later one", async () => {
  publish(A, "abc");
  await load(A);
  publish(A, "def");
  await load(A, 1);
  publish(A, "abc");
  await load(A);
  expect(keptLetters()).toBe("abc");
});

test("it is told what is kept of each version, and the older ones can be removed by hand", async () => {
  publish(A, "abc");
  publish(B, "cx");
  await load(A);
  await load(B);
  publish(A, "bde");
  await load(A, 2);
  const before = await stored(A);
  expect(before.models.map(({ url, name, isComplete, keptBytes }) => [url, name, isComplete, keptBytes])).toEqual([
    [A, "bde", false, 2 * CHUNK],
    [B, "cx", true, 2 * CHUNK],
    [A, "abc", true, 3 * CHUNK],
  ]);
  expect([before.totalBytes, before.oldBytes]).toEqual([5 * CHUNK, CHUNK]);
  expect(await removeOldVersions(A)).toBe(CHUNK);
  expect(keptLetters()).toBe("bcdx");
  expect((await stored(A)).oldBytes).toBe(0);
});

test("a model is removed, and what another page of the origin shares with it stays", async () => {
  publish(A, "abc");
  publish(B, "cx");
  await load(A);
  await load(B);
  expect(await removeStored(A)).toBe(2 * CHUNK);
  expect(keptLetters()).toBe("cx");
  expect((await stored(A)).models.map(({ url }) => url)).toEqual([B]);
  isOnline = false;
  expect(await load(B)).toBe("cx");
});

test("a record that was cut off is none: its chunks are nobody's, and loading again claims them", async () => {
  publish(A, "abc");
  await load(A);
  const [record] = [...opfs.files.keys()].filter((name) => name.endsWith(".json"));
  opfs.files.set(record!, opfs.files.get(record!)!.slice(0, 50));
  expect(await stored(A)).toEqual({ models: [], totalBytes: 3 * CHUNK, oldBytes: 3 * CHUNK });
  expect(await load(A)).toBe("abc");
  expect((await stored(A)).oldBytes).toBe(0);
});

test("files that a program gives back are fetched again, and until then nothing opens without a network", async () => {
  publish(A, "abc");
  publish(B, "cx");
  await load(A);
  await load(B);
  const found = await Package.open(A);
  await found.forget(["weights.bin"]);
  expect(keptLetters()).toBe("cx");
  isOnline = false;
  await expect(load(A)).rejects.toThrow("cannot be fetched");
  isOnline = true;
  expect(await load(A)).toBe("abc");
  await found.forget([]);
  expect(keptLetters()).toBe("abcx");
});
