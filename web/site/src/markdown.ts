// How answers are drawn: as Markdown, once the code for that has come, which is while the model does. Until then as plain text.

import { signal } from "@preact/signals";
import type { MarkdownText } from "../../src/markdown/Markdown.tsx";

export const markdown = signal<typeof MarkdownText | undefined>(undefined);

export async function loadMarkdown(): Promise<void> {
  try {
    const { MarkdownText } = await import("../../src/markdown/Markdown.tsx");
    markdown.value = MarkdownText;
  } catch {
    // The signs of Markdown can be read, too.
  }
}
