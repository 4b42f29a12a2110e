"""Which models a server has, and which of them are in memory: `Models`.

Owns opening and closing: within a memory budget, one load at a time, the longest unused one closed first, none closed
that somebody uses. What a model does while it is open is its worker's (`worker.py`). Only names that were given at the
start, or added by whoever runs the server, are known; a name out of a request is looked up among these and is nothing
else, neither a path nor something to download.

All methods belong to one event loop.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

from hearth.embedder import Embedder
from hearth.errors import HearthError, UsageError
from hearth.llm import LLM
from hearth.model.kinds import ENCODER, TEXT
from hearth.prepare import Opened, Progress, fetch, prepare
from hearth.runtime import available_bytes
from hearth.server.grammar_trial import GrammarTrial
from hearth.server.model_card import ModelCard, described
from hearth.server.model_names import ModelNames, model_id
from hearth.server.model_settings import ModelSettings
from hearth.server.model_slot import OpenEncoder, OpenModel, Slot
from hearth.server.unopened import NoRoom, Unopened
from hearth.units import format_bytes
from hearth.worker import Closing, Worker

__all__ = ["ModelCard", "ModelSettings", "Models", "OpenEncoder", "OpenModel", "model_id"]

log = logging.getLogger("hearth.server")

_BUDGET_SHARE = 0.7  # of the memory that is free at the start
_KV_SHARE = 0.25  # of the budget, for the keys and values of one model
_BATCH_BYTES, _TABLE_BYTES_PER_TOKEN = 1 << 20, 16  # of a session beside its arena, roughly, until it is open
_UNLOAD_DRAIN_S = 30.0
_KINDS = (ENCODER, TEXT)

OnProgress = Callable[[Progress], None]


class Models:
    """The models of one server.

    Args:
        names: as `LLM` takes them; the first one answers requests that name none.

    Raises:
        UsageError: two of them have the same name in requests.
    """

    def __init__(self, names: Sequence[str], settings: ModelSettings) -> None:
        self._settings = settings
        self._budget_bytes = settings.memory_bytes or int(_BUDGET_SHARE * (available_bytes() or 1 << 62))
        self._names = ModelNames(dict(settings.aliases))
        self._slots: dict[str, Slot] = {}  # by the name in requests
        self._clock = itertools.count(1)
        self._one_load = asyncio.Lock()
        self._shutting_down = False
        self._trial = GrammarTrial()
        for name in names:
            if self.add(name).source != name:
                raise UsageError(f"Two models are called {model_id(name)} in requests.", hint="Rename one of them.")
        self._names.check(self._known())

    def add(self, name: str) -> Slot:
        """Makes a model known. One that is known under this name already stays."""
        known = model_id(name)
        return self._slots.setdefault(known, Slot(name, ModelCard(known, created=int(time.time()))))

    def forget(self, name: str) -> None:
        """Makes a model unknown again, if it is not in use, open or about to be."""
        slot = self._slots.get(model_id(name))
        if slot is not None and not (slot.users or slot.opened or slot.loading):
            del self._slots[slot.card.id]

    @property
    def default(self) -> str | None:
        """The model of requests that name none."""
        return next(iter(self._slots), None)

    def cards(self) -> list[ModelCard]:
        """All known models."""
        return [self._card(slot) for slot in self._slots.values()]

    def card(self, name: str) -> ModelCard:
        """That of the model that a name means. Raises ModelNotFound."""
        return self._card(self._find(name))

    def aliases(self) -> list[ModelCard]:
        """The cards again of models that have further names, under these."""
        listed = self._names.listed(self._known())
        return [replace(self._card(self._slots[name]), id=alias) for alias, name in listed.items()]

    def opened(self) -> list[OpenModel]:
        """The language models in memory."""
        return [slot.opened for slot in self._slots.values() if isinstance(slot.opened, OpenModel)]

    @asynccontextmanager
    async def use(self, name: str | None) -> AsyncIterator[OpenModel]:
        """The open language model, which stays open while it is used; opened first where it is not.

        Raises:
            UsageError: the model writes no text. Otherwise as `use_any`.
        """
        async with self.use_any(name) as opened:
            if isinstance(opened, OpenEncoder):
                raise UsageError(
                    f"{opened.name} is an encoder: it makes vectors, scores or labels of texts and writes none.",
                    hint="Use /v1/embeddings or /v1/rerank, or another model.",
                )
            yield opened

    @asynccontextmanager
    async def use_any(self, name: str | None) -> AsyncIterator[OpenModel | OpenEncoder]:
        """The open model, whatever kind it is, which stays open while it is used; opened first where it is not.

        Raises:
            ModelNotFound: no model is known by this name. NoRoom: the budget has no room for it, and no idle model can
            go. Closing: the server shuts down. Unopened: anything else that keeps it from opening.
        """
        slot = self._find(name)
        slot.users += 1
        slot.free.clear()
        try:
            try:
                opened = await self._open(slot)
            except (Closing, NoRoom):
                raise
            except HearthError as error:
                log.error("model %s cannot be opened: %s", slot.card.id, error)
                raise Unopened(slot.card.id, error) from error
            yield opened
        finally:
            slot.users -= 1
            slot.last_used = next(self._clock)
            if slot.users == 0:
                slot.free.set()

    async def load(self, name: str, progress: OnProgress | None = None) -> OpenModel | OpenEncoder:
        """Opens a known model if it is not open.

        Args:
            progress: told of download, compilation and loading, in another thread, if this call begins them.

        Raises:
            As `use`, but for Unopened: what `LLM` raises as it is.
        """
        slot = self._find(name)
        slot.last_used = next(self._clock)
        return await self._open(slot, progress)

    async def fetch(self, name: str, progress: OnProgress | None = None) -> str:
        """Finds a model of the hub, or downloads it.

        Returns:
            The one name that it goes by when it is here: which of several GGUF files was taken.

        Raises:
            As `prepare.fetch`.
        """
        settings = self._settings
        source = await asyncio.to_thread(
            fetch,
            name,
            kinds=_KINDS,
            progress=self._watched(progress),
            offline=settings.offline,
            memory_bytes=self._budget_bytes,
            **settings.wanted,
        )
        return source.name

    async def get(self, name: str, progress: OnProgress | None = None) -> str:
        """Downloads and compiles a model, known or not, without opening it.

        Args:
            progress: as `load`; what it raises ends it.

        Returns:
            As `fetch`.

        Raises:
            Whatever `prepare.fetch` and `prepare` raise.
        """
        found = await self.fetch(name, progress)
        async with self._one_load:  # downloads come side by side; the compiler does one thing at a time
            await self._prepare(found, progress)
        return found

    async def unload(self, name: str, drain_s: float = _UNLOAD_DRAIN_S) -> None:
        """Closes a model. Its users may finish for `drain_s` seconds, then their streams are cancelled; who asks for it
        meanwhile waits, and opens it again."""
        slot = self._find(name)
        if slot.loading is not None:
            await asyncio.wait([slot.loading])
        await self._close(slot, drain_s)

    async def close(self, drain_s: float) -> None:
        """Shuts down: nothing is opened any more, streams may end for `drain_s` seconds, then all is closed."""
        self._shutting_down = True
        loading = [slot.loading for slot in self._slots.values() if slot.loading is not None]
        if loading:
            await asyncio.wait(loading)
        await asyncio.gather(*(self._close(slot, drain_s) for slot in self._slots.values()))
        await asyncio.to_thread(self._trial.close)

    # -- inside --------------------------------------------------------------------------------------------------

    def _find(self, name: str | None) -> Slot:
        return self._slots[self._names.find(name, self._known())]

    def _known(self) -> dict[str, str]:
        return {name: slot.source for name, slot in self._slots.items()}

    def _card(self, slot: Slot) -> ModelCard:
        opened = slot.opened
        if opened is None or opened.broken is not None:
            return replace(slot.card, loaded=False)
        return replace(slot.card, loaded=True, running=opened.running, waiting=opened.waiting)

    async def _open(self, slot: Slot, progress: OnProgress | None = None) -> OpenModel | OpenEncoder:
        while True:
            if slot.closing is not None:
                await asyncio.wait([slot.closing])
                continue
            if self._shutting_down:
                raise Closing("The server is shutting down.")
            if slot.opened is not None and slot.opened.broken is None:
                return slot.opened
            if slot.loading is None:
                slot.loading = asyncio.create_task(self._load(slot, progress))
            # A caller who goes away does not end the loading: others may wait for it too.
            return await asyncio.shield(slot.loading)

    async def _load(self, slot: Slot, progress: OnProgress | None) -> OpenModel | OpenEncoder:
        begin = time.monotonic()
        try:
            async with self._one_load:
                if slot.opened is not None:  # broken
                    await self._close(slot, 0.0)
                prepared = await self._prepare(slot.source, progress)
                if prepared.kind == ENCODER:
                    slot.opened = await self._load_encoder(slot, prepared, progress)
                    log.info("model %s opened in %.1f s", slot.card.id, time.monotonic() - begin)
                    return slot.opened
                kv_bytes = await self._make_room(slot, prepared)
                llm = await asyncio.to_thread(self._open_llm, slot, kv_bytes, progress)
                card = await asyncio.to_thread(described, slot.card, llm)
                try:
                    await self._fit(slot, card)
                except BaseException:
                    llm.close()
                    raise
                worker = Worker(llm, max_running=self._settings.max_seqs, max_waiting=self._settings.max_waiting)
                slot.card = card
                slot.opened = OpenModel(card.id, llm, worker, card.created)
                log.info(
                    "model %s opened in %.1f s: %s, context %d",
                    card.id,
                    time.monotonic() - begin,
                    format_bytes(slot.size_bytes),
                    card.context,
                )
                return slot.opened
        finally:
            slot.loading = None

    async def _load_encoder(self, slot: Slot, prepared: Opened, progress: OnProgress | None) -> OpenEncoder:
        facts = prepared.bundle.manifest.facts
        needed = facts.weights_bytes + facts.arena_bytes + _BATCH_BYTES
        await self._evict(needed)
        if self._used_bytes() + needed > self._budget_bytes:
            raise self._no_room(slot, needed)
        embedder = await asyncio.to_thread(
            Embedder,
            slot.source,
            threads=self._settings.threads,
            progress=self._watched(progress),
            **self._settings.preparing_encoder,
        )
        slot.card = replace(slot.card, context=embedder.info.max_tokens, size_bytes=needed)
        return OpenEncoder(slot.card.id, embedder, slot.card.created)

    def _open_llm(self, slot: Slot, kv_bytes: int, progress: OnProgress | None) -> LLM:
        settings = self._settings
        llm = LLM(
            slot.source,
            threads=settings.threads,
            max_seqs=settings.max_seqs,
            repetition_stop=settings.repetition_stop,
            kv_bytes=kv_bytes,
            template=settings.template,
            context_overflow=settings.context_overflow,
            progress=self._watched(progress),
            **settings.preparing,
        )
        llm.try_grammars(self._trial)
        return llm

    async def _make_room(self, slot: Slot, opened: Opened) -> int:
        """Closes idle models until this one fits, before its memory is taken. Returns bytes for its keys and values.

        Raises:
            NoRoom: it does not fit.
        """
        facts = opened.bundle.manifest.facts
        batch_bytes = _BATCH_BYTES + _TABLE_BYTES_PER_TOKEN * opened.bundle.manifest.language.context_max
        fixed_bytes = facts.weights_bytes + facts.arena_bytes + batch_bytes
        kv_bytes = int(_KV_SHARE * self._budget_bytes)
        await self._evict(fixed_bytes + kv_bytes)
        left_bytes = self._budget_bytes - self._used_bytes() - fixed_bytes
        if left_bytes <= 0:
            raise self._no_room(slot, fixed_bytes)
        return min(kv_bytes, left_bytes)

    async def _prepare(self, name: str, progress: OnProgress | None) -> Opened:
        return await asyncio.to_thread(
            prepare,
            name,
            kinds=_KINDS,
            progress=self._watched(progress),
            memory_bytes=self._budget_bytes,
            **self._settings.preparing,
        )

    async def _fit(self, slot: Slot, card: ModelCard) -> None:
        """The same, now that its size is known."""
        size_bytes = card.size_bytes or 0
        await self._evict(size_bytes)
        if self._used_bytes() + size_bytes > self._budget_bytes:
            raise self._no_room(slot, size_bytes)

    async def _evict(self, wanted_bytes: int) -> None:
        """Closes the longest unused idle models until so much of the budget is free, or none is left."""
        while self._used_bytes() + wanted_bytes > self._budget_bytes:
            idle = [slot for slot in self._slots.values() if slot.idle]
            if not idle:
                return
            oldest = min(idle, key=lambda slot: slot.last_used)
            log.info("model %s is closed to make room", oldest.card.id)
            await self._close(oldest, 0.0)

    def _used_bytes(self) -> int:
        return sum(slot.size_bytes for slot in self._slots.values())

    def _no_room(self, slot: Slot, size_bytes: int) -> NoRoom:
        busy = [other.card.id for other in self._slots.values() if other.opened is not None]
        return NoRoom(
            f"{slot.card.id} takes {format_bytes(size_bytes)}; the models of this server may take"
            f" {format_bytes(self._budget_bytes)} together.",
            why=f"In use: {', '.join(busy)}." if busy else "",
            hint="Try again later, or start the server with more --memory."
            if busy
            else "Start it with more --memory, or take a smaller model, format or context.",
        )

    async def _close(self, slot: Slot, drain_s: float) -> None:
        if slot.closing is None and slot.opened is not None:
            slot.closing = asyncio.create_task(self._close_now(slot, slot.opened, drain_s))
        if slot.closing is not None:
            await asyncio.shield(slot.closing)

    async def _close_now(self, slot: Slot, opened: OpenModel | OpenEncoder, drain_s: float) -> None:
        try:
            if opened.broken is None:
                await _until(slot.free, slot.users, drain_s)
            await opened.close()
            slot.opened = None
            log.info("model %s closed", slot.card.id)
        finally:
            slot.closing = None

    def _watched(self, progress: OnProgress | None) -> OnProgress:
        """Tells of progress, and ends the opening when the server shuts down."""

        def report(step: Progress) -> None:
            if self._shutting_down:
                raise Closing("The server is shutting down.")
            if progress is not None:
                progress(step)

        return report


async def _until(free: asyncio.Event, users: int, timeout_s: float) -> None:
    if users and timeout_s > 0:
        try:
            await asyncio.wait_for(free.wait(), timeout_s)
        except TimeoutError:
            log.warning("%d users of a model did not finish in %.0f s", users, timeout_s)
