"""Which model? Lists of models that Hearth runs, kept as data with the code (catalogue.toml).

Sizes of language models in it are those of the default format; a test computes them anew from the configurations
beside them.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from hearth.units import format_bytes

CATALOGUE = Path(__file__).with_name("catalogue.toml")
USUAL_CONTEXT = 4096
"""Tokens of context that a model must have room for to count as one that fits."""
_OLLAMAS_PAGE = re.compile(r"^(?:https?://)?(?:www\.)?ollama\.com/library/")
# What follows the size in a name and says only that the model was trained to chat.
_CHATS = ("", "it", "instruct", "chat")


@dataclass(frozen=True)
class Entry:
    """A model of the catalogue.

    Attributes:
        name: `owner/name` on the hub.
        family: as `hearth show` names it.
        size: as people say it behind a short name: `0.6b`.
        also: short names without a size: `qwen3`.
        parameters: numbers in the model.
        download_bytes: what pulling it brings.
        license: the hub's name of it; `gated`: its owners ask who downloads it to accept their terms first.
        released: year and month.
        good_at: a short phrase.
        weights_bytes, kv_bytes_per_token: memory in the default format.
        context_max: tokens that it was made for at most.
        sees: whether it takes pictures.
    """

    name: str
    family: str
    size: str
    also: tuple[str, ...]
    parameters: int
    download_bytes: int
    license: str
    gated: bool
    released: str
    good_at: str
    weights_bytes: int
    kv_bytes_per_token: int
    context_max: int
    sees: bool

    def memory_bytes(self, context: int = USUAL_CONTEXT) -> int:
        """Weights, and keys and values of `context` tokens."""
        return self.weights_bytes + context * self.kv_bytes_per_token

    def summary(self, memory_bytes: int | None) -> str:
        """`1.4 GiB to download, 870 MiB of memory: fits`, on a machine that can give `memory_bytes`."""
        needed = f"{format_bytes(self.download_bytes)} to download, {format_bytes(self.memory_bytes())} of memory"
        if memory_bytes is None:
            return needed
        return f"{needed}: {'fits' if self.memory_bytes() <= memory_bytes else 'too much for this machine now'}"


@dataclass(frozen=True)
class Looking:
    """A model that looks at pictures.

    Attributes:
        name: `owner/name` on the hub.
        task: what it says of a picture: `detect`, `segment` ...
        download_bytes: what pulling it brings.
        license: the hub's name of it.
    """

    name: str
    task: str
    download_bytes: int
    license: str


@cache
def looking() -> tuple[Looking, ...]:
    """Models that look at pictures, one for each task."""
    return tuple(Looking(**entry) for entry in tomllib.loads(CATALOGUE.read_text("utf-8"))["looking"])


@cache
def catalogue() -> tuple[Entry, ...]:
    """All entries."""
    entries = tomllib.loads(CATALOGUE.read_text("utf-8"))["model"]
    return tuple(
        Entry(
            **{key: value for key, value in e.items() if key not in ("also", "config")},
            also=tuple(e["also"]),
            context_max=e["config"].get("text_config", e["config"])["max_position_embeddings"],
            sees="vision_config" in e["config"],
        )
        for e in entries
    )


def best_first(entries: Iterable[Entry]) -> list[Entry]:
    """The larger a model the better it answers; of two alike first what anybody can get, then the younger."""
    return sorted(entries, key=lambda e: (_tier(e), -int(e.gated), e.released), reverse=True)


def fitting(memory_bytes: int | None, context: int = USUAL_CONTEXT) -> list[Entry]:
    """Entries that fit in memory, best first; all where it is not known how much there is."""
    return best_first(e for e in catalogue() if memory_bytes is None or e.memory_bytes(context) <= memory_bytes)


def by_short_name(name: str) -> list[Entry]:
    """What a name without an owner can mean, best first: `qwen3:0.6b`, `llama3.2`, `Qwen3-0.6B`, `phi-4-mini`."""
    family, _, tag = _OLLAMAS_PAGE.sub("", name.strip().lower().removeprefix("hf:")).partition(":")
    size = re.split(r"[-_]", tag)[0] if tag != "latest" else ""
    named = [e for e in catalogue() if _squeezed(family) in (_squeezed(e.name.split("/")[1]), *map(_squeezed, e.also))]
    if not named:  # the size may stand in the name: qwen3-0.6b
        return best_first(e for e in catalogue() if _with_size(_squeezed(family), e))
    of_size = [e for e in named if e.size == size]
    return best_first(of_size or named)


def _with_size(squeezed: str, entry: Entry) -> bool:
    size = _squeezed(entry.size)
    return any(squeezed == _squeezed(also) + size + chats for also in entry.also for chats in _CHATS)


def _squeezed(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _tier(entry: Entry) -> int:
    """Sizes that answer about equally well: half again as many parameters is a step."""
    tier, least = 0, 0.2e9
    while entry.parameters > least:
        tier, least = tier + 1, least * 1.5
    return tier
