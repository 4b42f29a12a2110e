// Fills placeholders with maths. KaTeX, its style and its fonts come when the first formula appears.
// It is used through `render`, which sets styles on elements: markup with style attributes would need a wider
// Content-Security-Policy.

import { signal } from "@preact/signals";
import type katexType from "katex";

let katex: typeof katexType | null = null;
let loading = false;

/** Grows when KaTeX has come: what was drawn without it is drawn again. */
export const katexVersion = signal(0);

export function fillMath(root: DocumentFragment): void {
  const places = root.querySelectorAll<HTMLElement>(".md-math[data-tex]");
  if (places.length === 0) return;
  if (!katex && !loading) {
    loading = true;
    void Promise.all([import("katex"), import("katex/dist/katex.css")]).then(([module]) => {
      katex = module.default;
      katexVersion.value++;
    });
  }
  for (const place of places) {
    const tex = place.dataset["tex"]!;
    try {
      if (!katex) throw new Error("not there yet");
      katex.render(tex, place, {
        displayMode: place.dataset["display"] === "true",
        throwOnError: true,
        trust: false,
        strict: "ignore",
        maxSize: 30,
        maxExpand: 300,
      });
      place.dataset["drawn"] = "true";
    } catch {
      place.textContent = tex; // the source says more than an error
    }
  }
}
