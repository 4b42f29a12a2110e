// The models of packaged sites as web-llm's programs list them.

import { DEFAULT_CACHE_TOKENS } from "../engine/engine.ts";
import { packageBytes, PACKAGE_FILE } from "../store/facts.ts";
import { packageFacts } from "../store/package.ts";
import { type AppConfig, type ModelRecord, prebuiltAppConfig } from "./config.ts";

const MEGABYTE = 1 << 20;

/** The models that `hearth package web` put at some addresses: a site's folder or its model.json, by default that beside the page. */
export async function appConfigOf(...sites: readonly (string | URL)[]): Promise<AppConfig> {
  return { model_list: await Promise.all((sites.length > 0 ? sites : ["./"]).map(recordOf)) };
}

/**
 * Has `prebuiltAppConfig` list them. Programs read it at once, so it is to be awaited where a bundler's alias leads, before any of
 * them runs. In a worker it does nothing: the page says what to open, and its first messages would be lost while a worker waits.
 */
export async function listPackaged(...sites: readonly (string | URL)[]): Promise<void> {
  if (globalThis.document !== undefined) prebuiltAppConfig.model_list.push(...(await appConfigOf(...sites)).model_list);
}

async function recordOf(site: string | URL): Promise<ModelRecord> {
  const base = globalThis.document?.baseURI ?? globalThis.location?.href;
  const given = new URL(site, base);
  const url = given.pathname.endsWith(`/${PACKAGE_FILE}`) ? given : new URL(PACKAGE_FILE, `${given.href.replace(/\/*$/, "")}/`);
  const facts = await packageFacts(url);
  const context = Math.min(facts.context, DEFAULT_CACHE_TOKENS);
  const bytes = packageBytes(facts, context);
  return {
    model: url.href,
    model_id: facts.name,
    model_lib: "",
    vram_required_MB: Math.round((100 * bytes) / MEGABYTE) / 100,
    low_resource_required: true, // of a GPU it asks what every GPU has, and it does without one
    overrides: { context_window_size: context },
  };
}
