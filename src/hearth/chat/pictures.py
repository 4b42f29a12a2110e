"""Pictures in a conversation: taken out of its messages, put into the prompt as the model's own tokens, handed to the
engine as what these stand for.

`Eyes` knows how one model sees (`image/sight.py`). Nothing is fetched: a picture is given as a file, its bytes, a
data URL, or pixels.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hearth.chat.alternatives import any_of
from hearth.chat.literal import Composed, ControlToken
from hearth.chat.probe import Probe
from hearth.chat.prompt import Prompt
from hearth.chat.recent_tiles import RecentTiles
from hearth.checkpoint.types import TokenizerSpec
from hearth.engine.embedded import DIGEST_BYTES, Embedded
from hearth.errors import ContextFull, CorruptFile, Unsupported, UsageError
from hearth.image.read import read_image
from hearth.image.sight import SightSpec
from hearth.image.tiles import Tiles

_KINDS = ("image", "image_url")
_DATA_URL = re.compile(r"data:(?P<type>[\w.+/-]*)(?P<more>(?:;[\w.+=-]+)*),", re.ASCII)
_PLACE: Mapping[str, Any] = {"type": "image"}
"""What is left of a picture in a message, as templates know it."""
_HOW = "A picture is {'type': 'image', 'image': a path, bytes, a data URL or pixels}, or an image_url with a data URL."


@dataclass(frozen=True)
class Given:
    """A picture as a message has it, not looked at yet.

    Attributes:
        source: what `read_image` takes.
        where: it stands, for messages.
        is_file: it is a path; else what is wrong with it is wrong with the request.
    """

    source: Any
    where: str
    is_file: bool


def take_pictures(messages: Any, *, in_results: bool) -> tuple[Any, list[Given]]:
    """A conversation with bare places where its pictures are, and these in order. What is no conversation stays.

    Args:
        in_results: results of tools, which may be any JSON, may have pictures too.

    Raises:
        UsageError: a part says that it is a picture and is none, or is one elsewhere.
    """
    if isinstance(messages, str) or not isinstance(messages, Sequence):
        return messages, []
    found: list[Given] = []
    return [_without(message, f"Message {i + 1}", found, in_results) for i, message in enumerate(messages)], found


def _without(message: Any, where: str, found: list[Given], in_results: bool) -> Any:
    content = message.get("content") if isinstance(message, Mapping) else None
    if not isinstance(content, (list, tuple)):
        return message
    is_result = message.get("role") == "tool"
    parts: list[Any] = []
    for part in content:
        if not _is_picture(part) or (is_result and not (in_results and part.get(part["type"]))):
            parts.append(part)
            continue
        found.append(_given(part, f"{where}, picture {len(found) + 1}"))
        parts.append(dict(_PLACE))
    return {**message, "content": parts}


def _is_picture(part: Any) -> bool:
    return isinstance(part, Mapping) and part.get("type") in _KINDS


def _given(part: Mapping[str, Any], where: str) -> Given:
    """What a part says."""
    kind = part["type"]
    value = part.get(kind)
    if kind == "image_url":
        url = value.get("url") if isinstance(value, Mapping) else value
        if not isinstance(url, str) or not url.startswith("data:"):
            raise UsageError(
                f"{where} is no data URL.", why="Hearth fetches nothing by itself.", hint="Send the picture's bytes."
            )
        return Given(_decoded(url, where), where, False)
    if value is None:
        raise UsageError(f"{where} is missing.", hint=_HOW)
    return given_picture(value, where)


def given_picture(value: Any, where: str) -> Given:
    """A picture of a program: a path, bytes, a data URL, an array u8 (h, w, 3), or an image of Pillow.

    Raises:
        UsageError: it is nothing of these.
    """
    if isinstance(value, str) and value.startswith("data:"):
        return Given(_decoded(value, where), where, False)
    if isinstance(value, (str, os.PathLike)):
        return Given(value, where, True)
    if isinstance(value, (bytearray, memoryview)):
        value = bytes(value)
    if not isinstance(value, (bytes, np.ndarray)):
        convert = getattr(value, "convert", None)
        if not callable(convert):
            raise UsageError(f"{where} is of type {type(value).__name__}.", hint=_HOW)
        value = np.asarray(convert("RGB"))
    return Given(value, where, False)


def _decoded(url: str, where: str) -> bytes:
    """The bytes of a data URL."""
    head = _DATA_URL.match(url)
    if head is None or not head["more"].endswith(";base64"):
        raise UsageError(
            f"{where} is no data URL in base64.", hint="It begins with data:image/png;base64, or the like."
        )
    try:
        return base64.b64decode(url[head.end() :], validate=True)
    except (ValueError, binascii.Error) as error:
        raise UsageError(f"{where} is no base64.", why=f"{error}.") from error


@dataclass(frozen=True)
class Seen:
    """Pictures of one prompt, cut into tiles."""

    pictures: tuple[Tiles, ...]

    @property
    def tiles(self) -> list[NDArray[np.uint8]]:
        """Of all pictures, in order."""
        return [tile for picture in self.pictures for tile in picture.pixels]


class Eyes:
    """How one model sees.

    Args:
        name: of the model, for messages.
    """

    def __init__(self, name: str, spec: SightSpec) -> None:
        self._name = name
        self._spec = spec
        self._marker = any_of([spec.text.marker])
        self._recent = RecentTiles()

    @property
    def marker(self) -> str:
        """What stands for a picture in a prompt before it is seen."""
        return self._spec.text.marker

    def look(self, given: Iterable[Given], context: int | None = None) -> Seen:
        """Reads pictures and cuts them into tiles.

        Args:
            context: tokens that they must fit into; None: any number.

        Raises:
            UsageError: one that came with the request is no sound picture.
            StorageError, CorruptFile, Unsupported: a file is none.
            ContextFull: they are too many.
        """
        seen, rows = [], 0
        for each in given:
            seen.append(self._tiles(each))
            rows += sum(map(self._rows, seen[-1].pixels))
            if context is not None and rows >= context:
                raise ContextFull(
                    f"The pictures alone take {rows} tokens; the context holds {context}, prompt and answer together.",
                    hint="Send fewer pictures, or open the model with a larger context (--context).",
                    tokens=rows,
                    limit=context,
                )
        return Seen(tuple(seen))

    def _tiles(self, given: Given) -> Tiles:
        def cut() -> Tiles:
            return self._spec.cutting.cut(_read(given))

        return self._recent.of(given.source, cut) if isinstance(given.source, bytes) else cut()

    def placed(self, messages: Sequence[Mapping[str, Any]], probe: Probe) -> list[dict[str, Any]]:
        """The messages with the model's own mark where a picture is, wherever the template would write none."""
        return [self._placed(message, probe) for message in messages]

    def _placed(self, message: Mapping[str, Any], probe: Probe) -> dict[str, Any]:
        content = message.get("content")
        has_pictures = isinstance(content, list) and any(_is_picture(part) for part in content)
        if not isinstance(content, list) or not has_pictures or probe.shows_picture(message["role"], self.marker):
            return dict(message)
        parts: list[str | ControlToken] = []
        for part in content:
            if _is_picture(part):
                parts += [ControlToken(self.marker), "\n"]
            elif isinstance(part, Mapping) and isinstance(part.get("text"), str):
                parts += [part["text"], "\n"]
            else:
                return dict(message)  # told elsewhere
        return {**message, "content": Composed(*(parts[:-1] if parts[-1] == "\n" else parts))}

    def marked(self, prompt: str, count: int) -> Prompt:
        """A plain text in which the model's mark stands for pictures; where there is none they come first."""
        if count and self._marker.search(prompt) is None:
            prompt = f"{self.marker}\n" * count + prompt
        edges = [0, *(edge for found in self._marker.finditer(prompt) for edge in found.span()), len(prompt)]
        spans = zip(edges[::2], edges[1::2], strict=True)
        return Prompt(prompt, literal=tuple((begin, end) for begin, end in spans if begin < end))

    def written(self, prompt: Prompt, seen: Seen) -> Prompt:
        """The prompt with each picture's tokens in place of its mark.

        Raises:
            UsageError: there are not as many marks as pictures.
        """
        places = [match.span() for match, plain in prompt.matches(self._marker) if not plain]
        if len(places) != len(seen.pictures):
            raise UsageError(
                f"The prompt has {len(places)} places for {len(seen.pictures)} pictures.",
                why="The chat template writes none for pictures where they stand, or the text does not.",
                hint=f"Put pictures into messages of the user, or {self.marker} into the text for each.",
            )
        text, literal, at, moved = [], [], 0, 0
        spans = iter([*prompt.literal, None])
        span = next(spans)
        for (begin, end), picture in zip(places, seen.pictures, strict=True):
            while span is not None and span[1] <= begin:
                literal.append((span[0] + moved, span[1] + moved))
                span = next(spans)
            tokens = self._tokens(picture)
            text += [prompt.text[at:begin], tokens]
            moved += len(tokens) - (end - begin)
            at = end
        while span is not None:
            literal.append((span[0] + moved, span[1] + moved))
            span = next(spans)
        return Prompt("".join([*text, prompt.text[at:]]), tuple(literal))

    def _tokens(self, picture: Tiles) -> str:
        t = self._spec.text
        *cut, whole = (t.token * self._rows(tile) for tile in picture.pixels)
        rows = iter(cut)
        tiles = "".join(
            "".join(t.before_tile.format(row=y + 1, column=x + 1) + next(rows) for x in range(picture.grid[1]))
            + t.after_row
            for y in range(picture.grid[0])
        )
        return f"{tiles}{t.after_tiles if tiles else ''}{t.before}{whole}{t.after}"

    def embedded(self, ids: Sequence[int], seen: Seen) -> tuple[Embedded, ...]:
        """What the placeholder tokens of a prompt stand for.

        Raises:
            UsageError: the tokenizer makes something else of them.
        """
        places = np.flatnonzero(np.asarray(ids) == self._spec.text.token_id)
        tiles = seen.tiles
        counts = [self._rows(tile) for tile in tiles]
        ends = np.cumsum(counts, dtype=np.int64)
        begins = ends - counts  # in `places`
        together = len(places) == (ends[-1] if tiles else 0)
        starts = places[begins] if together else places
        if not together or np.any(places != np.repeat(starts - begins, counts) + np.arange(len(places))):
            raise UsageError(
                f"{self._name} cannot be shown pictures.",
                why=f"Its tokenizer does not make a token of each {self._spec.text.token}.",
                hint="Take tokenizer.json from the model's own repository.",
            )
        return tuple(
            Embedded(
                int(start), count, partial(self._inputs, tile), _digest(tile), self._spec.tile.offsets(*tile.shape[:2])
            )
            for start, count, tile in zip(starts, counts, tiles, strict=True)
        )

    def _rows(self, tile: NDArray[np.uint8]) -> int:
        return self._spec.tile.rows(*tile.shape[:2])

    def _inputs(self, tile: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
        return self._spec.tile.inputs(self._spec.cutting.normalised(tile))


def _digest(tile: NDArray[np.uint8]) -> bytes:
    return blake2b(np.array(tile.shape).tobytes() + tile.tobytes(), digest_size=DIGEST_BYTES).digest()


def _read(given: Given) -> NDArray[np.uint8]:
    if given.is_file:
        return read_image(given.source)
    try:
        return read_image(given.source, given.where)
    except (CorruptFile, Unsupported) as error:
        raise UsageError(error.what, why=error.why, hint=error.hint) from error


def blind(name: str) -> UsageError:
    """What is raised where a model that sees nothing is given a picture."""
    return UsageError(
        f"{name} takes no pictures.",
        why="It is a language model of text only.",
        hint="Choose one that sees, such as SmolVLM or LLaVA.",
    )


def with_marks(tokenizer: TokenizerSpec, spec: SightSpec | None) -> TokenizerSpec:
    """The tokenizer, with what stands for pictures among its control tokens: no text may write it."""
    if spec is None:
        return tokenizer
    marks = {"image_token": spec.text.token, "image_marker": spec.text.marker}
    return replace(tokenizer, special={**marks, **tokenizer.special})
