// Which language the page speaks: the one chosen, else the first of the browser's that it knows.

import { computed, effect } from "@preact/signals";
import { prefs } from "../state/prefs";
import { en, type Dictionary } from "./en";
import { zh } from "./zh";

export type Language = "en" | "zh";
export const dictionaries: Record<Language, Dictionary> = { en, zh };

export function languageOf(tags: readonly string[]): Language {
  for (const tag of tags) {
    const code = tag.toLowerCase().split("-")[0];
    if (code === "zh" || code === "en") return code;
  }
  return "en";
}

export const language = computed<Language>(() => prefs.value.language ?? languageOf(navigator.languages));
export const locale = computed(() => (language.value === "zh" ? "zh-CN" : "en"));
export const text = computed<Dictionary>(() => dictionaries[language.value]);

effect(() => {
  document.documentElement.lang = language.value === "zh" ? "zh-Hans" : "en";
});
