// Conversations by the day they were last written in, newest first.

export type Bucket = "today" | "yesterday" | "last7Days" | "last30Days" | `${number}-${number}`;

export function bucketOf(updated: Date, now: Date): Bucket {
  const midnight = (date: Date): number => new Date(date.getFullYear(), date.getMonth(), date.getDate()).getTime();
  // Rounded, since a day on which the clocks change has 23 or 25 hours.
  const days = Math.round((midnight(now) - midnight(updated)) / 86_400_000);
  if (days <= 0) return "today";
  if (days === 1) return "yesterday";
  if (days < 7) return "last7Days";
  if (days < 30) return "last30Days";
  return `${updated.getFullYear()}-${updated.getMonth() + 1}`;
}

export function groupByDay<T extends { updated: string }>(cards: readonly T[], now: Date): { bucket: Bucket; cards: T[] }[] {
  const groups: { bucket: Bucket; cards: T[] }[] = [];
  for (const card of cards) {
    const bucket = bucketOf(new Date(card.updated), now);
    const last = groups.at(-1);
    if (last?.bucket === bucket) last.cards.push(card);
    else groups.push({ bucket, cards: [card] });
  }
  return groups;
}
