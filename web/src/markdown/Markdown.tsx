// Markdown on the screen. While an answer grows only the block that changed is drawn again, and of it only what differs.
// The page says in which words, and how text gets onto the clipboard.

import { memo } from "preact/compat";
import { useLayoutEffect, useMemo, useRef } from "preact/hooks";
import { type Block, blocksOf, type Labels, renderBlock } from "./blocks";
import { highlighterVersion } from "./highlight";
import { fillMath, katexVersion } from "./katex";
import { morph } from "./morph";

export interface Words extends Labels {
  copied: string;
}

interface Props {
  source: string;
  /** It still grows. */
  live: boolean;
  /** The same object as long as they are the same words. */
  words: Words;
  /** Puts text on the clipboard; answers whether that was allowed. */
  copy: (content: string) => Promise<boolean>;
}

export const MarkdownText = memo(function MarkdownText({ source, live, words, copy }: Props) {
  const blocks = useMemo(() => blocksOf(source, live), [source, live]);
  return (
    <div class={live ? "md live" : "md"} onClick={(event) => void copyCode(event, words, copy)}>
      {blocks.map((block, index) => (
        <MarkdownBlock key={index} block={block} words={words} />
      ))}
    </div>
  );
});

const MarkdownBlock = memo(
  function MarkdownBlock({ block, words }: { block: Block; words: Words }) {
    const place = useRef<HTMLDivElement>(null);
    const drawnWith = `${highlighterVersion.value} ${katexVersion.value}`;
    useLayoutEffect(() => {
      const fragment = renderBlock(block, words);
      fillMath(fragment);
      morph(place.current!, fragment);
    }, [block.raw, block.token.type, words, drawnWith]);
    return <div class="md-block" dir="auto" ref={place} />; // an answer may be in several languages
  },
  (before, after) => before.words === after.words && before.block.raw === after.block.raw && before.block.token.type === after.block.token.type,
);

async function copyCode(event: MouseEvent, words: Words, copy: Props["copy"]): Promise<void> {
  const button = (event.target as Element).closest<HTMLButtonElement>("button[data-copy]");
  const code = button?.closest(".md-code")?.querySelector("code")?.textContent;
  if (!button || code == null) return;
  if (await copy(code.replace(/\n$/, ""))) {
    button.textContent = words.copied;
    setTimeout(() => (button.textContent = words.copyCode), 1_600);
  }
}
