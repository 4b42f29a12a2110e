// Colours for code. The highlighter comes in a file of its own, fetched (from this device) when the first code appears.

import { signal } from "@preact/signals";
import type { HLJSApi } from "highlight.js";

const MAX_CHARS = 15_000; // longer code stays plain: colouring it would hold up the page

let highlighter: HLJSApi | null = null;
let loading = false;

/** Grows when the highlighter has come: what was drawn without it is drawn again. */
export const highlighterVersion = signal(0);

/** The code as HTML, or null where it is to be shown as it is. */
export function highlighted(code: string, language: string): string | null {
  if (!language || code.length > MAX_CHARS) return null;
  if (!highlighter) {
    if (!loading) {
      loading = true;
      void import("./languages").then((module) => {
        highlighter = module.default;
        highlighterVersion.value++;
      });
    }
    return null;
  }
  const name = language.toLowerCase();
  if (!highlighter.getLanguage(name)) return null;
  return highlighter.highlight(code, { language: name, ignoreIllegals: true }).value;
}
