// Markdown in the page's own language.

import { text } from "../i18n";
import { MarkdownText } from "../markdown/Markdown";
import { announce, complain } from "../state/notices";

export function Markdown({ source, live = false }: { source: string; live?: boolean }) {
  return <MarkdownText source={source} live={live} words={text.value} copy={copy} />;
}

/** Puts text on the clipboard and says so. */
export async function copy(content: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(content);
    announce(text.peek().copied);
    return true;
  } catch {
    complain(new Error(text.peek().copyFailed));
    return false;
  }
}
