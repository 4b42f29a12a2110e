// The conversation on the screen.

import { Copy } from "lucide";
import { useLayoutEffect } from "preact/hooks";
import type { RemoteModel } from "../../runtime/src/api/worker.ts";
import type { HearthError } from "../../runtime/src/errors.ts";
import { IconButton } from "../../src/views/Button.tsx";
import { Hearth } from "../../src/views/Hearth.tsx";
import { useEndInView } from "../../src/views/useEndInView.ts";
import { failure, type Turn, turns, writing } from "./chat.ts";
import { copy } from "./clipboard.ts";
import { markdown } from "./markdown.ts";

const WORDS = { copyCode: "Copy code", copied: "Copied", imageLink: (alt: string): string => `Image: ${alt || "without description"}` };
const NEAR_PX = 160;

export function Thread({ model }: { model: RemoteModel }) {
  const said = turns.value;
  const { scroller, content } = useNewest(said.filter(({ role }) => role === "user").length);
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

/** Shows the end of the conversation as it grows, and in any case when a question more is asked. */
function useNewest(questions: number) {
  const { scroller, content, isSticking } = useEndInView<HTMLElement>({ nearPx: NEAR_PX });
  useLayoutEffect(() => {
    isSticking.current = true;
    scroller.current!.scrollTop = scroller.current!.scrollHeight;
  }, [questions]);
  return { scroller, content };
}
