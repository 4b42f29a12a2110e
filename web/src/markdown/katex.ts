// Fills placeholders with maths. KaTeX, its style and its fonts come when the first formula appears.
// It is used through `render`, which sets styles on elements: markup with style attributes would need a wider
// Content-Security-Policy.

import { signal } from "@preact/signals";
import type katexType from "katex";

let katex: typeof katexType | null = null;
let loading = false;

/** Grows when KaTeX has come: what was drawn without it is drawn again. */
export const katexVersion = signal(0);

// What a formula may become: one of 150 fractions inside of each other, 1.7 kB of text, makes the browser give up the page
// when it lays it out. KaTeX writes about eight elements for a fraction.
const MAX_DEPTH = 420;
const MAX_ELEMENTS = 15_000;
/** Commands of its own: a few of them can stand for a million signs, and no other formula sees them. */
const DEFINES = /\\(?:[egx]?def|(?:future)?let|(?:re)?newcommand|providecommand)(?![a-zA-Z])/;

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
      if (!katex || DEFINES.test(tex)) throw new Error("not drawn");
      katex.render(tex, place, {
        displayMode: place.dataset["display"] === "true",
        throwOnError: true,
        trust: false,
        strict: "ignore",
        maxSize: 30,
        maxExpand: 300,
      });
      if (!isModest(place)) throw new Error("too much of it");
      place.dataset["drawn"] = "true";
    } catch {
      place.textContent = tex; // the source says more than an error
    }
  }
}

/** Whether a browser can lay it out. Looked at before it is on the page. */
function isModest(root: Element): boolean {
  let depth = 0;
  let elements = 0;
  let at: Element | null = root;
  while (at) {
    if (++elements > MAX_ELEMENTS || depth > MAX_DEPTH) return false;
    if (at.firstElementChild) {
      at = at.firstElementChild;
      depth++;
      continue;
    }
    while (at && at !== root && !at.nextElementSibling) {
      at = at.parentElement;
      depth--;
    }
    at = at === root ? null : (at?.nextElementSibling ?? null);
  }
  return true;
}
