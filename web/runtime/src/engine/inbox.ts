// What is told of one request, from who makes it to who reads it.

export class Inbox<Item> implements AsyncIterableIterator<Item> {
  readonly #items: Item[] = [];
  readonly #onLeave: () => void;
  #ended = false;
  #error: Error | undefined;
  #wake: (() => void) | undefined;

  /** @param onLeave called where the reader leaves before the end. */
  constructor(onLeave: () => void) {
    this.#onLeave = onLeave;
  }

  push(item: Item): void {
    this.#items.push(item);
    this.#wake?.();
  }

  /** Nothing follows. */
  end(...last: Item[]): void {
    this.#items.push(...last);
    this.#ended = true;
    this.#wake?.();
  }

  /** The reader gets what is there, then this error. */
  fail(error: Error): void {
    this.#error = error;
    this.end();
  }

  async next(): Promise<IteratorResult<Item, undefined>> {
    while (this.#items.length === 0 && !this.#ended) await new Promise<void>((resolve) => (this.#wake = resolve));
    if (this.#items.length > 0) return { done: false, value: this.#items.shift()! };
    const error = this.#error;
    this.#error = undefined;
    if (error !== undefined) throw error;
    return { done: true, value: undefined };
  }

  async return(): Promise<IteratorResult<Item, undefined>> {
    if (!this.#ended) this.#onLeave();
    this.#ended = true;
    this.#error = undefined;
    this.#items.length = 0;
    return { done: true, value: undefined };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}
