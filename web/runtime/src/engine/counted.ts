// Numbered places on the device and who holds them. Owns the reference counts, the free list and the order of eviction; knows places
// as numbers, never what is in them: that an index remembers, of pages it is in `prefix.ts`, of states in `checkpoints.ts`.
//
// A place is in exactly one of three states: free (nobody's, nothing worth keeping), held (by one or more sequences) or idle
// (nobody's, but the index knows what it holds). Idle places are evicted, longest unused first, when none is free.

/** What is known of the places of a pool. */
export interface Index {
  has(place: number): boolean;
  /** Forgets what the place holds, if it is known at all. */
  remove(place: number): void;
}

export class CountedPool {
  readonly #known: Index;
  readonly #refs: Int32Array;
  readonly #free: number[];
  readonly #idle = new Set<number>(); // longest unused first

  constructor(count: number, known: Index) {
    this.#known = known;
    this.#refs = new Int32Array(count);
    this.#free = Array.from({ length: count }, (_, i) => count - 1 - i); // taken from the end: place 0 first
  }

  /** Places that can still be given out, by eviction if need be. */
  get numAvailable(): number {
    return this.#free.length + this.#idle.size;
  }

  isIdle(place: number): boolean {
    return this.#idle.has(place);
  }

  /** One hold more on a place whose content is known. */
  hold(place: number): void {
    this.#idle.delete(place);
    this.#refs[place]!++;
  }

  /** Gives back one hold on each of some places, in the order of a sequence's tokens. */
  release(places: readonly number[]): void {
    // From the last to the first, so that the end of a prefix is evicted before its beginning.
    for (const place of [...places].reverse()) {
      if (--this.#refs[place]! > 0) continue;
      if (this.#known.has(place)) this.#idle.add(place);
      else this.#free.push(place);
    }
  }

  /** What these held places hold may be wrong: nobody shall find it. */
  forget(places: Iterable<number>): void {
    for (const place of places) this.#known.remove(place);
  }

  /** What all places hold is lost. */
  forgetAll(): void {
    this.forget(this.#refs.keys());
    this.#free.push(...this.#idle);
    this.#idle.clear();
  }

  protected get numFree(): number {
    return this.#free.length;
  }

  protected get numIdle(): number {
    return this.#idle.size;
  }

  protected refs(place: number): number {
    return this.#refs[place]!;
  }

  /** A place of one's own, its content unspecified; undefined if every one is held. */
  protected giveOut(): number | undefined {
    let place = this.#free.pop();
    if (place === undefined) {
      [place] = this.#idle;
      if (place === undefined) return undefined;
      this.#idle.delete(place);
      this.#known.remove(place);
    }
    this.#refs[place] = 1;
    return place;
  }

  /** Makes an idle place one's own: nobody shall find it, since it will be written. */
  protected takeOver(place: number): void {
    this.#known.remove(place);
    this.#idle.delete(place);
    this.#refs[place] = 1;
  }

  /** What an idle place holds is not worth keeping any more. */
  protected setFree(place: number): void {
    this.#idle.delete(place);
    this.#free.push(place);
  }
}
