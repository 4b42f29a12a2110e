// Events of one request, from who makes them to who reads them.

export class Inbox<Item> implements AsyncIterableIterator<Item> {
  readonly #items: Item[] = [];
  readonly #onLeave: () => void;
  #ended = false;
  #wake: (() => void) | undefined;

  /** @param onLeave called where the reader leaves before the end. */
  constructor(onLeave: () => void) {
    this.#onLeave = onLeave;
  }

  push(item: Item): void {
    this.#items.push(item);
    this.#wake?.();
  }

  end(): void {
    this.#ended = true;
    this.#wake?.();
  }

  async next(): Promise<IteratorResult<Item, undefined>> {
    while (this.#items.length === 0 && !this.#ended) await new Promise<void>((resolve) => (this.#wake = resolve));
    if (this.#items.length === 0) return { done: true, value: undefined };
    return { done: false, value: this.#items.shift()! };
  }

  async return(): Promise<IteratorResult<Item, undefined>> {
    this.#items.length = 0;
    if (!this.#ended) this.#onLeave();
    this.#items.length = 0;
    return { done: true, value: undefined };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}
