// What the page remembers about its owner in this browser: appearance, language, the last model, the system prompt of
// new chats. Nothing of what was said.

import { effect, signal } from "@preact/signals";

export type Theme = "system" | "light" | "dark";

export interface Prefs {
  theme: Theme;
  language: "en" | "zh" | null;
  model: string | null;
  sidebar: boolean;
  /** The system prompt that new chats begin with. */
  system: string;
  /** Whether documents are searched with each message. */
  documents: boolean;
}

const KEY = "hearth.prefs"; // public/theme.js reads it too
const DEFAULTS: Prefs = { theme: "system", language: null, model: null, sidebar: true, system: "", documents: false };

export function parsePrefs(stored: string | null): Prefs {
  try {
    const found = JSON.parse(stored ?? "{}") as Partial<Prefs>;
    return {
      theme: found.theme === "light" || found.theme === "dark" ? found.theme : "system",
      language: found.language === "en" || found.language === "zh" ? found.language : null,
      model: typeof found.model === "string" ? found.model : null,
      sidebar: found.sidebar !== false,
      system: typeof found.system === "string" ? found.system : "",
      documents: found.documents === true,
    };
  } catch {
    return DEFAULTS;
  }
}

function read(): Prefs {
  try {
    return parsePrefs(localStorage.getItem(KEY));
  } catch {
    return DEFAULTS; // storage is switched off: choices hold until the page is closed
  }
}

export const prefs = signal<Prefs>(read());

export function setPrefs(change: Partial<Prefs>): void {
  prefs.value = { ...prefs.peek(), ...change };
  try {
    localStorage.setItem(KEY, JSON.stringify(prefs.peek()));
  } catch {
    // as above
  }
}

effect(() => {
  const { theme } = prefs.value;
  if (theme === "system") delete document.documentElement.dataset["theme"];
  else document.documentElement.dataset["theme"] = theme;
});
