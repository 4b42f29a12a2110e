"""The place of one model in a server: what it is called, whether it is in memory, who uses it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from hearth.llm import LLM
from hearth.server.model_card import ModelCard
from hearth.worker import Worker


@dataclass(eq=False)
class OpenModel:
    """A model in memory.

    Attributes:
        name: by which requests know it.
        created: when the server came to know it, in seconds since 1970.
    """

    name: str
    llm: LLM
    worker: Worker
    created: int


@dataclass(eq=False)
class Slot:
    """A known model.

    Attributes:
        source: the name that opens it.
        users: who hold it, or wait for it to open.
        last_used: a number that grows from use to use.
        free: set while there are no users.
    """

    source: str
    card: ModelCard
    opened: OpenModel | None = None
    users: int = 0
    last_used: int = 0
    free: asyncio.Event = field(default_factory=asyncio.Event)
    loading: asyncio.Task[OpenModel] | None = None
    closing: asyncio.Task[None] | None = None

    @property
    def size_bytes(self) -> int:
        """Memory it takes now."""
        return self.card.size_bytes or 0 if self.opened else 0

    @property
    def idle(self) -> bool:
        """Open, and nobody's."""
        return self.opened is not None and self.users == 0 and self.closing is None
