// What of web-llm's names wants no model. Programs run in a browser, over a real one: tests/webllm.

import { afterEach, expect, test, vi } from "vitest";
import type { AppConfig } from "../../src/webllm/index.ts";
import { appConfigOf, deleteModelAllInfoInCache, deleteModelInCache, hasModelInCache, isValidSRI, listPackaged, prebuiltAppConfig, verifyIntegrity } from "../../src/webllm/index.ts";

afterEach(() => vi.unstubAllGlobals());

const FACTS = { format: 1, name: "toy", files: {}, context: 8192, weights_bytes: 3 << 20, arena_bytes: 1 << 20, kv_bytes_per_token: 256 };

/** Sites under addresses: their model.json. */
function stubSites(sites: Readonly<Record<string, object>>): void {
  vi.stubGlobal("location", { href: "https://example.org/app/index.html" });
  const answer = (facts: object | undefined) => new Response(JSON.stringify(facts), { status: facts === undefined ? 404 : 200 });
  vi.stubGlobal("fetch", async (url: URL) => answer(sites[url.href]));
}

test("packaged models are listed by their sites' addresses", async () => {
  const urls = ["https://example.org/app/model.json", "https://other.org/a/model.json", "https://other.org/b/model.json"];
  stubSites(Object.fromEntries(urls.map((url, i) => [url, { ...FACTS, name: `toy ${i}` }])));
  const { model_list: list } = await appConfigOf("./", "https://other.org/a", "https://other.org/b/model.json");
  expect(list.map(({ model, model_id: id }) => [id, model])).toEqual(urls.map((url, i) => [`toy ${i}`, url]));
  expect((await appConfigOf()).model_list[0]).toEqual({
    model: urls[0],
    model_id: "toy 0",
    model_lib: "",
    vram_required_MB: 5,
    low_resource_required: true,
    overrides: { context_window_size: 4096 },
  });
  await expect(appConfigOf("https://other.org/none/")).rejects.toMatchObject({ name: "HearthError", kind: "corrupt" });
});

test("a page's list is filled, a worker's is not", async () => {
  stubSites({ "https://example.org/app/model.json": FACTS });
  const { model_list: list } = prebuiltAppConfig;
  await listPackaged();
  expect(list).toEqual([]);
  vi.stubGlobal("document", { baseURI: "https://example.org/app/" });
  await listPackaged();
  expect(list.map(({ model_id: id }) => id)).toEqual(["toy"]);
  list.length = 0;
});

test("what a cache holds of a bundle's folder is found, and deleted", async () => {
  const folder = "https://example.org/models/toy";
  const held = new Set([`${folder}/manifest.json`, `${folder}/weights.bin`, "https://example.org/other"]);
  const cache = { keys: async () => [...held].map((url) => ({ url })), delete: async ({ url }: { url: string }) => held.delete(url) };
  vi.stubGlobal("caches", { keys: async () => ["any"], open: async () => cache });
  const appConfig: AppConfig = { model_list: [{ model: folder, model_id: "toy", model_lib: "" }] };
  expect(await hasModelInCache("toy", appConfig)).toBe(true);
  await deleteModelInCache("toy", appConfig);
  expect(await hasModelInCache("toy", appConfig)).toBe(false);
  expect([...held]).toEqual([`${folder}/manifest.json`, "https://example.org/other"]);
  await deleteModelAllInfoInCache("toy", appConfig);
  expect([...held]).toEqual(["https://example.org/other"]);
});

test("integrity is checked as the standard has it", async () => {
  const data = new TextEncoder().encode("abc").buffer;
  const right = "sha256-ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=";
  await verifyIntegrity(data, right, "x");
  await expect(verifyIntegrity(data, right.replace("u", "v"), "x")).rejects.toMatchObject({ name: "IntegrityError", url: "x", actual: right });
  expect([isValidSRI(right), isValidSRI("md5-x")]).toEqual([true, false]);
});
