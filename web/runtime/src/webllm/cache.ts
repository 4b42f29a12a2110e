// What the browser has stored of a model: whatever any of the origin's caches holds under the bundle's URL.

import { type AppConfig, modelRecord, prebuiltAppConfig } from "./config.ts";

async function* stored(modelId: string, appConfig: AppConfig): AsyncGenerator<readonly [Cache, Request], void, void> {
  const base = new URL(`${modelRecord(modelId, appConfig).model.replace(/\/*$/, "")}/`, globalThis.location?.href).href;
  for (const name of await caches.keys()) {
    const cache = await caches.open(name);
    for (const request of await cache.keys()) if (request.url.startsWith(base)) yield [cache, request];
  }
}

export async function hasModelInCache(modelId: string, appConfig: AppConfig = prebuiltAppConfig): Promise<boolean> {
  for await (const [, request] of stored(modelId, appConfig)) if (request.url.endsWith("/manifest.json")) return true;
  return false;
}

const deleting =
  (concerns: (url: string) => boolean) =>
  async (modelId: string, appConfig: AppConfig = prebuiltAppConfig): Promise<void> => {
    for await (const [cache, request] of stored(modelId, appConfig)) if (concerns(request.url)) await cache.delete(request);
  };

const isProgram = (url: string): boolean => url.endsWith(".wasm");
const isText = (url: string): boolean => url.endsWith(".json");

export const deleteModelAllInfoInCache = deleting(() => true);
export const deleteModelInCache = deleting((url) => !isProgram(url) && !isText(url));
export const deleteChatConfigInCache = deleting(isText);
export const deleteModelWasmInCache = deleting(isProgram);
