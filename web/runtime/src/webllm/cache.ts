// What the browser has stored of a model: of a packaged one its chunks, of a bundle's folder whatever any of the origin's caches holds
// under its URL.

import { HearthError } from "../errors.ts";
import { WEIGHTS } from "../manifest.ts";
import { PACKAGE_FILE } from "../store/facts.ts";
import { Package } from "../store/package.ts";
import { type AppConfig, modelRecord, prebuiltAppConfig } from "./config.ts";

const urlOf = (modelId: string, appConfig: AppConfig): URL => new URL(modelRecord(modelId, appConfig).model, globalThis.location?.href);
const isPackaged = (url: URL): boolean => url.pathname.endsWith(`/${PACKAGE_FILE}`);

async function* cached(folder: URL): AsyncGenerator<readonly [Cache, Request], void, void> {
  if (globalThis.caches === undefined) return;
  const base = `${folder.href.replace(/\/*$/, "")}/`;
  for (const name of await caches.keys()) {
    const cache = await caches.open(name);
    for (const request of await cache.keys()) if (request.url.startsWith(base)) yield [cache, request];
  }
}

/** Whether the weights of the model at a URL need not be fetched. */
export async function isKept(url: URL): Promise<boolean> {
  if (!isPackaged(url)) {
    for await (const [, request] of cached(url)) if (request.url.endsWith(`/${WEIGHTS}`)) return true;
    return false;
  }
  try {
    const { keptBytes, totalBytes } = await (await Package.open(url)).keeping([WEIGHTS]);
    return keptBytes === totalBytes;
  } catch (error) {
    if (error instanceof HearthError && ["network", "corrupt"].includes(error.kind)) return false; // it is not there, or not now
    throw error;
  }
}

export const hasModelInCache = async (modelId: string, appConfig: AppConfig = prebuiltAppConfig): Promise<boolean> => isKept(urlOf(modelId, appConfig));

const deleting =
  (concerns: (name: string) => boolean) =>
  async (modelId: string, appConfig: AppConfig = prebuiltAppConfig): Promise<void> => {
    const url = urlOf(modelId, appConfig);
    if (isPackaged(url)) {
      const packaged = await Package.open(url);
      return packaged.forget(Object.keys(packaged.facts.files).filter(concerns));
    }
    for await (const [cache, request] of cached(url)) if (concerns(request.url)) await cache.delete(request);
  };

const isProgram = (name: string): boolean => name.endsWith(".wasm");
const isText = (name: string): boolean => name.endsWith(".json");

export const deleteModelAllInfoInCache = deleting(() => true);
export const deleteModelInCache = deleting((name) => !isProgram(name) && !isText(name));
export const deleteChatConfigInCache = deleting(isText);
export const deleteModelWasmInCache = deleting(isProgram);
