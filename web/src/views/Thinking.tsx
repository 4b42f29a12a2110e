// What the model thought before it answered: folded, since the answer is what was asked for.

import { ChevronRight } from "lucide";
import { useEffect, useState } from "preact/hooks";
import type { Message } from "../api/types";
import { text } from "../i18n";
import { answering, thoughtSeconds } from "../state/chat";
import { Icon } from "./Icon";
import { Markdown } from "./Markdown";

export function Thinking({ message }: { message: Message }) {
  const now = message.state === "running" && message.content === "";
  return (
    <details class={now ? "thinking now" : "thinking"}>
      <summary>
        <Icon of={ChevronRight} size={15} />
        {now ? <Clock since={answering.value?.thinkingSinceMs ?? null} /> : summary(message)}
      </summary>
      <div class="thinking-text">
        <Markdown source={message.thinking} live={now} />
      </div>
    </details>
  );
}

function summary(message: Message): string {
  const t = text.value;
  const seconds = message.timings.thinking_s || thoughtSeconds.get(message.id);
  return seconds ? t.thoughtFor(t.seconds(seconds)) : t.thought;
}

function Clock({ since }: { since: number | null }) {
  const t = text.value;
  const [now, setNow] = useState(performance.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(performance.now()), 1_000);
    return () => clearInterval(timer);
  }, []);
  const seconds = since === null ? 0 : Math.floor((now - since) / 1000);
  return (
    <span>
      {t.thinkingNow} {seconds >= 1 && <span class="clock">{t.seconds(seconds)}</span>}
    </span>
  );
}
