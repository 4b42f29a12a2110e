"""How much memory a model takes, from its configuration alone: before it is compiled, loaded, or even downloaded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod

from hearth.checkpoint.types import SourceKind
from hearth.model.encoder import parameters as encoder_parameters
from hearth.model.encoder.config import EncoderConfig
from hearth.model.text.config import DecoderConfig
from hearth.model.text.kv_cache import KV_DTYPES, PAGE_TOKENS, kv_page_bytes, slot_bytes
from hearth.model.text.parameters import parameter_role, parameter_shapes
from hearth.model.vision.part import Part
from hearth.quant import choose_format, packed_size
from hearth.quant.formats import Format

KEPT_STATES = 6
"""Recurrent states that an engine has of one sequence at least (`engine.slots_for`): where it is, and where it or the
text before may be gone on from."""


@dataclass(frozen=True)
class ModelSize:
    """Memory of a compiled model.

    Attributes:
        weights_bytes: of all packed weights.
        kv_bytes_per_token: of keys and values, all layers together.
        state_bytes: of recurrent state, of one sequence and what is kept of it.
        formats: the number formats of the body, and of embedding and head, for people.
    """

    weights_bytes: int
    kv_bytes_per_token: int
    formats: str
    state_bytes: int = 0

    def memory_bytes(self, context: int) -> int:
        """With keys and values of `context` tokens and the state; the workspace adds some ten MiB."""
        return self.weights_bytes + context * self.kv_bytes_per_token + self.state_bytes


def size_of(
    config: DecoderConfig,
    dtype_of: Callable[[str], str],
    kind: SourceKind,
    *,
    quant: str | None = None,
    head: str | None = None,
    kv: str = "f16",
    sight: Part | None = None,
) -> ModelSize:
    """The size of a model.

    Args:
        dtype_of: the type of the tensor that a parameter is made of.
        kind: of the checkpoint.
        quant, head: as they would be asked for; None: as `quant.policy`.
        kv: number format of keys and values, as `kv_cache.kv_format` gives it.
        sight: what sees, of a model that does.

    Raises:
        UsageError, Unsupported: as `quant.choose_format`.
    """
    total = 0
    body: Counter[str] = Counter()
    ends: Counter[str] = Counter()
    for name, shape in parameter_shapes(config).items():
        fmt = choose_format(name, parameter_role(name), dtype_of(name), kind, quant, head)
        if len(shape) < 2:
            total += 4 * prod(shape)
            continue
        *stack, rows, columns = shape
        total += prod(stack) * packed_size(fmt, rows, columns)
        (ends if name in ("embed", "head") else body)[fmt.name] += prod(shape)
    names = ", ".join(name for name, _ in body.most_common())
    head_names = ", ".join(name for name, _ in ends.most_common())
    total += 0 if sight is None else sight_bytes(sight, quant)
    formats = f"{names}; embedding and head {head_names}"
    return ModelSize(total, kv_bytes_per_token(config, kv), formats, kept_state_bytes(sum(slot_bytes(config).values())))


def sight_bytes(sight: Part, quant: str | None) -> int:
    """Memory for the weights of what sees: 8 bits, unless a larger format is asked for."""
    rounded = quant is None or quant.startswith("q4")
    total = 0
    for name, declared in sight.declarations.parameters.items():
        if declared.role == "exact":
            total += 4 * prod(declared.shape)
        elif len(declared.shape) == 2:
            fmt = choose_format(name, declared.role, "f32", "safetensors", "int8" if rounded else quant)
            total += packed_size(fmt, declared.shape[0], declared.shape[1])
        else:
            total += prod(declared.shape) * (4 if quant in ("f32", "f16") else 1)
    return total


def encoder_size(
    config: EncoderConfig,
    dtype_of: Callable[[str], str],
    kind: SourceKind,
    *,
    quant: str | None = None,
    head: str | None = None,
) -> ModelSize:
    """The size of an encoder, which has no keys and values.

    Args: as `size_of`.
    """
    total = 0
    formats: dict[str, Counter[str]] = {"body": Counter(), "head": Counter(), "small": Counter()}
    for name, shape in encoder_parameters.parameter_shapes(config).items():
        role = encoder_parameters.parameter_role(name)
        if role == "exact":
            total += 4 * prod(shape)
            continue
        fmt = choose_format(name, role, dtype_of(name), kind, quant, head, default=encoder_parameters.DEFAULT_QUANT)
        total += packed_size(fmt, shape[0], shape[1])
        formats[role][fmt.name] += prod(shape)
    body, embedding = (", ".join(name for name, _ in formats[role].most_common()) for role in ("body", "head"))
    return ModelSize(total, 0, f"{body}; embedding {embedding}")


def network_size(shapes: Mapping[str, tuple[int, ...]], formats: Mapping[str, Format]) -> ModelSize:
    """The size of a network by its parameters; what has no format is kept in f32."""
    total = 0
    counts: Counter[str] = Counter()
    for name, shape in shapes.items():
        fmt = formats.get(name)
        if fmt is None:
            total += 4 * prod(shape)
            continue
        total += packed_size(fmt, shape[0], prod(shape[1:]))
        counts[fmt.name] += prod(shape)
    return ModelSize(total, 0, ", ".join(name for name, _ in counts.most_common()))


def kv_bytes_per_token(config: DecoderConfig, kv: str = "f16") -> int:
    """Memory of keys and values of one token, all layers together."""
    return sum(kv_page_bytes(config, KV_DTYPES[kv]).values()) // PAGE_TOKENS


def kept_state_bytes(slot_bytes: int) -> int:
    """Memory of the recurrent state of one sequence, with what is kept to go on from.

    Args:
        slot_bytes: of the state behind one of its tokens.
    """
    return slot_bytes * KEPT_STATES
