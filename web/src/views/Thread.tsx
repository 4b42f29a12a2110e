// The messages of the open conversation, from the first to the newest; or what a new chat begins with.

import { ArrowDown } from "lucide";
import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { text } from "../i18n";
import { answering, conversation, load, loadFailure, path } from "../state/chat";
import { sending } from "../state/composer";
import { go, openId } from "../state/route";
import { editing } from "../state/ui";
import { AnswerMessage, Unanswered } from "./AnswerMessage";
import { Icon } from "./Icon";
import { UserMessage } from "./UserMessage";
import { Welcome } from "./Welcome";

const NEAR_PX = 80;

export function Thread() {
  const { scroller, content, away, toEnd } = useStickyEnd();
  const messages = path.value;
  const last = messages.at(-1);
  const failure = loadFailure.value;
  const t = text.value;
  return (
    <div class="thread" ref={scroller} tabIndex={0} role="region" aria-label={t.thread} aria-busy={answering.value !== null}>
      <div class="thread-content" ref={content}>
        {!openId.value && <Welcome />}
        {failure && (
          <div class="load-failure" role="alert">
            <strong>{failure.gone ? t.notFound : t.loadFailed}</strong>
            {!failure.gone && (
              <span>
                {failure.message} {failure.hint}
              </span>
            )}
            <button type="button" class="button" onClick={() => (failure.gone ? go(null) : void load(openId.peek()!))}>
              {failure.gone ? t.newChat : t.retry}
            </button>
          </div>
        )}
        {openId.value && !conversation.value && !failure && <p class="loading">{t.loading}</p>}
        {messages.map((message, index) =>
          message.role === "user" ? (
            <UserMessage key={message.id} message={message} />
          ) : (
            <AnswerMessage key={message.id} message={message} last={index === messages.length - 1} />
          ),
        )}
        {last?.role === "user" && !answering.value && !sending.value && editing.value !== last.id && <Unanswered question={last} />}
      </div>
      {away && (
        <button type="button" class="to-end" onClick={toEnd}>
          <Icon of={ArrowDown} size={16} />
          {t.toLatest}
        </button>
      )}
    </div>
  );
}

/** Keeps the end in view while it grows, unless the reader has scrolled away from it. */
function useStickyEnd() {
  const scroller = useRef<HTMLDivElement>(null);
  const content = useRef<HTMLDivElement>(null);
  const sticking = useRef(true);
  const [away, setAway] = useState(false);

  const toEnd = (): void => {
    sticking.current = true;
    setAway(false);
    scroller.current!.scrollTop = scroller.current!.scrollHeight;
  };

  // Another conversation, or something new that the reader said: show its end.
  const newest = path.value.findLast((message) => message.role === "user")?.id;
  useLayoutEffect(toEnd, [openId.value, newest]);

  useLayoutEffect(() => {
    const box = scroller.current!;
    let height = box.scrollHeight;
    const onScroll = (): void => {
      const near = box.scrollHeight - box.scrollTop - box.clientHeight < NEAR_PX;
      // Growing content moves the end away from the reader; that is not the reader scrolling.
      if (!near && box.scrollHeight !== height && sticking.current) return;
      height = box.scrollHeight;
      sticking.current = near;
      setAway(!near);
    };
    const observer = new ResizeObserver(() => {
      if (sticking.current) box.scrollTop = box.scrollHeight;
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

  return { scroller, content, away, toEnd };
}
