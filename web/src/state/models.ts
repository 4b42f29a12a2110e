// The models on this device, and a pull that is under way.

import { computed, signal } from "@preact/signals";
import { api } from "../api/client";
import type { Model } from "../api/types";
import { text } from "../i18n";
import { status, suspect } from "./connection";
import { describe, inform, type Failure } from "./notices";
import { prefs, setPrefs } from "./prefs";

export const models = signal<Model[] | null>(null);

export interface Pull {
  name: string;
  label: string;
  done: number;
  total: number | null;
  failure: Failure | null;
}

export const pull = signal<Pull | null>(null);
let pulling: AbortController | null = null;

export async function loadModels(): Promise<void> {
  try {
    models.value = await api.models();
  } catch (error) {
    suspect(error);
  }
}

/** The model of a new chat: the one chosen last if it is still there, else the one Hearth was started with. */
export const newChatModel = computed<string | null>(() => {
  const known = models.value ?? [];
  const last = prefs.value.model;
  if (last && known.some((model) => model.name === last)) return last;
  return status.value?.default_model ?? known[0]?.name ?? null;
});

export function modelNamed(name: string | null): Model | null {
  return models.value?.find((model) => model.name === name) ?? null;
}

export async function startPull(name: string): Promise<string | null> {
  pulling?.abort();
  const mine = (pulling = new AbortController());
  pull.value = { name, label: "", done: 0, total: null, failure: null };
  try {
    for await (const event of api.pull(name, mine.signal)) {
      if (event.type === "progress") pull.value = { name, label: event.label, done: event.done, total: event.total, failure: null };
      else if (event.type === "error") return fail({ message: event.message, hint: event.hint ?? null });
      else {
        pull.value = null;
        await loadModels();
        inform(text.peek().pullDone(event.name));
        return event.name;
      }
    }
    return fail({ message: text.peek().unreachable, hint: text.peek().unreachableHint });
  } catch (error) {
    if (mine.signal.aborted) return null;
    suspect(error);
    return fail(describe(error));
  }

  function fail(failure: Failure): null {
    pull.value = { name, label: "", done: 0, total: null, failure };
    return null;
  }
}

export function cancelPull(): void {
  pulling?.abort();
  pulling = null;
  pull.value = null;
}

export function rememberModel(name: string): void {
  setPrefs({ model: name });
}

