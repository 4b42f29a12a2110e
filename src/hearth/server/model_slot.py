"""The place of one model in a server: what it is called, whether it is in memory, who uses it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from hearth.bundle import Manifest
from hearth.embedder import Embedder
from hearth.llm import LLM
from hearth.server.model_card import ModelCard
from hearth.worker import ModelBroken, Worker


@dataclass(eq=False)
class OpenModel:
    """A language model in memory.

    Attributes:
        name: by which requests know it.
        created: when the server came to know it, in seconds since 1970.
    """

    name: str
    llm: LLM
    worker: Worker
    created: int

    @property
    def manifest(self) -> Manifest:
        return self.llm.info.manifest

    @property
    def broken(self) -> ModelBroken | None:
        """Why it cannot go on; None while it can."""
        return self.worker.broken

    @property
    def running(self) -> int:
        return self.worker.num_running

    @property
    def waiting(self) -> int:
        return self.worker.num_waiting

    async def close(self) -> None:
        """What still runs ends with an error."""
        await self.worker.close(drain_s=0.0)
        self.llm.close()


@dataclass(eq=False)
class OpenEncoder:
    """An encoder in memory, which any thread may ask.

    Attributes:
        name: by which requests know it.
        created: when the server came to know it, in seconds since 1970.
        running: requests that it computes.
    """

    name: str
    embedder: Embedder
    created: int
    running: int = 0
    waiting: int = 0
    broken: ModelBroken | None = None

    @property
    def manifest(self) -> Manifest:
        return self.embedder.info.manifest

    async def close(self) -> None:
        """What still runs ends with an error, after the batch that is being computed."""
        await asyncio.to_thread(self.embedder.close)


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
    opened: OpenModel | OpenEncoder | None = None
    users: int = 0
    last_used: int = 0
    free: asyncio.Event = field(default_factory=asyncio.Event)
    loading: asyncio.Task[OpenModel | OpenEncoder] | None = None
    closing: asyncio.Task[None] | None = None

    @property
    def size_bytes(self) -> int:
        """Memory it takes now."""
        return self.card.size_bytes or 0 if self.opened else 0

    @property
    def idle(self) -> bool:
        """Open, and nobody's."""
        return self.opened is not None and self.users == 0 and self.closing is None
