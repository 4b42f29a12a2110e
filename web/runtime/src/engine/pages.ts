// Who uses which page of keys and values. Owns the reference counts, the free list and the order of eviction; knows pages as numbers,
// never their bytes.
//
// A page is in exactly one of three states: free (nobody's, nothing worth keeping), held (by one or more sequences) or idle
// (nobody's, but it holds a known prefix). Idle pages are evicted, longest unused first, when no page is free. Only full pages are
// known, and they are never written again: so any number of sequences may share them.

import { HearthError } from "../errors.ts";
import { Block } from "./prefix.ts";

/** Pages that hold so many tokens of one sequence. */
export const pagesFor = (tokens: number, pageTokens: number): number => Math.ceil(tokens / pageTokens);

export class PagePool {
  readonly numPages: number;
  readonly pageTokens: number;
  /** Of the prefix cache: before all tokens. */
  readonly root = Block.root();
  readonly #refs: Int32Array;
  readonly #free: number[];
  readonly #known = new Map<number, Block>();
  readonly #idle = new Set<number>(); // longest unused first

  constructor(numPages: number, pageTokens: number) {
    this.numPages = numPages;
    this.pageTokens = pageTokens;
    this.#refs = new Int32Array(numPages);
    this.#free = Array.from({ length: numPages }, (_, i) => numPages - 1 - i); // taken from the end: page 0 first
  }

  /** Pages that `allocate` can still give out, by eviction if need be. */
  get numAvailable(): number {
    return this.#free.length + this.#idle.size;
  }

  isIdle(page: number): boolean {
    return this.#idle.has(page);
  }

  /** A page of one's own, its content unspecified. */
  allocate(): number {
    let page = this.#free.pop();
    if (page === undefined) {
      [page] = this.#idle;
      if (page === undefined) {
        throw new HearthError("memory", `All ${this.numPages} pages of ${this.pageTokens} tokens are in use.`, {
          hint: "Use a smaller context or fewer sequences at once.",
        });
      }
      this.#idle.delete(page);
      this.forget(page);
    }
    this.#refs[page] = 1;
    return page;
  }

  /** The known full pages with the beginning of a list of tokens, but for its last token: its logits are still wanted. */
  find(tokens: readonly number[]): Block[] {
    const found: Block[] = [];
    for (let end = this.pageTokens; end < tokens.length; end += this.pageTokens) {
      const block = (found.at(-1) ?? this.root).find(tokens.slice(end - this.pageTokens, end));
      if (block === undefined) break;
      found.push(block);
    }
    return found;
  }

  /** Takes hold of a page that `find` found. */
  hold(page: number): void {
    this.#idle.delete(page);
    this.#refs[page]!++;
  }

  /** A held page is full now with these tokens after `before`: others may share it. Answers what is known for them. */
  publish(page: number, before: Block, tokens: readonly number[]): Block {
    const block = before.add(tokens, page);
    if (block.page === page) this.#known.set(page, block);
    return block;
  }

  /** What a page holds may be wrong or is about to be: nobody shall find it. */
  forget(page: number): void {
    this.#known.get(page)?.remove();
    this.#known.delete(page);
  }

  /** What pages hold is lost. */
  forgetAll(): void {
    for (const page of [...this.#known.keys()]) this.forget(page);
    this.#free.push(...this.#idle);
    this.#idle.clear();
  }

  /** Gives back one hold on each of a sequence's pages, in their order. */
  release(pages: readonly number[]): void {
    // From the last to the first, so that the end of a prefix is evicted before its beginning.
    for (const page of [...pages].reverse()) {
      if (--this.#refs[page]! > 0) continue;
      if (this.#known.has(page)) this.#idle.add(page);
      else this.#free.push(page);
    }
  }
}
