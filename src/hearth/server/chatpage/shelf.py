"""The models that the page offers: those that the server was started with, and what is on the disk now.

The disk is looked at each time the page asks, so what a shell has pulled or removed meanwhile is there or gone. What a
model is (format, memory, whether Hearth runs it) is read from its headers once, in a thread, while the page shows the
names.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

from anyio.to_thread import run_sync

from hearth.engine import SamplingParams
from hearth.errors import CorruptFile, HearthError, Unsupported
from hearth.fit import verdict
from hearth.hub import Installed, installed, list_models
from hearth.measure import EncoderDescription, TextDescription, VisionDescription, describe
from hearth.server.chatpage.schema import ModelLine, ModelLines
from hearth.server.models import ModelCard, Models

_SAMPLING = ("temperature", "top_p", "min_p", "top_k", "repetition_penalty")
_MOST_NAMED = 2  # formats of a file of many: the first ones hold nearly all of it


@dataclass(frozen=True)
class Facts:
    """What a model's headers say.

    Attributes:
        problem: the kind of error that opening it would end in; "" where it can be opened.
    """

    format: str = ""
    memory_bytes: int | None = None
    context: int | None = None
    problem: str = ""
    made_for: str | None = None
    task: str | None = None
    sees: bool | None = None


class Shelf:
    """The models of one page."""

    def __init__(self, models: Models) -> None:
        self._models = models
        self._on_disk: dict[str, Installed] = {}
        self._seen: set[str] = set()  # names that have been on the disk
        self._facts: dict[tuple[str, Path, int], Facts] = {}
        self._looking: asyncio.Task[None] | None = None

    async def lines(self) -> ModelLines:
        """All that can be chosen, the default first; some facts may still be missing."""
        await self.look()
        cards = self._models.cards()
        unknown = [found for found in self._on_disk.values() if _key(found) not in self._facts]
        if unknown and (self._looking is None or self._looking.done()):
            self._looking = asyncio.create_task(self._look_into(unknown))
        return ModelLines(models=[self._line(card) for card in cards], looking=bool(unknown))

    async def look(self) -> None:
        """Makes known what is on the disk, and forgets what no longer is."""
        try:
            found = {one.name: one for one in await run_sync(list_models) if one.complete}
        except HearthError:
            return  # what is known stays
        for name in found.keys() - self._on_disk.keys():
            self._models.add(name)
        self._seen |= found.keys()
        for name in self._seen - found.keys():
            self._models.forget(name)  # unless it is open: then it can be used until it is closed
        self._on_disk = found

    async def _look_into(self, models: list[Installed]) -> None:
        for found in models:
            self._facts[_key(found)] = await run_sync(_facts, found.name)

    def _line(self, card: ModelCard) -> ModelLine:
        found = self._on_disk.get(card.id)
        facts = (self._facts.get(_key(found)) if found else None) or Facts()
        memory_bytes = card.size_bytes or facts.memory_bytes
        fits = None if memory_bytes is None or card.loaded else verdict(memory_bytes) in (None, "fits")
        opened = next((one for one in self._models.opened() if one.name == card.id), None)
        return ModelLine(
            name=card.id,
            loaded=card.loaded,
            context=card.context or facts.context,
            memory_bytes=memory_bytes,
            disk_bytes=found.size_bytes if found else None,
            format=facts.format or None,
            fits=fits,
            problem=facts.problem,
            thinking=card.thinking,
            tools=card.tools,
            sampling=_numbers(opened.llm.info.sampling) if opened else None,
            made_for=card.kind or facts.made_for,
            task=card.task or facts.task,
            sees=card.sees if card.kind is not None else facts.sees,
        )


def _numbers(sampling: SamplingParams) -> dict[str, float]:
    return {name: getattr(sampling, name) for name in _SAMPLING}


def _key(found: Installed) -> tuple[str, Path, int]:
    return found.name, found.path, found.size_bytes


def _facts(name: str) -> Facts:
    try:
        about = describe(installed(name))
    except HearthError as error:
        return Facts(problem=type(error).__name__)
    formats = ", ".join(list(about.source_formats)[:_MOST_NAMED])
    match about:
        case TextDescription():
            return Facts(formats, about.memory_bytes, about.context, made_for=about.made_for, sees=about.sees)
        case VisionDescription():
            problem = CorruptFile.__name__ if about.problem else ""
            return Facts(formats, about.memory_bytes, None, problem, about.made_for, about.task)
        case EncoderDescription():
            return Facts(formats, about.memory_bytes, about.max_tokens, "", about.made_for, about.task)
    return Facts(problem=Unsupported.__name__)
