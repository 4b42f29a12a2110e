// What the device holds of all texts: pages of keys and values, and slots of state. Owns what a known beginning is: pages alone are one
// where a model has no state; else there has to be the state after exactly their tokens, too, since a state cannot be cut.

import { NO_PREFIX, PagePool, type Prefix } from "./pages.ts";
import type { Chain } from "./prefix.ts";
import { StatePool } from "./states.ts";

export class DeviceMemory {
  readonly pages: PagePool;
  /** None where the model has no state. */
  readonly states: StatePool;

  constructor(numPages: number, pageTokens: number, numSlots: number) {
    this.pages = new PagePool(numPages, pageTokens);
    this.states = new StatePool(numSlots);
  }

  /** The longest known beginning of the chain's tokens, but for the last token: its logits are still wanted. */
  find(chain: Chain): Prefix {
    if (this.states.numSlots === 0) return this.pages.find(chain);
    const { pageTokens } = this.pages;
    const shared = this.pages.findFull(chain);
    for (const { slot, length } of this.states.along(chain.tokens)) {
      const full = Math.floor(length / pageTokens);
      if (length >= chain.tokens.length || full > shared.length) continue;
      const tail = length % pageTokens;
      const taken = tail > 0 ? this.pages.findWholeTail(chain, full, tail) : undefined;
      // The tail of a page goes with the state that was left with it, or neither is of use.
      if (tail === 0 || taken !== undefined) return { shared: shared.slice(0, full), taken, numTokens: length, slot };
    }
    return NO_PREFIX;
  }

  /** Whether a sequence that begins now, from any prefix, would have a slot of its own: where the only one that nobody holds is the
   * checkpoint itself, the sequence writes over it. */
  get hasSlot(): boolean {
    return this.states.numSlots === 0 || this.states.numAvailable > 0;
  }

  /** All that is held and known is lost. */
  forgetAll(): void {
    this.pages.forgetAll();
    this.states.forgetAll();
  }
}
