// Models on their way to this device. Hearth gets them, several at once, whether or not a page is open: this looks how far
// they are.

import { computed, signal } from "@preact/signals";
import { api, ApiError } from "../api/client";
import type { Pull } from "../api/types";
import { text } from "../i18n";
import { suspect } from "./connection";
import { loadModels, loadSuggestions } from "./models";
import { announce, describe, type Failure } from "./notices";

const LOOK_MS = 500;

export const pulls = signal<Pull[]>([]);
export const coming = computed(() => pulls.value.filter((pull) => pull.state === "running"));
/** Why the last one could not even begin. */
export const pullFailure = signal<Failure | null>(null);

let timer: ReturnType<typeof setTimeout> | undefined;

/** Looks how they are, and again as long as one is on its way. */
export async function watchPulls(): Promise<void> {
  clearTimeout(timer);
  try {
    const before = new Set(coming.peek().map((pull) => pull.name));
    pulls.value = await api.pulls();
    const ready = pulls.peek().filter((pull) => pull.state === "done" && before.has(pull.name));
    for (const pull of ready) announce(text.peek().pullDone(pull.model));
    if (ready.length > 0) await Promise.all([loadModels(), loadSuggestions()]);
  } catch (error) {
    suspect(error);
    if (error instanceof ApiError && error.unreachable) return; // looked at again when Hearth is back
  }
  if (coming.peek().length > 0) timer = setTimeout(() => void watchPulls(), LOOK_MS);
}

/** Begins to get a model, or goes on with it. False: that is no name. */
export async function startPull(name: string): Promise<boolean> {
  pullFailure.value = null;
  try {
    const begun = await api.pull(name);
    pulls.value = [...pulls.peek().filter((pull) => pull.name !== begun.name), begun];
    void watchPulls();
    return true;
  } catch (error) {
    suspect(error);
    pullFailure.value = describe(error);
    return false;
  }
}

/** Ends a pull, or takes one that has ended off the list. */
export async function dropPull(name: string): Promise<void> {
  pulls.value = pulls.peek().filter((pull) => pull.name !== name);
  try {
    await api.dropPull(name);
  } catch (error) {
    suspect(error);
  }
}

/** Seconds until a download is here; null where nothing can be said. */
export function secondsLeft({ stage, done, total, bytes_per_s }: Pull): number | null {
  if (stage !== "download" || total <= 0 || bytes_per_s <= 0) return null;
  return Math.max(0, total - done) / bytes_per_s;
}
