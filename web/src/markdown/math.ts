// Maths in Markdown: $..$, $$..$$, \(..\), \[..\]. What is found becomes a placeholder that KaTeX fills later.

import type { MarkedExtension, Tokens } from "marked";

interface MathToken extends Tokens.Generic {
  type: "mathInline" | "mathBlock";
  tex: string;
  display: boolean;
}

// A dollar sign is money unless what it encloses neither begins nor ends with a space and no digit follows. A formula of
// more than 4,000 characters is a mistake, and takes a second to draw: it stays text.
const INLINE = [
  /^\$\$(?!\s*\$)([^$]{1,4000}?)\$\$/,
  /^\$(?![\s$])((?:\\.|[^\\$\n]){0,4000}?[^\\\s$])\$(?!\d)/,
  /^\\\(([\s\S]{1,4000}?)\\\)/,
  /^\\\[([\s\S]{1,4000}?)\\\]/,
];
const BLOCK = [/^ {0,3}\$\$([\s\S]{1,4000}?)\$\$[ \t]*(?:\n+|$)/, /^ {0,3}\\\[([\s\S]{1,4000}?)\\\][ \t]*(?:\n+|$)/];

function escaped(tex: string): string {
  return tex.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll('"', "&quot;");
}

/** The paragraph that a text begins with, at most 5,000 characters of it: else each one would read all that follow. */
function paragraph(source: string): string {
  const near = source.slice(0, 5_000);
  const blank = /\n[ \t]*\n/.exec(near);
  return blank ? near.slice(0, blank.index) : near;
}

/** The formula that `source` begins with, in one of the ways to write one. */
function formula(source: string, patterns: readonly RegExp[]): { raw: string; tex: string; way: number } | undefined {
  for (const [way, pattern] of patterns.entries()) {
    const match = pattern.exec(source);
    const tex = match?.[1]?.trim();
    if (match && tex) return { raw: match[0], tex, way };
  }
  return undefined;
}

export const math: MarkedExtension = {
  extensions: [
    {
      name: "mathBlock",
      level: "block",
      start: (source) => paragraph(source).search(/\n {0,3}(?:\$\$|\\\[)/), // where it ends a paragraph
      tokenizer(source): MathToken | undefined {
        const found = formula(source, BLOCK);
        return found && { type: "mathBlock", raw: found.raw, tex: found.tex, display: true };
      },
      renderer: (token) => `<div class="md-math" data-display="true" data-tex="${escaped((token as MathToken).tex)}"></div>`,
    },
    {
      name: "mathInline",
      level: "inline",
      start: (source) => source.search(/\$|\\[([]/),
      tokenizer(source): MathToken | undefined {
        const found = formula(source, INLINE);
        return found && { type: "mathInline", raw: found.raw, tex: found.tex, display: found.way === 0 || found.way === 3 };
      },
      renderer: (token) => {
        const { tex, display } = token as MathToken;
        return `<span class="md-math"${display ? ' data-display="true"' : ""} data-tex="${escaped(tex)}"></span>`;
      },
    },
  ],
};

const OPENERS: [RegExp, string][] = [
  [/\$\$/g, "$$"],
  [/\\\[/g, "\\]"],
  [/\\\(/g, "\\)"],
];

/** Where a formula begins in `text` that has not been closed yet; -1 where there is none. */
export function openFormula(text: string): number {
  for (const [opener, closer] of OPENERS) {
    let at = -1;
    for (const match of text.matchAll(opener)) {
      if (closer === "$$") at = at < 0 ? match.index : -1;
      else if (text.indexOf(closer, match.index) < 0) return match.index;
    }
    if (at >= 0) return at;
  }
  return -1;
}
