"""What a published checkpoint offers, whatever its file format: the interface that `model` and `compiler` read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

SourceKind = Literal["safetensors", "gguf", "onnx", "pt2", "torch"]
"""What file a model came in."""


class RowReader(Protocol):
    """Reads a matrix that is made of several tensors of its file: integers, scales, zero points."""

    def __call__(self, begin: int, end: int) -> NDArray[np.float32] | Mapping[str, NDArray[Any]]:
        """Rows `[begin, end)`, those of a tensor of more axes counted through all of its matrices.

        Returns:
            f32 `(rows, columns)` where the tensor's dtype is `f32`; else what `quant.Blocks` of that dtype are made
            of, by the names of its attributes: `q` with as many columns as the matrix has, `scale`, ...
        """


@dataclass(frozen=True)
class TensorInfo:
    """One tensor of a checkpoint, described but not read.

    Attributes:
        name: as the file spells it.
        shape: row-major, outermost first: a linear weight is `(out_features, in_features)` in either file format.
        dtype: `f32`, `f16`, `bf16`, or a GGUF block type (`quant.gguf.GGUF_BLOCKS`); with a reader any number format.
        size_bytes: bytes that the tensor takes in its file.
        factor: what all its numbers are multiplied by, where a tensor of its own says that.
        reader: what makes its rows, where its bytes alone do not say what they are worth.
        published: how it was quantised, for people, where it has a reader.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    size_bytes: int
    factor: float = 1.0
    reader: RowReader | None = field(default=None, compare=False, repr=False)
    published: str = ""


@dataclass(frozen=True)
class TokenizerSpec:
    """A tokenizer in the one form Hearth runs: the text of a `tokenizer.json`, and what that file does not say.

    Attributes:
        json: content of a `tokenizer.json` that the `tokenizers` library loads.
        bos_id: token put before a text when `add_bos`.
        eos_ids: tokens that end an answer (end of sequence, end of turn).
        special: the named special tokens a chat template may use: `bos_token`, `eos_token`, `sep_token`, ..., and
            those that only this model has (`image_token`).
        chat_template: Jinja source, or None.
        added_by_json: True where `json` has a post-processor that adds BOS (or EOS) itself; then `add_bos` is False.
        notices: what a user of this tokenizer should know.
    """

    json: str
    bos_id: int | None
    eos_ids: tuple[int, ...]
    add_bos: bool
    add_eos: bool
    special: Mapping[str, str]
    chat_template: str | None
    added_by_json: bool = False
    named_templates: Mapping[str, str] = field(default_factory=dict)
    """Further chat templates by their names (`tool_use`, `rag`): Jinja source."""
    additional_special: tuple[str, ...] = ()
    """Special tokens without a name of their own: the `additional_special_tokens` of a chat template."""
    notices: tuple[str, ...] = ()


class Checkpoint(Protocol):
    """A model as its authors published it. Reading is lazy: `raw` maps the file and copies nothing."""

    path: Path
    kind: SourceKind
    architecture: str
    """`model_type` of config.json, or `general.architecture` of a GGUF file."""
    tensors: Mapping[str, TensorInfo]

    @property
    def config(self) -> Mapping[str, Any]:
        """config.json as it is, or all the key-value metadata of a GGUF file: int, float, bool, str and lists of these
        (each look-up of a list of over 4096 items decodes it anew)."""

    def raw(self, name: str) -> NDArray[np.uint8]:
        """The bytes of a tensor as they stand in the file: 1-D, read-only, memory-mapped. Of one with a reader those of
        its integers."""

    def fingerprint(self) -> str:
        """SHA-256 (hex) over what identifies the content: every header, config and tokenizer file, and each weight
        file's size and modification time (not its bytes: hashing 10 GB at each start would cost seconds)."""

    def tokenizer(self) -> TokenizerSpec | None:
        """The tokenizer in `tokenizer.json` form, converted if need be; None when the source has none."""
