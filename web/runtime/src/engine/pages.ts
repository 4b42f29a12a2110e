// Who uses which page of keys and values, and what pages hold that nobody uses any more: the prefix cache.
//
// A page is free, held by one or more sequences, or idle: nobody's, with a known beginning of a text in it. Full pages are
// shared, since they are never written again. Idle ones are given out again, longest unused first, when none is free.

/** What a page holds: tokens behind those of another page. Ids are never used twice, so that what followed a page which was
 * given out again is not found behind another one. */
export type PrefixId = number;
export const ROOT: PrefixId = 0;

interface Known {
  readonly key: string;
  readonly id: PrefixId;
}

export interface Found {
  readonly pages: number[];
  /** Of the last of them. */
  readonly id: PrefixId;
}

export class PagePool {
  readonly pageTokens: number;
  readonly #refs: Uint32Array;
  readonly #free: number[];
  readonly #idle = new Set<number>(); // longest unused first
  readonly #known = new Map<number, Known>(); // by page
  readonly #pages = new Map<string, number>(); // by key
  #nextId = ROOT + 1;

  constructor(numPages: number, pageTokens: number) {
    this.pageTokens = pageTokens;
    this.#refs = new Uint32Array(numPages);
    this.#free = Array.from({ length: numPages }, (_, i) => numPages - 1 - i);
  }

  /** Pages that `take` can still give out. */
  get available(): number {
    return this.#free.length + this.#idle.size;
  }

  /** Takes a hold of the pages that have the first of these tokens already, of at most `most` tokens. */
  find(tokens: readonly number[], most: number): Found {
    const pages: number[] = [];
    let id = ROOT;
    while ((pages.length + 1) * this.pageTokens <= most) {
      const page = this.#pages.get(this.#key(id, tokens, pages.length));
      if (page === undefined) break;
      if (this.#refs[page]!++ === 0) this.#idle.delete(page);
      pages.push(page);
      id = this.#known.get(page)!.id;
    }
    return { pages, id };
  }

  /** A page of one's own, its content unspecified; there must be one available. */
  take(): number {
    let page = this.#free.pop();
    if (page === undefined) {
      page = this.#idle.values().next().value!;
      this.#idle.delete(page);
      this.#pages.delete(this.#known.get(page)!.key);
      this.#known.delete(page);
    }
    this.#refs[page] = 1;
    return page;
  }

  /** Tells that a held page, the `index`-th of its sequence, is full; answers what the next one follows. */
  publish(page: number, parent: PrefixId, tokens: readonly number[], index: number): PrefixId {
    const key = this.#key(parent, tokens, index);
    const other = this.#pages.get(key);
    if (other !== undefined) return this.#known.get(other)!.id;
    const id = this.#nextId++;
    this.#known.set(page, { key, id });
    this.#pages.set(key, page);
    return id;
  }

  /** Gives up a sequence's pages. The last go first when room is needed: what comes before them is of use to more. */
  release(pages: readonly number[]): void {
    for (const page of [...pages].reverse()) {
      if (--this.#refs[page]! > 0) continue;
      if (this.#known.has(page)) this.#idle.add(page);
      else this.#free.push(page);
    }
  }

  #key(parent: PrefixId, tokens: readonly number[], index: number): string {
    const begin = index * this.pageTokens;
    return `${parent}:${tokens.slice(begin, begin + this.pageTokens).join()}`;
  }
}
