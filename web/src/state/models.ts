// The models on this device, and those that suit it.

import { computed, signal } from "@preact/signals";
import { api } from "../api/client";
import type { Model, SuggestedLooking, Suggestion } from "../api/types";
import { status, suspect } from "./connection";
import { complain } from "./notices";
import { prefs, setPrefs } from "./prefs";

const LOOK_AGAIN_MS = 700;

export const models = signal<Model[] | null>(null);
export const suggestions = signal<Suggestion[]>([]);
/** Beside these, models that look at pictures. */
export const suggestedLooking = signal<SuggestedLooking[]>([]);
/** Whether the list of models is open; other parts of the page lead to it. */
export const pickerOpen = signal(false);

let again: ReturnType<typeof setTimeout> | undefined;

export async function loadModels(): Promise<void> {
  clearTimeout(again);
  try {
    const found = await api.models();
    models.value = found.models;
    if (found.looking) again = setTimeout(() => void loadModels(), LOOK_AGAIN_MS);
  } catch (error) {
    suspect(error);
  }
}

export async function loadSuggestions(): Promise<void> {
  try {
    const found = await api.suggested();
    suggestions.value = found.models;
    suggestedLooking.value = found.looking;
  } catch (error) {
    suspect(error);
  }
}

/** The model of a new chat: the one chosen last if it is still there, else the one Hearth was started with. */
export const newChatModel = computed<string | null>(() => {
  const known = models.value ?? [];
  const last = prefs.value.model;
  if (last && known.some((model) => model.name === last && !model.problem && model.made_for !== "encoder")) return last;
  return status.value?.default_model ?? known[0]?.name ?? null;
});

export function modelNamed(name: string | null): Model | null {
  return models.value?.find((model) => model.name === name) ?? null;
}

/** Of `Qwen/Qwen3-0.6B` and of a path, what tells models apart. */
export function shortName(name: string): string {
  return name.split(/[/\\]/).at(-1) || name;
}

export function rememberModel(name: string): void {
  // New chats begin with what chats.
  if (modelNamed(name)?.made_for !== "vision") setPrefs({ model: name });
}

/** Gives a model's memory back; it is opened again when it is asked. */
export async function unload(name: string): Promise<void> {
  try {
    await api.unload(name);
  } catch (error) {
    suspect(error);
    complain(error);
  }
  await loadModels();
}
