// Conversations by day; with hits while searching.

import { useEffect, useRef } from "preact/hooks";
import { locale, text } from "../i18n";
import { groupByDay, type Bucket } from "../state/days";
import { cards, listed, loadMore, more, query } from "../state/library";
import { ConversationItem } from "./ConversationItem";

export function ConversationList() {
  const t = text.value;
  if (listed.value && cards.value.length === 0) {
    return <p class="list-empty">{query.value ? t.noHits(query.value) : t.noConversations}</p>;
  }
  const searching = query.value.trim() !== "";
  // What was found stands in the order of the search, best first.
  const groups = searching ? [{ bucket: null, cards: cards.value }] : groupByDay(cards.value, new Date());
  return (
    <nav class="list" aria-label={t.conversations}>
      {groups.map((group) => (
        <section key={group.bucket ?? "found"}>
          {group.bucket && <h2 class="list-day">{dayName(group.bucket)}</h2>}
          <ul>
            {group.cards.map((card) => (
              <ConversationItem key={card.id} card={card} searching={searching} />
            ))}
          </ul>
        </section>
      ))}
      {more.value && <ShowMore />}
    </nav>
  );
}

function dayName(bucket: Bucket): string {
  if (bucket === "today" || bucket === "yesterday" || bucket === "last7Days" || bucket === "last30Days") return text.value[bucket];
  const [year, month] = bucket.split("-").map(Number);
  return new Intl.DateTimeFormat(locale.value, { year: "numeric", month: "long" }).format(new Date(year!, month! - 1, 1));
}

/** Loads more when it comes into view; a button for those who do not scroll. */
function ShowMore() {
  const button = useRef<HTMLButtonElement>(null);
  useEffect(() => {
    const observer = new IntersectionObserver(([entry]) => entry?.isIntersecting && void loadMore());
    observer.observe(button.current!);
    return () => observer.disconnect();
  }, [cards.value]);
  return (
    <button type="button" class="button quiet show-more" ref={button} onClick={() => void loadMore()}>
      {text.value.showMore}
    </button>
  );
}
