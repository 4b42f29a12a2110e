// Maths in Markdown: $..$, $$..$$, \(..\), \[..\]. What is found becomes a placeholder that KaTeX fills later.

import type { MarkedExtension, Tokens } from "marked";

interface MathToken extends Tokens.Generic {
  type: "mathInline" | "mathBlock";
  tex: string;
  display: boolean;
}

// A dollar sign is money unless what it encloses neither begins nor ends with a space and no digit follows.
const INLINE = [/^\$\$(?!\s*\$)([^$]+?)\$\$/, /^\$(?![\s$])((?:\\.|[^\\$\n])*?[^\\\s$])\$(?!\d)/, /^\\\(([\s\S]+?)\\\)/, /^\\\[([\s\S]+?)\\\]/];
const BLOCK = [/^ {0,3}\$\$([\s\S]+?)\$\$[ \t]*(?:\n+|$)/, /^ {0,3}\\\[([\s\S]+?)\\\][ \t]*(?:\n+|$)/];

function escaped(tex: string): string {
  return tex.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll('"', "&quot;");
}

export const math: MarkedExtension = {
  extensions: [
    {
      name: "mathBlock",
      level: "block",
      start: (source) => source.search(/\n {0,3}(?:\$\$|\\\[)/), // where it ends a paragraph
      tokenizer(source): MathToken | undefined {
        for (const pattern of BLOCK) {
          const match = pattern.exec(source);
          if (match?.[1]?.trim()) return { type: "mathBlock", raw: match[0], tex: match[1].trim(), display: true };
        }
        return undefined;
      },
      renderer: (token) => `<div class="md-math" data-display="true" data-tex="${escaped((token as MathToken).tex)}"></div>`,
    },
    {
      name: "mathInline",
      level: "inline",
      start: (source) => source.search(/\$|\\[([]/),
      tokenizer(source): MathToken | undefined {
        for (const [index, pattern] of INLINE.entries()) {
          const match = pattern.exec(source);
          if (match?.[1]?.trim()) return { type: "mathInline", raw: match[0], tex: match[1].trim(), display: index === 0 || index === 3 };
        }
        return undefined;
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
      else at = text.indexOf(closer, match.index) < 0 ? match.index : at;
    }
    if (at >= 0) return at;
  }
  return -1;
}
