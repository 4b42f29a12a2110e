"""What a family makes of a checkpoint: what the model does, for which size of pictures, and its functions."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from hearth.model.network import Function, Input
from hearth.model.settings import Settings
from hearth.model.vision.names import Naming
from hearth.model.vision.parameters import Declarations, Scope
from hearth.model.vision.part import MOST_AT_ONCE, Part

if TYPE_CHECKING:
    from hearth.model.vision.graph import Graph

Task = Literal["classify", "embed", "detect", "segment", "depth", "zero_shot"]
"""What a model does with a picture, and so what its function `image` gives, b pictures at once (all f32):

    classify   logits (b, labels)
    embed      embedding (b, d), hidden (b, n, d): of the picture, of each token
    detect     logits (b, queries, labels or one more), boxes (b, queries, 4): centre, size, as parts of the picture
    segment    logits (b, h, w, labels); or of objects (`Head.objects`) logits and boxes as below, and
               masks (b, queries, h, w)
    depth      depth (b, h, w)
    zero_shot  embedding (b, d) of length 1; a function `text` gives the same for texts
"""


@dataclass(frozen=True)
class Head:
    """What the numbers that a task gives mean.

    Attributes:
        scores: how logits become probabilities: over all labels together, or each by itself.
        no_object: the last of a box's labels means that there is nothing.
        objects: what is segmented are single objects, each with a mask.
        metric: depths are metres, not what is nearer as the larger number.
        logit_scale, logit_bias: tensors of the file that a cosine is multiplied by (its exponential) and added to.
    """

    scores: Literal["softmax", "sigmoid"] = "softmax"
    no_object: bool = False
    objects: bool = False
    metric: bool = False
    logit_scale: str = ""
    logit_bias: str = ""


@dataclass(frozen=True)
class TextTower:
    """What the texts of a zero-shot model are made into.

    Attributes:
        length: tokens of every text.
        pad_id: what fills a text up.
        end_id: the first such token is where the text's meaning is read; None: the last of all tokens.
        highest: it is read at the highest token id instead.
    """

    length: int
    pad_id: int
    end_id: int | None
    highest: bool = False

    @property
    def pooled(self) -> bool:
        """Whether the network is told where to read."""
        return self.highest or self.end_id is not None


@dataclass(frozen=True)
class Described:
    """A model without its weights."""

    task: Task
    size: tuple[int, int]
    parts: tuple[Part, ...]
    head: Head = field(default_factory=Head)
    text: TextTower | None = None
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class Source:
    """What a family reads a model from.

    Attributes:
        tensors: the names in the file, as the rules call them; `naming`: those rules.
        size: height and width of the pictures that it is made for; None: what the configuration says.
    """

    settings: Settings
    tensors: Collection[str]
    naming: Naming
    size: tuple[int, int] | None

    def has(self, path: str) -> bool:
        """Whether the file has a tensor of ours."""
        return any(tensor in self.tensors for tensor in self.naming.published(path))


@dataclass(frozen=True)
class Family:
    """One family of models.

    Attributes:
        name: of its file.
        model_types: `model_type`s of config.json that it answers to.
        describe: its reading of a configuration.
        namings: how libraries name its tensors.
        defaults: what transformers assumes for a key that config.json does not have.
        fixed: keys that change what a model computes, with the only values that Hearth computes.
    """

    name: str
    model_types: tuple[str, ...]
    describe: Callable[[Source], Described]
    namings: tuple[Naming, ...]
    defaults: Mapping[str, Any] = field(default_factory=dict)
    fixed: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)

    def refuse_unknown(self, settings: Settings) -> None:
        """Raises Unsupported for a setting that changes the result and that this family does not compute."""
        for key, values in {"num_channels": (3,), **self.fixed}.items():
            value = settings.get(key)
            if value is not None and value not in values:
                raise settings.unsupported(key, f"Hearth does not compute it for the family {self.name!r}.")


Write = Callable[["Graph", Any], Sequence[Any]]


def image_part(
    size: tuple[int, int], outputs: tuple[str, ...], make: Callable[[Scope], Write], path: str = "", *,
    most: int = MOST_AT_ONCE,
) -> Part:  # fmt: skip
    """The function `image`: from pixels f32 (batch, h, w, 3), normalised, to `outputs`.

    Args:
        make: declares the parts and returns what writes them.
        path: where the names of its parameters begin.
        most: pictures at once.
    """
    declarations = Declarations()
    write = make(Scope(declarations, path))
    function = Function("image", (Input("pixels", "float32"),), outputs)
    shapes = {"pixels": (*size, 3)}
    return Part(function, "batch", shapes, declarations, lambda g: write(g, g.inputs["pixels"]), most=most)
