// Words of a search on the page: marked without changing the text (CSS custom highlights), and scrolled to.

const NAME = "found";

/** What stands for one of the words, by its beginning, as the search finds it. */
export function patternOf(words: string): RegExp | null {
  const escaped = words
    .split(/\s+/)
    .filter((word) => /[\p{L}\p{N}]/u.test(word))
    .map((word) => word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  if (escaped.length === 0) return null;
  return new RegExp(`(?<![\\p{L}\\p{N}])(?:${escaped.join("|")})[\\p{L}\\p{N}]*|(?:${escaped.join("|")})`, "giu");
}

function rangesOf(root: Element, pattern: RegExp): Range[] {
  const ranges: Range[] = [];
  const texts = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
  for (let node = texts.nextNode(); node && ranges.length < 500; node = texts.nextNode()) {
    for (const match of node.nodeValue!.matchAll(pattern)) {
      const range = document.createRange();
      range.setStart(node, match.index);
      range.setEnd(node, match.index + match[0].length);
      ranges.push(range);
    }
  }
  return ranges;
}

export function showHit(message: Element | null, words: string): void {
  const text = message?.querySelector(".md, .bubble") ?? message;
  const pattern = patternOf(words);
  if (!text) return;
  const ranges = pattern ? rangesOf(text, pattern) : [];
  // Where a browser has no highlights, the place alone has to do.
  if (ranges.length > 0 && "highlights" in CSS) CSS.highlights.set(NAME, new Highlight(...ranges));
  (ranges[0]?.startContainer.parentElement ?? text).scrollIntoView({ block: "center" });
}

export function clearMarks(): void {
  if ("highlights" in CSS) CSS.highlights.delete(NAME);
}
