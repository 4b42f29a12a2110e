import { expect, test } from "vitest";
import { PagePool, ROOT } from "./pages.ts";

const TEXT = Array.from({ length: 40 }, (_, i) => i);

/** A sequence that has computed the first `pages` pages of a text. */
function compute(pool: PagePool, tokens: readonly number[], pages: number): number[] {
  const found = pool.find(tokens, pages * pool.pageTokens);
  let id = found.id;
  for (let i = found.pages.length; i < pages; i++) {
    found.pages.push(pool.take());
    id = pool.publish(found.pages[i]!, id, tokens, i);
  }
  return found.pages;
}

test("a text's beginning is found again, in whole pages, after its sequence has ended", () => {
  const pool = new PagePool(8, 4);
  const pages = compute(pool, TEXT, 3);
  pool.release(pages);
  expect(pool.available).toBe(8);
  expect(pool.find([...TEXT.slice(0, 11), 99], 11)).toMatchObject({ pages: pages.slice(0, 2) });
  expect(pool.available).toBe(6);
  expect(pool.find([99, ...TEXT], 12)).toEqual({ pages: [], id: ROOT });
});

test("sequences share pages, which stay as long as one holds them", () => {
  const pool = new PagePool(3, 4);
  const first = compute(pool, TEXT, 2);
  const second = compute(pool, TEXT, 2);
  expect(second).toEqual(first);
  pool.release(first);
  expect(pool.available).toBe(1);
  pool.take();
  expect(pool.available).toBe(0);
});

test("what follows a page that was given out again is not found", () => {
  const pool = new PagePool(2, 4);
  pool.release(compute(pool, TEXT, 2));
  pool.release([pool.take()]); // the last page goes first
  expect(pool.find(TEXT, 8).pages).toHaveLength(1);
});

test("the same tokens behind another beginning are something else", () => {
  const pool = new PagePool(8, 4);
  pool.release(compute(pool, [1, 1, 1, 1, 5, 5, 5, 5], 2));
  expect(pool.find([2, 2, 2, 2, 5, 5, 5, 5], 8).pages).toEqual([]);
  expect(pool.find([5, 5, 5, 5], 4).pages).toEqual([]);
});
