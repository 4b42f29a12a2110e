// Markdown into blocks of safe HTML. An answer that grows changes only its last block, so only that is drawn again.

import DOMPurify from "dompurify";
import { Marked, type Token, type Tokens } from "marked";
import { highlighted } from "./highlight";
import { BoundedLexer } from "./lexer";
import { math, openFormula } from "./math";

export interface Block {
  /** The block's own source: two blocks with the same source look the same. */
  raw: string;
  token: Token;
}

/** Words of the interface that stand inside rendered text. */
export interface Labels {
  copyCode: string;
  imageLink: (alt: string) => string;
}

function escapeHtml(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");
}

const PLAIN_TAG = /&lt;(\/?(?:abbr|b|blockquote|br|code|del|details|em|hr|i|ins|kbd|li|mark|ol|p|s|small|strong|sub|summary|sup|u|ul) ?\/?)&gt;/gi;

let labels: Labels = { copyCode: "Copy code", imageLink: (alt) => alt };

/** Of a longer text, the rest is shown as it is; likewise what follows so many blocks. */
const MAX_CHARS = 300_000;
const MAX_BLOCKS = 3_000;
/** Every row of a table is filled up to the width of its head: 40 kB can ask for a million cells. */
const MAX_CELLS = 10_000;

const marked = new Marked(
  { gfm: true, breaks: false },
  math,
  {
    tokenizer: {
      // `false`: as usual; nothing: no table.
      table: (source: string): false | undefined => (cellsOf(source) > MAX_CELLS ? undefined : false),
    },
    renderer: {
      code({ text, lang }: Tokens.Code): string {
        const language = /^[\w+#.-]+/.exec(lang ?? "")?.[0] ?? "";
        const body = highlighted(text, language) ?? escapeHtml(text);
        const copy = `<button type="button" class="md-copy" data-copy="true">${escapeHtml(labels.copyCode)}</button>`;
        return (
          `<div class="md-code"><div class="md-code-head"><span class="md-lang">${escapeHtml(language)}</span>${copy}</div>` +
          `<pre tabindex="0"><code>${body}\n</code></pre></div>`
        );
      },
      table(token: Tokens.Table): string {
        const row = (cells: Tokens.TableCell[], tag: "th" | "td"): string =>
          `<tr>${cells
            .map((cell) => `<${tag}${cell.align ? ` align="${cell.align}"` : ""}>${this.parser.parseInline(cell.tokens)}</${tag}>`)
            .join("")}</tr>`;
        const body = token.rows.map((cells) => row(cells, "td")).join("");
        return `<div class="md-table" tabindex="0"><table><thead>${row(token.header, "th")}</thead><tbody>${body}</tbody></table></div>`;
      },
      // A picture from somewhere else would be a request from this device that nobody asked for: it becomes a link.
      image({ href, text }: Tokens.Image): string {
        return `<a href="${escapeHtml(href)}">${escapeHtml(labels.imageLink(text))}</a>`;
      },
      checkbox({ checked }: Tokens.Checkbox): string {
        return `<span class="md-task">${checked ? "☑" : "☐"}</span> `;
      },
      // Of a model's own HTML, plain formatting counts; the rest is text that somebody may want to read.
      html({ text }: Tokens.HTML | Tokens.Tag): string {
        return escapeHtml(text).replace(PLAIN_TAG, "<$1>");
      },
    },
  },
);

const TAGS = (
  "a abbr b blockquote br button code dd del details div dl dt em h1 h2 h3 h4 h5 h6 hr i ins kbd li mark ol p pre q s " +
  "samp small span strong sub summary sup table tbody td tfoot th thead tr u ul var"
).split(" ");
const ATTRIBUTES = ["align", "class", "colspan", "data-copy", "data-display", "data-tex", "href", "open", "rowspan", "start", "tabindex", "title", "type"];

DOMPurify.addHook("afterSanitizeAttributes", (node) => {
  // A model's own HTML must not dress up as a part of the page.
  const names = [...node.classList].filter((name) => /^(md|hljs|language)-/.test(name) || name === "function_" || name === "class_");
  if (names.length > 0) node.setAttribute("class", names.join(" "));
  else node.removeAttribute("class");
  if (node.nodeName === "A") {
    node.setAttribute("target", "_blank");
    node.setAttribute("rel", "noopener noreferrer");
  }
  if (node.nodeName === "BUTTON" && !node.hasAttribute("data-copy")) node.remove();
});

/** Cells of the table that a text begins with, if it is one: columns of its first line times lines up to an empty one. */
function cellsOf(source: string): number {
  const [head = "", delimiters = ""] = source.split("\n", 2);
  if (!/^[ |:-]*-[ |:-]*$/.test(delimiters)) return 0;
  const end = /\n[ \t]*\n/.exec(source)?.index ?? source.length;
  const lines = source.slice(0, end).split("\n").length;
  return head.split("|").length * lines;
}

/** The blocks of a text; of one that still grows (`live`), without a formula whose end has not come. */
export function blocksOf(markdown: string, live = false): Block[] {
  const read = markdown.length > MAX_CHARS ? markdown.slice(0, markdown.lastIndexOf("\n", MAX_CHARS) + 1 || MAX_CHARS) : markdown;
  const tokens = new BoundedLexer(marked.defaults).lex(read);
  const last = tokens.at(-1);
  if (live && last?.type === "paragraph" && read === markdown) {
    const at = openFormula(last.raw);
    if (at >= 0) return blocksOf(markdown.slice(0, markdown.length - last.raw.length + at).trimEnd());
  }
  const rest = tokens.slice(MAX_BLOCKS).map((token) => token.raw).join("") + markdown.slice(read.length);
  const blocks = tokens
    .slice(0, MAX_BLOCKS)
    .filter((token) => token.type !== "space" && token.type !== "def")
    .map((token) => ({ raw: token.raw, token }));
  return rest.trim() ? [...blocks, { raw: rest, token: { type: "plain", raw: rest } }] : blocks;
}

function plainText(source: string): DocumentFragment {
  const fragment = document.createDocumentFragment();
  const paragraph = document.createElement("p");
  paragraph.className = "md-plain";
  paragraph.textContent = source.trim();
  fragment.append(paragraph);
  return fragment;
}

export function renderBlock(block: Block, words: Labels): DocumentFragment {
  if (block.token.type === "plain") return plainText(block.raw);
  labels = words;
  const html = marked.parser([block.token]);
  return DOMPurify.sanitize(html, {
    ALLOWED_TAGS: TAGS,
    ALLOWED_ATTR: ATTRIBUTES,
    ALLOW_DATA_ATTR: false,
    ALLOW_ARIA_ATTR: false,
    ALLOWED_URI_REGEXP: /^(?:https?:|mailto:|#)/i,
    ADD_URI_SAFE_ATTR: ATTRIBUTES.filter((name) => name !== "href"),
    RETURN_DOM_FRAGMENT: true,
  });
}
