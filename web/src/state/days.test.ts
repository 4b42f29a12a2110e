import { expect, test } from "vitest";
import { bucketOf, groupByDay } from "./days";

const now = new Date(2026, 10, 25, 9, 0);

test("days are the calendar's, not spans of 24 hours", () => {
  expect(bucketOf(new Date(2026, 10, 25, 0, 1), now)).toBe("today");
  expect(bucketOf(new Date(2026, 10, 24, 23, 59), now)).toBe("yesterday");
  expect(bucketOf(new Date(2026, 10, 19), now)).toBe("last7Days");
  expect(bucketOf(new Date(2026, 10, 1), now)).toBe("last30Days");
  expect(bucketOf(new Date(2026, 8, 30), now)).toBe("2026-9");
});

test("a clock that ran ahead is still today", () => {
  expect(bucketOf(new Date(2026, 10, 26), now)).toBe("today");
});

test("conversations keep their order within a day", () => {
  const at = (day: number): { updated: string } => ({ updated: new Date(2026, 10, day, 8).toISOString() });
  const cards = [at(25), at(25), at(24)];
  expect(groupByDay(cards, now).map((group) => [group.bucket, group.cards.length])).toEqual([
    ["today", 2],
    ["yesterday", 1],
  ]);
});
