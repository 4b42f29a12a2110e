// Which page holds which tokens: the tree behind the prefix cache. Knows nothing of who uses a page or when it is freed (`pages.ts`).
// The keys and values of a page depend on all tokens before it, so a full page is found by the blocks before it and its own tokens:
// exactly, with no hash that two could share. A page that a finished sequence left partly filled is a tail of the blocks before it.

/** The full blocks of some text up to here, under those up to the block before. */
class Block {
  /** That holds the last of them; undefined where no page does any more, but something that follows is known. */
  page: number | undefined;
  readonly children = new Map<string, Block>();
  /** Tokens by the pages that are left with them, which are fewer than a block. */
  readonly tails = new Map<number, readonly number[]>();
  isInTree = true;
  readonly #parent: Block | undefined;
  readonly #key: string;

  constructor(parent?: Block, key = "") {
    this.#parent = parent;
    this.#key = key;
  }

  child(key: string): Block {
    let child = this.children.get(key);
    if (child === undefined) this.children.set(key, (child = new Block(this, key)));
    return child;
  }

  /** Goes out of the tree where nothing is known here or behind any more. */
  prune(): void {
    if (this.#parent === undefined || this.page !== undefined || this.children.size + this.tails.size > 0) return;
    this.isInTree = false;
    this.#parent.children.delete(this.#key);
    this.#parent.prune();
  }
}

/** One list of tokens as a way through the tree, which is walked once. The list may grow at its end, and not change before. */
export class Chain {
  readonly tokens: readonly number[];
  readonly #pageTokens: number;
  readonly #way: Block[];

  /** Made by `PrefixIndex.chain`. */
  constructor(root: Block, tokens: readonly number[], pageTokens: number) {
    this.#way = [root];
    this.tokens = tokens;
    this.#pageTokens = pageTokens;
  }

  /** The first so many full blocks, as far as something is known of them. */
  find(numBlocks: number): Block | undefined {
    for (let last = this.#known(numBlocks); last < numBlocks; last++) {
      const next = this.#way[last]!.children.get(this.#key(last));
      if (next === undefined) return undefined;
      this.#way[last + 1] = next;
    }
    return this.#way[numBlocks];
  }

  /** The same, of which something is about to be known. */
  make(numBlocks: number): Block {
    for (let last = this.#known(numBlocks); last < numBlocks; last++) this.#way[last + 1] = this.#way[last]!.child(this.#key(last));
    return this.#way[numBlocks]!;
  }

  /** Tokens of a block, or its first `count`. */
  block(index: number, count = this.#pageTokens): readonly number[] {
    return this.tokens.slice(index * this.#pageTokens, index * this.#pageTokens + count);
  }

  /** Up to `most`, so many blocks of the way that was walked are in the tree yet. */
  #known(most: number): number {
    let last = Math.min(most, this.#way.length - 1);
    while (!this.#way[last]!.isInTree) last--; // the root always is
    return last;
  }

  #key(index: number): string {
    return this.block(index).join();
  }
}

/** Pages by what they hold. A page is in it at most once. */
export class PrefixIndex {
  readonly #pageTokens: number;
  readonly #root = new Block();
  readonly #places = new Map<number, Block>();

  constructor(pageTokens: number) {
    this.#pageTokens = pageTokens;
  }

  chain(tokens: readonly number[]): Chain {
    return new Chain(this.#root, tokens, this.#pageTokens);
  }

  has(page: number): boolean {
    return this.#places.has(page);
  }

  /** Says that a page holds full block `index` of the chain. A page already known for the block stays so. */
  addBlock(page: number, chain: Chain, index: number): void {
    const block = chain.make(index + 1);
    if (block.page !== undefined || this.has(page)) return block.prune();
    block.page = page;
    this.#places.set(page, block);
  }

  /** Says that a page holds the first `count` tokens of block `index`, and belongs to nobody. */
  addTail(page: number, chain: Chain, index: number, count: number): void {
    const block = chain.make(index);
    block.tails.set(page, chain.block(index, count));
    this.#places.set(page, block);
  }

  /** Forgets what a page holds, if it is known at all. */
  remove(page: number): void {
    const block = this.#places.get(page);
    if (block === undefined) return;
    this.#places.delete(page);
    if (!block.tails.delete(page)) block.page = undefined;
    block.prune();
  }

  /** The page that holds full block `index`, after the same tokens before it. */
  findBlock(chain: Chain, index: number): number | undefined {
    return chain.find(index + 1)?.page;
  }

  /**
   * The longest tail that block `index` of the chain goes on from, of which at most `most` tokens are compared. It fits only if all of
   * its tokens, or all `most`, are equal: taking one over for less would cost its conversation more than it saves here.
   */
  findTail(chain: Chain, index: number, most: number): { readonly page: number; readonly count: number } | undefined {
    let best: { page: number; count: number } | undefined;
    const wanted = chain.block(index, most);
    for (const [page, tokens] of chain.find(index)?.tails ?? []) {
      const count = Math.min(tokens.length, most);
      if (count > (best?.count ?? 0) && beginSame(tokens, wanted, count)) best = { page, count };
    }
    return best;
  }

  /** The tail that is the first `count` tokens of block `index` of the chain, and no more. */
  findWholeTail(chain: Chain, index: number, count: number): number | undefined {
    const wanted = chain.block(index, count);
    for (const [page, tokens] of chain.find(index)?.tails ?? []) {
      if (tokens.length === count && beginSame(tokens, wanted, count)) return page;
    }
    return undefined;
  }
}

/** Whether two lists begin with the same `count` tokens. */
export function beginSame(mine: ArrayLike<number>, theirs: ArrayLike<number>, count: number): boolean {
  if (mine.length < count || theirs.length < count) return false;
  for (let i = count - 1; i >= 0; i--) if (mine[i] !== theirs[i]) return false; // texts that are told apart differ at their ends
  return true;
}
