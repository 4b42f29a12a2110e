"""What a family of language models that see is, and what it makes of a checkpoint."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hearth.model.network import Function, Input
from hearth.model.text.config import DecoderConfig
from hearth.model.vision.model import Source, Write
from hearth.model.vision.names import Naming
from hearth.model.vision.parameters import Declarations, Scope
from hearth.model.vision.part import Part
from hearth.model.vlm.tile_shapes import EMBEDDINGS, PIXELS, TileShape
from hearth.model.weights import Source as WeightSource

FUNCTION = "image"
"""From what `inputs` of its tile shape makes of the pixels of a tile to embeddings of the decoder, f32 (rows, hidden)
or (1, rows, hidden)."""
_MOST_AT_ONCE = 1  # pictures in a call: a large one is several, and the workspace is as large as for one


@dataclass(frozen=True)
class PictureText:
    """What a picture is in a prompt, as text.

    A picture is one or more tiles; each is as many tokens `token` as it has embeddings, which take their place. Where
    it is cut into tiles, these stand row by row, and after them the whole picture, smaller, as a tile of its own.

    Attributes:
        marker: what chat templates write where a picture is.
        token: of which each stands for one row.
        token_id: the same in the vocabulary.
        before, after: around the rows of the whole picture.
        before_tile: likewise of a tile, `{row}` and `{column}` counted from 1.
        after_tiles, after_row: behind all tiles, and behind each row of them.
    """

    marker: str
    token: str
    token_id: int
    before: str = ""
    after: str = ""
    before_tile: str = ""
    after_row: str = ""
    after_tiles: str = ""


@dataclass(frozen=True)
class Sight:
    """How a model sees, without its weights.

    Attributes:
        part: the function `image`.
        tile: which tiles it takes, and what it makes of one.
        text: what a picture is in a prompt.
        ahead: tokens of a tile see all of it, also what comes after them.
        unused: tensors that this configuration has no use for, as `fnmatch` patterns.
    """

    part: Part
    tile: TileShape
    text: PictureText
    ahead: bool = False
    unused: tuple[str, ...] = ()


@dataclass(frozen=True)
class LoadedSight:
    """The same with where its parameters are.

    Attributes:
        family: name of the family's file.
        sources: of every parameter of `sight.part`.
        processor: how pictures are made ready, as preprocessor_config.json says it; None: that file does.
    """

    family: str
    sight: Sight
    sources: Mapping[str, WeightSource]
    processor: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Family:
    """One family of language models that see.

    Attributes:
        name: of its file.
        model_types: `model_type`s of config.json that it answers to.
        describe: its reading of a configuration, for embeddings of the given decoder.
        naming: how the tensors of what sees are named; its places rename the forms that there are.
        text_names: beginnings of the names of the decoder's tensors, and what they are in a model without eyes.
        text_type: `model_type` of the decoder where the configuration does not say.
        text_beside: a configuration without `text_config` says of the decoder beside everything else.
        text_defaults: what transformers assumes of the decoder for keys that are not there.
        defaults: the same of the whole configuration.
        fixed: keys that change what a model computes, with the only values that Hearth computes.
    """

    name: str
    model_types: tuple[str, ...]
    describe: Callable[[Source, DecoderConfig], Sight]
    naming: Naming
    text_names: tuple[tuple[str, str], ...]
    text_type: str = "llama"
    text_beside: bool = False
    text_defaults: Mapping[str, Any] = field(default_factory=dict)
    defaults: Mapping[str, Any] = field(default_factory=dict)
    fixed: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)

    def answers_to(self, architecture: str, kind: str, config: Mapping[str, Any]) -> bool:
        """Whether a checkpoint is of this family, and has eyes."""
        return kind == "safetensors" and architecture in self.model_types and "vision_config" in config


def sight_part(size: tuple[int, int], make: Callable[[Scope], Write]) -> Part:
    """The function `image`.

    Args:
        size: height and width of its pixels.
        make: declares the parts, under the path `image`, and returns what writes the embeddings (1, rows, hidden).
    """
    declarations = Declarations()
    write = make(Scope(declarations, "image"))

    def embeddings(g: Any) -> Sequence[Any]:
        return write(g, g.inputs[PIXELS])

    function = Function(FUNCTION, (Input(PIXELS, "float32"),), (EMBEDDINGS,))
    return Part(function, "pictures", {PIXELS: (*size, 3)}, declarations, embeddings, most=_MOST_AT_ONCE)
