// Markdown on the screen. While an answer grows only the block that changed is drawn again, and of it only what differs.

import { memo } from "preact/compat";
import { useLayoutEffect, useMemo, useRef } from "preact/hooks";
import { language, text } from "../i18n";
import { blocksOf, renderBlock, type Block } from "../markdown/blocks";
import { highlighterVersion } from "../markdown/highlight";
import { fillMath, katexVersion } from "../markdown/katex";
import { morph } from "../markdown/morph";
import { announce, complain } from "../state/notices";

export const Markdown = memo(function Markdown({ source, live = false }: { source: string; live?: boolean }) {
  const blocks = useMemo(() => blocksOf(source, live), [source, live]);
  return (
    <div class={live ? "md live" : "md"} onClick={copyCode} dir="auto">
      {blocks.map((block, index) => (
        <MarkdownBlock key={index} block={block} />
      ))}
    </div>
  );
});

const MarkdownBlock = memo(
  function MarkdownBlock({ block }: { block: Block }) {
    const place = useRef<HTMLDivElement>(null);
    const drawnWith = `${language.value} ${highlighterVersion.value} ${katexVersion.value}`;
    useLayoutEffect(() => {
      const fragment = renderBlock(block, { copyCode: text.peek().copyCode, imageLink: text.peek().imageLink });
      fillMath(fragment);
      morph(place.current!, fragment);
    }, [block.raw, block.token.type, drawnWith]);
    return <div class="md-block" ref={place} />;
  },
  (before, after) => before.block.raw === after.block.raw && before.block.token.type === after.block.token.type,
);

async function copyCode(event: MouseEvent): Promise<void> {
  const button = (event.target as Element).closest<HTMLButtonElement>("button[data-copy]");
  const code = button?.closest(".md-code")?.querySelector("code")?.textContent;
  if (!button || code == null) return;
  if (await copy(code.replace(/\n$/, ""))) {
    button.textContent = text.peek().copied;
    setTimeout(() => (button.textContent = text.peek().copyCode), 1_600);
  }
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
