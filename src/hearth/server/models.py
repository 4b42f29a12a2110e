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
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TypeVar

from hearth.adapters import find_adapters
from hearth.embedder import Embedder
from hearth.errors import HearthError, ModelNotFound, UsageError
from hearth.image.spec import load_spec
from hearth.llm import LLM
from hearth.model.kinds import ENCODER, TEXT, VISION
from hearth.prepare import ANY_KIND, Progress, fetch, hub_progress, prepare
from hearth.prepare import Opened as Prepared
from hearth.server.budget import Budget
from hearth.server.grammar_trial import GrammarTrial
from hearth.server.model_card import ModelCard, described
from hearth.server.model_names import ModelNames, model_id
from hearth.server.model_settings import ModelSettings
from hearth.server.model_slot import Opened, OpenEncoder, OpenModel, OpenVision, Slot
from hearth.server.unopened import NoRoom, Unopened
from hearth.units import format_bytes
from hearth.vision import Vision
from hearth.worker import Closing, Worker

__all__ = ["ModelCard", "ModelSettings", "Models", "OpenEncoder", "OpenModel", "OpenVision", "model_id"]

log = logging.getLogger("hearth.server")

_UNLOAD_DRAIN_S = 30.0

OnProgress = Callable[[Progress], None]
M = TypeVar("M", OpenModel, OpenVision)
Open = Callable[[Slot, Prepared, OnProgress | None], Awaitable[Opened]]


