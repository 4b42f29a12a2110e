// The conversation on the screen.

import { Copy } from "lucide";
import { useLayoutEffect, useRef } from "preact/hooks";
import type { RemoteModel } from "../../runtime/src/api/worker.ts";
import type { HearthError } from "../../runtime/src/errors.ts";
import { IconButton } from "../../src/views/Button.tsx";
import { Hearth } from "../../src/views/Hearth.tsx";
import { failure, type Turn, turns, writing } from "./chat.ts";
import { copy } from "./clipboard.ts";
import { markdown } from "./markdown.ts";

const WORDS = { copyCode: "Copy code", copied: "Copied", imageLink: (alt: string): string => `Image: ${alt || "without description"}` };
const NEAR_PX = 160;

export function Thread({ model }: { model: RemoteModel }) {
  const said = turns.value;
  const { scroller, content } = useEndInView(said.filter(({ role }) => role === "user").length);
  return (
    <main class="thread" ref={scroller} tabIndex={0} aria-label="Conversation" aria-busy={writing.value !== undefined}>
      <div class="thread-content" ref={content}>
        {said.length === 0 && <Welcome model={model} />}
        {said.map((turn, i) => (
          <Message key={i} turn={turn} model={model} isLast={i === said.length - 1} />
        ))}
        {failure.value && <Failure error={failure.value} />}
      </div>
    </main>
  );
}

function Welcome({ model }: { model: RemoteModel }) {
  return (
    <section class="welcome">
      <Hearth size={84} alive />
      <h2>{model.chats ? "What is on your mind?" : "How does it begin?"}</h2>
      <p>{model.chats ? "What you write stays on this device." : "Write the beginning of a text, and the model goes on with it. It stays on this device."}</p>
    </section>
  );
}

interface MessageProps {
  readonly turn: Turn;
  readonly model: RemoteModel;
  readonly isLast: boolean;
}

function Message({ turn, model, isLast }: MessageProps) {
  const isBeingWritten = isLast && writing.value !== undefined;
  const Markdown = model.chats ? markdown.value : undefined;
  if (turn.role === "user") {
    return (
      <article class="message user">
        <h2 class="visually-hidden">You</h2>
        <div class="bubble" dir="auto">
          {turn.content}
        </div>
      </article>
    );
  }
  return (
    <article class={isLast ? "message answer last" : "message answer"}>
      <h2 class="answer-name">
        <span class={isBeingWritten ? "ember" : "ember out"} />
        {model.name}
      </h2>
      {Markdown ? (
        <Markdown source={turn.content} live={isBeingWritten} words={WORDS} copy={copy} />
      ) : (
        <div class="answer-text" dir="auto">
          {turn.content}
        </div>
      )}
      {!isBeingWritten && turn.content !== "" && (
        <div class="message-actions">
          <IconButton icon={Copy} size={15} label="Copy" onClick={() => void copy(turn.content)} />
        </div>
      )}
    </article>
  );
}

export function Failure({ error }: { error: HearthError }) {
  // How much the model can read a visitor cannot change.
  const hint = error.kind === "context" ? "Write less at once, or begin a new chat." : error.hint;
  return (
    <div class="failure" role="alert">
      <p>{error.what}</p>
      {error.why && <p>{error.why}</p>}
      {hint && <p>{hint}</p>}
    </div>
  );
}

/** Keeps the end in view while it grows. Who scrolled up to read is left there, until a question more is asked. */
function useEndInView(questions: number) {
  const scroller = useRef<HTMLElement>(null);
  const content = useRef<HTMLDivElement>(null);
  const isSticking = useRef(true);
  useLayoutEffect(() => {
    isSticking.current = true;
    scroller.current!.scrollTop = scroller.current!.scrollHeight;
  }, [questions]);
  useLayoutEffect(() => {
    const box = scroller.current!;
    let height = box.scrollHeight;
    const onScroll = (): void => {
      const isNear = box.scrollHeight - box.scrollTop - box.clientHeight < NEAR_PX;
      // Growing content moves the end away from the reader; that is not the reader scrolling.
      if (isNear || box.scrollHeight === height) isSticking.current = isNear;
      height = box.scrollHeight;
    };
    const observer = new ResizeObserver(() => {
      if (isSticking.current) box.scrollTop = box.scrollHeight;
      height = box.scrollHeight;
    });
    observer.observe(content.current!);
    observer.observe(box);
    box.addEventListener("scroll", onScroll, { passive: true });
    return () => {
      observer.disconnect();
      box.removeEventListener("scroll", onScroll);
    };
  }, []);
  return { scroller, content };
}
