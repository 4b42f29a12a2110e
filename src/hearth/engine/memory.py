"""What the device holds of all texts: `DeviceMemory`, pages of keys and values and slots of state.

Owns what a known beginning is. Pages alone are one where a model has no state; else there has to be the state after
exactly their tokens too, since a state cannot be cut.
"""

from __future__ import annotations

from hearth.engine.pages import PagePool, Prefix
from hearth.engine.prefix import HashChain
from hearth.engine.states import StatePool


class DeviceMemory:
    """Both pools of a session.

    Args:
        num_pages, num_slots: that the session has.
        page_tokens: tokens in a page.
        prefix_cache: whether to remember what nobody holds any more.

    Attributes:
        pages: of keys and values.
        states: slots; none where the model has no state.
    """

    def __init__(self, num_pages: int, page_tokens: int, num_slots: int, *, prefix_cache: bool = True) -> None:
        self.pages = PagePool(num_pages, page_tokens, prefix_cache=prefix_cache)
        self.states = StatePool(num_slots, prefix_cache=prefix_cache)

    def find(self, chain: HashChain) -> Prefix:
        """The longest known beginning of the chain's tokens, but for the last token: its logits are still wanted."""
        if not self.states.num_slots:
            return self.pages.find(chain)
        limit, page_tokens = len(chain.tokens) - 1, self.pages.page_tokens
        shared = self.pages.find_full(chain)
        for index in range(len(shared), -1, -1):
            for length in self.states.lengths(chain, index):
                slot = self.states.find(chain, length) if length <= limit else None
                tail = length - index * page_tokens
                page = self.pages.find_tail(chain, index, tail) if tail else None
                # The tail of a page goes with the state that was left with it, or neither is of use.
                if slot is not None and (page is not None or not tail):
                    return Prefix(tuple(shared[:index]), page, length, slot)
        return Prefix()

    @property
    def has_slot(self) -> bool:
        """Whether a sequence that begins now, from any prefix, would have a slot of its own."""
        # Where the only one that nobody holds is the checkpoint itself, the sequence writes over it.
        return not self.states.num_slots or self.states.num_available > 0

    def forget_everything(self) -> None:
        """Nothing is held any more, and nothing known."""
        self.pages.forget_everything()
        self.states.forget_everything()

    def release_everything(self) -> None:
        """Nothing is held any more; what is known stays known. Mends both pools after an interrupt."""
        self.pages.release_everything()
        self.states.release_everything()
