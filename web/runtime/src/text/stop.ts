// Stop strings: an answer ends where one appears, wherever the borders between tokens fall.

import { HearthError } from "../errors.ts";

const MAX_STOPS = 64;
const MAX_STOP_LENGTH = 4096;

/**
 * Watches one answer. Text that may turn out to be the beginning of a stop string is held back until that is decided, so nothing of a
 * stop string is ever shown. Where several match, the one that begins first counts, and of two that begin together the shorter: so a
 * text ends at the same place however it was cut into pieces.
 */
export class StopStrings {
  readonly #stops: readonly string[];
  #held = "";
  /** The stop string that ended the answer. Neither it nor what follows belong to the answer. */
  found: string | undefined;

  constructor(stops: readonly string[]) {
    if (stops.length > MAX_STOPS || stops.some(({ length }) => length === 0 || length > MAX_STOP_LENGTH)) {
      throw new HearthError("usage", `Up to ${MAX_STOPS} stop strings of 1 to ${MAX_STOP_LENGTH} characters are possible.`);
    }
    this.#stops = stops;
  }

  /** The part of the answer that is settled by this text. After a stop string, always "". */
  push(text: string): string {
    if (this.found !== undefined) return "";
    if (this.#stops.length === 0) return text;
    this.#held += text;
    const settled = this.#held.length - this.#undecided();
    const hit = this.#earliest();
    // Another may have begun before a hit.
    if (hit === undefined || settled < hit.at) return this.#release(settled);
    return this.#end(hit);
  }

  /** What was held back and became no stop string; may find one that waited for another. */
  finish(): string {
    const hit = this.found === undefined ? this.#earliest() : undefined;
    return hit === undefined ? this.#release(this.#held.length) : this.#end(hit);
  }

  #end({ at, stop }: { at: number; stop: string }): string {
    const settled = this.#release(at);
    this.found = stop;
    this.#held = "";
    return settled;
  }

  #earliest(): { at: number; stop: string } | undefined {
    const hits = this.#stops.map((stop) => ({ at: this.#held.indexOf(stop), stop })).filter(({ at }) => at >= 0);
    return hits.sort((a, b) => a.at - b.at || a.stop.length - b.stop.length)[0];
  }

  #release(count: number): string {
    const settled = this.#held.slice(0, count);
    this.#held = this.#held.slice(count);
    return settled;
  }

  /** Length of the longest end of the text that some stop string begins with and goes on after. */
  #undecided(): number {
    const longest = Math.max(...this.#stops.map(({ length }) => length)) - 1;
    for (let length = Math.min(this.#held.length, longest); length > 0; length--) {
      const tail = this.#held.slice(-length);
      if (this.#stops.some((stop) => stop.length > length && stop.startsWith(tail))) return length;
    }
    return 0;
  }
}