class Models:
    """The models of one server.

    Args:
        names: as `LLM` takes them; the first one answers requests that name none.

    Raises:
        UsageError: two of them have the same name in requests.
    """

    def __init__(self, names: Sequence[str], settings: ModelSettings) -> None:
        self._settings = settings
        self._names = ModelNames(dict(settings.aliases))
        self._slots: dict[str, Slot] = {}  # by the name in requests
        self._budget = Budget(settings.memory_bytes, self._slots, lambda slot: self._close(slot, 0.0))
        self._clock = itertools.count(1)
        self._one_load = asyncio.Lock()
        self._shutting_down = False
        self._trial = GrammarTrial()
        self._adapters = {name: (place, scale) for name, place, scale in settings.adapters}
        self._openers: dict[str, Open] = {TEXT: self._open_text, ENCODER: self._open_encoder, VISION: self._open_vision}
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
        model, adapter = self._parted(name)
        card = self._card(self._find(model))
        return card if adapter is None else replace(card, id=f"{card.id}:{adapter}")

    def aliases(self) -> list[ModelCard]:
        """The cards again of models that have further names, under these."""
        listed = self._names.listed(self._known())
        return [replace(self._card(self._slots[name]), id=alias) for alias, name in listed.items()]

    def adapters(self) -> list[ModelCard]:
        """The card of the first model again for each of its adapters, as `MODEL:NAME`."""
        slot = self._slots.get(self.default or "")
        return [replace(self._card(slot), id=f"{slot.card.id}:{name}") for name in self._adapters] if slot else []

    def opened(self) -> list[OpenModel]:
        """The language models in memory."""
        return [slot.opened for slot in self._slots.values() if isinstance(slot.opened, OpenModel)]

    @asynccontextmanager
    async def use(self, name: str | None) -> AsyncIterator[OpenModel]:
        """The open language model, which stays open while it is used; opened first where it is not. `MODEL:ADAPTER` is
        one that answers with an adapter.

        Raises:
            UsageError: the model writes no text. Otherwise as `use_any`.
        """
        model, adapter = self._parted(name)
        async with self.use_any(model) as opened:
            language = _only(opened, OpenModel)
            yield language if adapter is None else language.with_adapter(adapter)

    @asynccontextmanager
    async def use_for_texts(self, name: str | None) -> AsyncIterator[OpenModel | OpenEncoder]:
        """An open model that texts can be given to, as `use`."""
        model, adapter = self._parted(name)
        async with self.use_any(model) as opened:
            if isinstance(opened, OpenEncoder):
                yield opened
            else:
                language = _only(opened, OpenModel)
                yield language if adapter is None else language.with_adapter(adapter)

    @asynccontextmanager
    async def use_for_pictures(self, name: str | None) -> AsyncIterator[OpenVision]:
        """An open model that looks at pictures, as `use`."""
        async with self.use_any(name) as opened:
            yield _only(opened, OpenVision)

    @asynccontextmanager
    async def use_any(self, name: str | None) -> AsyncIterator[Opened]:
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

    async def load(self, name: str, progress: OnProgress | None = None) -> Opened:
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
            kinds=ANY_KIND,
            progress=self._watched(progress),
            offline=settings.offline,
            memory_bytes=self._budget.limit_bytes,
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

    def _parted(self, name: str | None) -> tuple[str | None, str | None]:
        """The model that a name means, and the adapter, where it has one.

        Raises:
            ModelNotFound: it has an adapter that the model does not have.
        """
        model, colon, adapter = (name or "").rpartition(":")
        known = self._known()
        if not colon or not self._adapters or self._found(model, known) != self.default:
            return name, None
        if adapter in self._adapters:
            return model, adapter
        if self._found(name, known) is not None:  # a model of the hub may be called so, too
            return name, None
        names = ", ".join(f"{self.default}:{each}" for each in self._adapters)
        raise ModelNotFound(f"The model {self.default} has no adapter {adapter[:100]!r}.", hint=f"There are: {names}.")

    def _found(self, name: str | None, known: dict[str, str]) -> str | None:
        """`ModelNames.find`, or None."""
        try:
            return self._names.find(name, known)
        except ModelNotFound:
            return None

    def _given_adapters(self, source: str) -> dict[str, tuple[str, float]]:
        """The adapters of a model: those that were given are the first one's."""
        first = self._slots.get(self.default or "")
        return self._adapters if first is not None and first.source == source else {}

    def _known(self) -> dict[str, str]:
        return {name: slot.source for name, slot in self._slots.items()}

    def _card(self, slot: Slot) -> ModelCard:
        opened = slot.opened
        if opened is None or opened.broken is not None:
            return replace(slot.card, loaded=False)
        return replace(slot.card, loaded=True, running=opened.running, waiting=opened.waiting)

    async def _open(self, slot: Slot, progress: OnProgress | None = None) -> Opened:
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

    async def _load(self, slot: Slot, progress: OnProgress | None) -> Opened:
        begin = time.monotonic()
        try:
            async with self._one_load:
                if slot.opened is not None:  # broken
                    await self._close(slot, 0.0)
                prepared = await self._prepare(slot.source, progress)
                opened = await self._openers[prepared.kind](slot, prepared, progress)
                slot.opened = opened
                log.info(
                    "model %s opened in %.1f s: %s",
                    slot.card.id,
                    time.monotonic() - begin,
                    format_bytes(slot.size_bytes),
                )
                return opened
        finally:
            slot.loading = None

    async def _open_text(self, slot: Slot, prepared: Prepared, progress: OnProgress | None) -> OpenModel:
        kv_bytes = await self._budget.for_text(slot, prepared)
        llm = await asyncio.to_thread(self._open_llm, slot, kv_bytes, progress)
        card = await asyncio.to_thread(described, slot.card, llm)
        try:
            await self._budget.for_opened(slot, card.size_bytes or 0)
        except BaseException:
            llm.close()
            raise
        worker = Worker(llm, max_running=self._settings.max_seqs, max_waiting=self._settings.max_waiting)
        slot.card = card
        return OpenModel(card.id, llm, worker, card.created)

    async def _open_encoder(self, slot: Slot, prepared: Prepared, progress: OnProgress | None) -> OpenEncoder:
        needed = await self._budget.for_weights(slot, prepared)
        embedder = await asyncio.to_thread(
            Embedder,
            slot.source,
            threads=self._settings.threads,
            progress=self._watched(progress),
            **self._settings.preparing_encoder,
        )
        info = embedder.info
        task = "rank" if info.task == "classify" and len(info.labels) == 1 else info.task
        slot.card = replace(slot.card, context=info.max_tokens, size_bytes=needed, kind=ENCODER, task=task)
        return OpenEncoder(slot.card.id, embedder, slot.card.created)

    async def _open_vision(self, slot: Slot, prepared: Prepared, progress: OnProgress | None) -> OpenVision:
        needed = await self._budget.for_weights(slot, prepared)
        # Pictures that keep their shape would have a network compiled for each new one: whoever sends them would
        # choose what the server compiles. Here all are brought to the one size that the bundle has.
        spec = load_spec(prepared.bundle.path)
        vision = await asyncio.to_thread(
            Vision,
            slot.source,
            size=spec.size if spec.preprocess.size is None else None,
            threads=self._settings.threads,
            progress=self._watched(progress),
            **self._settings.preparing_vision,
        )
        slot.card = replace(slot.card, size_bytes=needed, kind=VISION, task=vision.info.task)
        return OpenVision(slot.card.id, vision, slot.card.created, max_waiting=self._settings.max_waiting)

    def _open_llm(self, slot: Slot, kv_bytes: int, progress: OnProgress | None) -> LLM:
        settings = self._settings
        llm = LLM(
            slot.source,
            threads=settings.threads,
            device=settings.device,
            gpu_layers=settings.gpu_layers,
            max_seqs=settings.max_seqs,
            repetition_stop=settings.repetition_stop,
            kv_bytes=kv_bytes,
            template=settings.template,
            context_overflow=settings.context_overflow,
            adapters=dict(self._given_adapters(slot.source)),
            progress=self._watched(progress),
            **settings.preparing,
        )
        llm.try_grammars(self._trial)
        return llm

    async def _prepare(self, name: str, progress: OnProgress | None) -> Prepared:
        return await asyncio.to_thread(self._prepare_here, name, self._watched(progress))

    def _prepare_here(self, name: str, progress: OnProgress) -> Prepared:
        offline = self._settings.offline
        found = find_adapters(self._given_adapters(name), offline=offline, progress=hub_progress(progress))
        return prepare(
            name,
            kinds=ANY_KIND,
            progress=progress,
            memory_bytes=self._budget.limit_bytes,
            adapters=tuple(str(adapter.path) for adapter in found) or None,
            **self._settings.preparing,
        )

    async def _close(self, slot: Slot, drain_s: float) -> None:
        if slot.closing is None and slot.opened is not None:
            slot.closing = asyncio.create_task(self._close_now(slot, slot.opened, drain_s))
        if slot.closing is not None:
            await asyncio.shield(slot.closing)

    async def _close_now(self, slot: Slot, opened: Opened, drain_s: float) -> None:
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


def _only(opened: Opened, kind: type[M]) -> M:
    """Raises UsageError where an open model is of another kind."""
    if not isinstance(opened, kind):
        raise UsageError(f"{opened.name} is {opened.what}.", hint=opened.instead)
    return opened


async def _until(free: asyncio.Event, users: int, timeout_s: float) -> None:
    if users and timeout_s > 0:
        try:
            await asyncio.wait_for(free.wait(), timeout_s)
        except TimeoutError:
            log.warning("%d users of a model did not finish in %.0f s", users, timeout_s)
