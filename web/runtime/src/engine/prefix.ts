// Which page holds which tokens: the tree behind the prefix cache. The keys and values of a page depend on all tokens before it, so
// a full page is found by the page before it and its own tokens: exactly, with no hash that two could share.

/** A known page, under the page that holds the tokens before its own. The root, before all tokens, has none. */
export class Block {
  readonly page: number;
  readonly #parent: Block | undefined;
  readonly #key: string;
  readonly #children = new Map<string, Block>();

  private constructor(page: number, parent: Block | undefined, key: string) {
    this.page = page;
    this.#parent = parent;
    this.#key = key;
  }

  static root(): Block {
    return new Block(-1, undefined, "");
  }

  /** The known page that holds these tokens after this one's. */
  find(tokens: readonly number[]): Block | undefined {
    return this.#children.get(tokens.join());
  }

  /** Says that `page` holds these tokens after this one's. A page already known for them stays so. */
  add(tokens: readonly number[], page: number): Block {
    const key = tokens.join();
    let child = this.#children.get(key);
    if (child === undefined) this.#children.set(key, (child = new Block(page, this, key)));
    return child;
  }

  /** Nobody finds this page any more, nor any that follows on it. */
  remove(): void {
    if (this.#parent === undefined) return;
    const siblings = this.#parent.#children;
    if (siblings.get(this.#key) === this) siblings.delete(this.#key);
  }
}
