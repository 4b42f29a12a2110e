"""What is to be known of a kind of model to make its bundles: `Preparer`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, TypedDict

from hearth.bundle import Bundle
from hearth.checkpoint import open_checkpoint
from hearth.checkpoint.embedding import Pooling
from hearth.checkpoint.types import Checkpoint
from hearth.errors import UsageError
from hearth.fit import Sizes
from hearth.hub import Remote, Source
from hearth.model.kinds import KINDS, KindName, kind_of
from hearth.model.text.kv_cache import KvFormat
from hearth.quant import format_name
from hearth.quant.policy import Precision, row_choice

_DEFAULTS = {"precision": "default"}


class Wanted(TypedDict, total=False):
    """What a bundle is to be like, in the words of `LLM`, `Embedder` and `Vision`; each kind of model takes some of it
    (`Preparer.options`)."""

    quant: str | None
    head: str | None
    precision: Precision
    kv: KvFormat | None
    context: int | None
    mmproj: str | None
    adapters: tuple[str, ...] | None
    pooling: Pooling | None
    size: tuple[int, int] | None
    calibrate: str | None


Own = Mapping[str, Any]
"""What of `Wanted` one kind of model takes: all of these keys."""


class Preparer(ABC):
    """How bundles of one kind of model are made.

    Attributes:
        kind: name of its room in `model/`.
        options: keys of `Wanted` that shape its bundle.
        has_rows: all of its products have many rows, so that fast precision is the format int8.
    """

    kind: ClassVar[KindName]
    options: ClassVar[tuple[str, ...]]
    has_rows: ClassVar[bool] = False

    def find(self, name: str) -> Source | None:
        """What this kind alone knows as a model by that name; None: look for it as for all others."""
        return None

    @abstractmethod
    def preview(self, remote: Remote, wanted: Own) -> Sizes | None:
        """Its sizes, of a model on the hub; None where it is of another kind.

        Raises: as `preview.look_into`.
        """

    def refuse_by_tensors(self, remote: Remote) -> None:
        """Refuses a model that fits, and that only its tensors tell to be of no use. Raises: as `preview`."""
        return

    def open(self, source: Source, wanted: Own | None = None) -> Checkpoint:
        """The model's files. Raises as `open_checkpoint`."""
        return open_checkpoint(source.path)

    def answers(self, source: Source) -> bool:
        """Whether what was found, and is no bundle, is of this kind."""
        found = kind_of(self.open(source))
        return found is not None and found.name == self.kind

    def beside(self, source: Source, wanted: Own) -> Sequence[Path]:
        """What a bundle is made of besides `source.path`."""
        return ()

    @abstractmethod
    def check(self, source: Source, wanted: Own, memory_bytes: int | None) -> None:
        """Refuses a model on this disk before time goes into compiling it.

        Args:
            memory_bytes: what it may take; None: any size.

        Raises:
            Unsupported, CorruptFile: it cannot be compiled.
            NotEnoughMemory: as `fit.require_fit`.
        """

    @abstractmethod
    def compile(self, source: Source, wanted: Own, **options: Any) -> Path:
        """The folder of its bundle, made or found in the cache.

        Args:
            options: as `compiler.compile.compile_job`.

        Raises:
            ImportError: the compiler is not installed. Else as that.
        """

    @abstractmethod
    def will_do(self, bundle: Bundle, wanted: Own) -> bool:
        """Whether a bundle that was made of this model is what is wanted; may raise as opening it does."""

    def differences(self, bundle: Bundle, wanted: Own) -> Iterator[tuple[str, object, object]]:
        """What is wanted of a bundle that is as it is, and is otherwise: the option, what it is, what is wanted."""
        quant = wanted["quant"]
        if not asked_for(quant, bundle.manifest.quant):
            yield "quant", bundle.manifest.quant, quant

    def sampling(self, source: Source) -> dict[str, float]:
        """How its authors recommend to draw tokens."""
        return {}

    def refuse_foreign(self, name: str, wanted: Mapping[str, Any]) -> None:
        """Raises UsageError for what is wanted of a model and says nothing of this kind."""
        for option, value in wanted.items():
            if value not in (None, _DEFAULTS.get(option)) and option not in self.options:
                what = next(kind.what for kind in reversed(KINDS) if kind.name == self.kind)
                raise UsageError(f"{option} is of no use to {name}.", why=f"It is {what}.", hint="Leave it out.")

    def own(self, wanted: Mapping[str, Any]) -> Own:
        """What of all that is wanted this kind takes.

        Raises:
            UsageError: as `row_choice`.
        """
        given = {name: value for name, value in wanted.items() if value is not None}
        own: dict[str, Any] = {name: given.get(name, _DEFAULTS.get(name)) for name in self.options}
        if self.has_rows:
            own["quant"], own["precision"] = row_choice(own["quant"], own["precision"])
        return own


def asked_for(quant: str | None, made: str) -> bool:
    """Whether a bundle of the format `made` is what `--quant` asks for, or what none asks for."""
    return quant is None or format_name(quant) == made
