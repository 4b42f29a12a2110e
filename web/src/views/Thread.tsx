// The messages of the open conversation, from the first to the newest; or what a new chat begins with.

import { ArrowDown } from "lucide";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { text } from "../i18n";
import { answering, conversation, load, loadFailure, path } from "../state/chat";
import { sending } from "../state/composer";
import { go, openId } from "../state/route";
import { found } from "../state/found";
import { editing } from "../state/ui";
import { AnswerMessage, Unanswered } from "./AnswerMessage";
import { Icon } from "./Icon";
import { clearMarks, showHit } from "./hit";
import { useEndInView } from "./useEndInView";
import { UserMessage } from "./UserMessage";
import { Welcome } from "./Welcome";

const NEAR_PX = 80;

export function Thread() {
  const { scroller, content, hold, away, toEnd } = useStickyEnd();
  useFound(content, hold);
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

/** Brings the message that a search found into view, with its words marked. */
function useFound(content: { current: HTMLDivElement | null }, hold: { current: (() => void) | null }): void {
  const hit = found.value;
  const message = hit && hit.conversation === openId.value ? path.value.find((one) => one.id === hit.message) : undefined;
  useEffect(() => {
    if (!hit || !message) return;
    const show = (): void =>
      showHit(content.current?.querySelector(`[data-message="${CSS.escape(message.id)}"]`) ?? null, hit.words);
    // After its Markdown is on the page, and again when what stands around it gets its size: until the reader scrolls.
    hold.current = show;
    const frame = requestAnimationFrame(show);
    return () => {
      cancelAnimationFrame(frame);
      hold.current = null;
      clearMarks();
    };
  }, [hit, message?.id]);
}

const BY_HAND = ["wheel", "touchmove", "pointerdown", "keydown"] as const;

/** Keeps the end in view while it grows, unless the reader has scrolled away from it; or what `hold` brings into view. */
function useStickyEnd() {
  const hold = useRef<(() => void) | null>(null);
  const [away, setAway] = useState(false);
  const { scroller, content, isSticking } = useEndInView<HTMLDivElement>({
    nearPx: NEAR_PX,
    onScroll: (isNear) => {
      setAway(!isNear && !!openId.peek());
      return isNear && !!openId.peek() && !hold.current;
    },
    insteadOfEnd: () => {
      hold.current?.();
      return hold.current !== null;
    },
  });

  const toNewest = (): void => {
    // A chat that has not begun is read from its top, as what was found is from where it stands.
    const top = !openId.peek();
    isSticking.current = !top && found.peek()?.conversation !== openId.peek();
    setAway(false);
    if (top) scroller.current!.scrollTop = 0;
    else if (isSticking.current) scroller.current!.scrollTop = scroller.current!.scrollHeight;
  };

  // Another conversation, or something new that the reader said: show its end.
  const newest = path.value.findLast((message) => message.role === "user")?.id;
  const before = useRef<{ open: string | null; newest: string | undefined }>({ open: null, newest: undefined });
  useLayoutEffect(() => {
    const goesOn = before.current.newest !== undefined && before.current.open === openId.peek();
    before.current = { open: openId.peek(), newest };
    if (goesOn && (hold.current === null || sending.peek())) {
      hold.current = null;
      found.value = null; // what was found has been read
    }
    toNewest();
  }, [openId.value, newest]);
  const toEnd = (): void => {
    hold.current = null;
    found.value = null;
    toNewest();
  };

  useLayoutEffect(() => {
    const box = scroller.current!;
    const letGo = (): void => {
      hold.current = null;
    };
    BY_HAND.forEach((kind) => box.addEventListener(kind, letGo, { passive: true }));
    return () => BY_HAND.forEach((kind) => box.removeEventListener(kind, letGo));
  }, []);

  return { scroller, content, hold, away, toEnd };
}
