// Who uses which page of keys and values. A `CountedPool` that shares pages; knows them as numbers, never their bytes. What a page
// holds is remembered in `prefix.ts`.
//
// Full pages are never written again, so any number of sequences may share them. A partly filled last page will be written by
// whoever goes on from it, so it is taken over by one sequence, and only when its former one has finished.

import { HearthError } from "../errors.ts";
import { CountedPool } from "./counted.ts";
import { type Chain, PrefixIndex } from "./prefix.ts";

/** Pages that hold so many tokens of one sequence. */
export const pagesFor = (tokens: number, pageTokens: number): number => Math.ceil(tokens / pageTokens);

/** What holds the beginning of a list of tokens already. */
export interface Prefix {
  /** Full pages, in order. */
  readonly shared: readonly number[];
  /** The page after them whose first tokens are right, and which the finder would have to itself. */
  readonly taken?: number | undefined;
  /** Tokens that need not be computed again. */
  readonly numTokens: number;
  /** The checkpoint after these tokens, of a model with state (`states.ts`). */
  readonly slot?: number | undefined;
}

export const NO_PREFIX: Prefix = { shared: [], numTokens: 0 };

export const pagesOf = ({ shared, taken }: Prefix): number[] => (taken === undefined ? [...shared] : [...shared, taken]);

export class PagePool extends CountedPool {
  readonly numPages: number;
  readonly pageTokens: number;
  readonly #index: PrefixIndex;

  constructor(numPages: number, pageTokens: number) {
    const index = new PrefixIndex(pageTokens);
    super(numPages, index);
    this.#index = index;
    this.numPages = numPages;
    this.pageTokens = pageTokens;
  }

  /** What finds the pages of a list of tokens, which may grow at its end. */
  chain(tokens: readonly number[]): Chain {
    return this.#index.chain(tokens);
  }

  /** A page of one's own, its content unspecified. */
  allocate(): number {
    const page = this.giveOut();
    if (page !== undefined) return page;
    throw new HearthError("memory", `All ${this.numPages} pages of ${this.pageTokens} tokens are in use.`, {
      hint: "Use a smaller context or fewer sequences at once.",
    });
  }

  /** A held page is full now with block `index` of the chain: others may share it. */
  publishBlock(page: number, chain: Chain, index: number): void {
    this.#index.addBlock(page, chain, index);
  }

  /** The only holder of a partly filled page will release it next: whoever goes on from its tokens may have it. */
  publishTail(page: number, chain: Chain, index: number, count: number): void {
    if (this.refs(page) === 1 && !this.#index.has(page)) this.#index.addTail(page, chain, index, count);
  }

  /** The full pages of the longest known beginning of the chain's tokens, but for the last token: its logits are still wanted. */
  findFull(chain: Chain): number[] {
    const shared: number[] = [];
    while ((shared.length + 1) * this.pageTokens < chain.tokens.length) {
      const page = this.#index.findBlock(chain, shared.length);
      if (page === undefined) break;
      shared.push(page);
    }
    return shared;
  }

  /** The page that was left with exactly the first tokens of block `index` of the chain. */
  findWholeTail(chain: Chain, index: number, count: number): number | undefined {
    return this.#index.findWholeTail(chain, index, count);
  }

  /** The longest known beginning of the chain's tokens, but for the last token. */
  find(chain: Chain): Prefix {
    const shared = this.findFull(chain);
    const [limit, before] = [chain.tokens.length - 1, shared.length * this.pageTokens];
    const tail = limit > before ? this.#index.findTail(chain, shared.length, Math.min(limit - before, this.pageTokens)) : undefined;
    if (limit - before === this.pageTokens - 1) {
      // The tokens end with a full block. Where that is known its last token is to be computed, so the page is written again:
      // possible if nobody holds it.
      const page = this.#index.findBlock(chain, shared.length);
      if (page !== undefined && this.refs(page) === 0) return { shared, taken: page, numTokens: limit };
    }
    return { shared, taken: tail?.page, numTokens: before + (tail?.count ?? 0) };
  }

  /** Takes hold of what `find` found; nothing may have happened to the pool in between. */
  holdPrefix({ shared, taken }: Prefix): void {
    for (const page of shared) this.hold(page);
    if (taken !== undefined) this.takeOver(taken);
  }
}
