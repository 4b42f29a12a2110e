"""The place of one model in a server: what it is called, whether it is in memory, who uses it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import ClassVar, TypeVar

from anyio.to_thread import run_sync

from hearth.bundle import Manifest
from hearth.embedder import Embedder
from hearth.llm import LLM
from hearth.server.model_card import ModelCard
from hearth.vision import Vision
from hearth.worker import Busy, ModelBroken, Worker

T = TypeVar("T")


@dataclass(eq=False)
class OpenModel:
    """A language model in memory.

    Attributes:
        what, instead: what it is and does not do, and what to ask it for, for who asked it for something else.
        name: by which requests know it.
        created: when the server came to know it, in seconds since 1970.
    """

    what: ClassVar = "a language model: it gives no labels and no boxes of pictures"
    instead: ClassVar = "Use /v1/chat/completions, or another model."
    name: str
    llm: LLM
    worker: Worker
    created: int

    def with_adapter(self, name: str) -> OpenModel:
        """The same model, answering with an adapter. Raises UsageError where it has none of this name."""
        return replace(self, name=f"{self.name}:{name}", llm=self.llm.with_adapter(name))

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

    what: ClassVar = "an encoder: it makes vectors, scores or labels of texts and writes none"
    instead: ClassVar = "Use /v1/embeddings or /v1/rerank, or another model."
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


class OpenVision:
    """A model that looks at pictures, in memory. It looks at one at a time: a picture may take as much memory as
    the model, and computing several side by side would not be faster.

    Attributes:
        name: by which requests know it.
        created: when the server came to know it, in seconds since 1970.
        running, waiting: requests.
    """

    what = "made to look at pictures: it writes no text and makes no vectors of texts"
    instead = "Use /v1/vision, or another model."
    broken: ModelBroken | None = None

    def __init__(self, name: str, vision: Vision, created: int, *, max_waiting: int) -> None:
        self.name = name
        self.vision = vision
        self.created = created
        self.running = self.waiting = 0
        self._max_waiting = max_waiting
        self._turn = asyncio.Lock()
        self._seconds = 1.0  # that a picture takes, smoothed

    @property
    def manifest(self) -> Manifest:
        return self.vision.info.manifest

    async def look(self, work: Callable[[Vision], T]) -> T:
        """What `work` gives, which is called in a thread when it is its turn.

        Raises:
            Busy: as many as may wait do so.
        """
        if self.waiting >= self._max_waiting and self._turn.locked():
            raise Busy(self.waiting, self._seconds * (1 + self.waiting))
        self.waiting += 1
        try:
            await self._turn.acquire()
        finally:
            self.waiting -= 1
        self.running = 1
        begin = time.monotonic()
        try:
            # The thread is waited for, whoever leaves: its picture is in memory until it ends.
            return await run_sync(work, self.vision)
        finally:
            self._seconds += 0.2 * (time.monotonic() - begin - self._seconds)
            self.running = 0
            self._turn.release()

    async def close(self) -> None:
        """Waits for the picture that is looked at."""
        await asyncio.to_thread(self.vision.close)


Opened = OpenModel | OpenEncoder | OpenVision


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
    opened: Opened | None = None
    users: int = 0
    last_used: int = 0
    free: asyncio.Event = field(default_factory=asyncio.Event)
    loading: asyncio.Task[Opened] | None = None
    closing: asyncio.Task[None] | None = None

    @property
    def size_bytes(self) -> int:
        """Memory it takes now."""
        return self.card.size_bytes or 0 if self.opened else 0

    @property
    def idle(self) -> bool:
        """Open, and nobody's."""
        return self.opened is not None and self.users == 0 and self.closing is None
