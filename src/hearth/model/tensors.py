"""Which tensors of a checkpoint the parameters of a network are: rule tables, and their application.

A rule gives for a parameter (`N` is the layer) the tensor that holds it, or `Fused` where several parameters share
one or it is stored otherwise (`OfHeads`: each head's matrices of them), `OneOf` where it is one matrix of several, or
`Made` where it is computed from the tensor, or a tuple of alternatives of which the first that exists is taken.
Matrices of experts are in one tensor, or in one for each of them: then `E` in its name is its number. So it is of rows
that are a tensor each.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from itertools import pairwise
from math import prod
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hearth.checkpoint.readable import require_readable
from hearth.checkpoint.types import Checkpoint
from hearth.errors import CorruptFile, Unsupported
from hearth.model.settings import shown
from hearth.model.weights import ColumnsSource, ComputedWeight, Source, StackedWeight, WeightSource


@dataclass(frozen=True)
class Fused:
    """A tensor whose rows are those of several parameters of the same layer, one after another.

    Attributes:
        groups: the tensor is made of so many groups, one after another, each of which has its share of each parameter;
            "heads", "kv_heads", "key_heads": one for each head of queries, of keys and values, of a mixer's keys;
            "rows": one row of each in turn.
        runs: of a parameter that is several runs of rows, of each of which groups have a share: how long these are but
            the last, as `groups` by what the model calls it.
        skip: so many rows before them belong to none.
        transposed: it is stored as `[in, out]`.
        beside: a row of it is a row of each parameter, side by side.
    """

    tensor: str
    parts: tuple[str, ...]
    groups: int | Literal["heads", "kv_heads", "key_heads", "rows"] = 1
    runs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    skip: int = 0
    transposed: bool = False
    beside: bool = False


@dataclass(frozen=True)
class Made:
    """A tensor that a parameter is computed from.

    Attributes:
        tensor: its name; `further`: tensors whose rows follow, where it is divided.
        compute: makes the parameter, f32 in its shape, of the tensor, f32 in its own.
        stored: the tensor's shape for the parameter's; None: any that has as many numbers.
    """

    tensor: str
    compute: Callable[[NDArray[np.float32]], NDArray[np.float32]]
    stored: Callable[[tuple[int, ...]], tuple[int, ...]] | None = lambda shape: shape
    further: tuple[str, ...] = ()


@dataclass(frozen=True)
class OneOf:
    """A tensor of several matrices of one shape, one after another, of which a parameter is one.

    Attributes:
        place: which, from 0.
    """

    tensor: str
    place: int


@dataclass(frozen=True)
class OfHeads:
    """A tensor whose rows are, for each head in turn, those of its matrices of several parameters `[heads, out, in]`.

    Attributes:
        parts: these parameters, of the same layer.
        turned: those of them whose matrices are stored as `[in, out]`.
    """

    tensor: str
    parts: tuple[str, ...]
    turned: frozenset[str] = frozenset()


One = str | Fused | Made | OneOf | OfHeads
Rule = One | tuple[One, ...]
Rules = Mapping[str, Rule]


def either(*rules: Rule) -> Rule:
    """The first of these whose tensor exists."""
    return tuple(one for rule in rules for one in (rule if isinstance(rule, tuple) else (rule,)))


@dataclass(frozen=True)
class Places:
    """How one family's tensors are named in one file format, beside its rules.

    Attributes:
        prefixes: beginnings of tensor names and what they stand for in the rules.
        base_prefix: what a file that was saved from the base model lacks at the beginning of each name but those in
            `outside_base`; "": no such form.
        outside_base: beginnings of names that such a file has as they are.
        ignored: patterns of tensors that may be left out.
        elsewhere: tensors that are read with the configuration.
    """

    prefixes: tuple[tuple[str, str], ...] = ()
    base_prefix: str = ""
    outside_base: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    elsewhere: frozenset[str] = frozenset()


def map_tensors(
    checkpoint: Checkpoint,
    family: str,
    shapes: Mapping[str, tuple[int, ...]],
    rules: Rules,
    places: Places,
    order_of: Callable[[str], NDArray[np.int64] | None] = lambda parameter: None,
    counts: Mapping[str, int] | None = None,
) -> tuple[dict[str, Source], tuple[str, ...]]:
    """Finds each parameter's tensor and accounts for every tensor of the file.

    Args:
        family: its name, for errors.
        shapes: every parameter that is wanted; `layers.3.q` is looked up as `layers.N.q` in `rules`.
        rules: the family's table for this file format.
        order_of: the order of a parameter's rows in the file, where it is another; of its columns, where it has so many
            of them and not of rows.
        counts: what names of numbers in a rule stand for.

    Returns:
        The source of every parameter of `shapes`, and the names of the tensors left out.

    Raises:
        CorruptFile: a tensor is missing or has another shape than the configuration says.
        Unsupported: the file has a tensor that no rule knows, or one of a type that Hearth cannot use.
    """
    names = names_of(checkpoint, places)
    sources: dict[str, Source] = {}
    used: set[str] = set()

    def find(tensor: str, stored: tuple[int, ...]) -> str:
        """The name in the file of a tensor that must have this shape."""
        if tensor not in names:
            raise CorruptFile(f"The tensor {tensor!r} is missing.", why=f"The {family} model needs it.")
        info = checkpoint.tensors[names[tensor]]
        # A GGUF file has no axis of size 1 before the last.
        if info.shape != stored and not (stored[0] == 1 and info.shape == stored[1:]):
            raise CorruptFile(
                f"The tensor {info.name!r} has the shape {list(info.shape)}.",
                why=f"The configuration of this {family} model says {list(stored)}.",
            )
        require_readable(info, checkpoint.kind)
        used.add(info.name)
        return info.name

    for parameter, shape in shapes.items():
        rule = _find(parameter, rules, names)
        if isinstance(rule, Made):
            stored = rule.stored(shape) if rule.stored else _as_it_lies(checkpoint, names.get(rule.tensor), shape)
            shares = _shares(checkpoint, [names.get(tensor) for tensor in (rule.tensor, *rule.further)], stored)
            found = (find(tensor, share) for tensor, share in zip((rule.tensor, *rule.further), shares, strict=True))
            sources[parameter] = ComputedWeight(tuple(found), _of_rows(rule.compute))
            continue
        if isinstance(rule, OneOf):
            own = checkpoint.tensors[names[rule.tensor]].shape if rule.tensor in names else ()
            tensor = find(rule.tensor, (max(rule.place + 1, own[0] if len(own) == 3 else 1), *shape))
            sources[parameter] = WeightSource(tensor, (rule.place * shape[0], (rule.place + 1) * shape[0]))
            continue
        if isinstance(rule, OfHeads):
            sources[parameter] = _matrices_of_heads(parameter, rule, shapes, find)
            continue
        fused = rule if isinstance(rule, Fused) else Fused(rule, (parameter.rpartition(".")[2],))
        if len(shape) == 3:
            sources[parameter] = _stack(parameter, fused, shapes, find)
            continue
        if ".E." in fused.tensor:
            sources[parameter] = _rows_of_their_own(fused.tensor, shape, find)
            continue
        if fused.beside:
            sources[parameter] = _beside(checkpoint, parameter, fused, shape, find)
            continue
        rows, stored = rows_of(parameter, fused, shapes, counts or {})
        tensor = find(fused.tensor, stored)
        if checkpoint.tensors[tensor].shape != stored:
            sources[parameter] = ComputedWeight((tensor,), lambda values: values[None])
            continue
        order = order_of(parameter)
        if order is not None and len(order) != shape[0]:
            sources[parameter] = ComputedWeight((tensor,), lambda values, order=order: values[:, order])
            continue
        sources[parameter] = _source(tensor, fused, rows, order, stored[0])
    return sources, account_for(checkpoint, family, used, places)


def names_of(checkpoint: Checkpoint, places: Places) -> dict[str, str]:
    """The names of a file's tensors by what rules call them."""
    names = {renamed(name, places.prefixes): name for name in checkpoint.tensors}
    if places.base_prefix and not any(name.startswith(places.base_prefix) for name in names):
        # Saved from the base model, whose tensors lack the name that it has inside of the whole.
        names = {n if n.startswith(places.outside_base) else places.base_prefix + n: name for n, name in names.items()}
    return names


def account_for(checkpoint: Checkpoint, family: str, used: Collection[str], places: Places) -> tuple[str, ...]:
    """The tensors of a file that nothing uses. Raises Unsupported for one that may not be left out."""
    unused = tuple(name for name in checkpoint.tensors if name not in used and name not in places.elsewhere)
    for name in unused:
        if not any(fnmatchcase(name, pattern) for pattern in places.ignored):
            raise Unsupported(
                f"The tensor {shown(name)} has no place in a {family} model.",
                why="Leaving it out could change what the model computes.",
            )
    return unused


def _as_it_lies(checkpoint: Checkpoint, tensor: str | None, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of a tensor with as many numbers as this shape has; this one, if it has another number of them."""
    own = checkpoint.tensors[tensor].shape if tensor else shape
    return own if prod(own) == prod(shape) else shape


def _shares(checkpoint: Checkpoint, tensors: list[str | None], whole: tuple[int, ...]) -> list[tuple[int, ...]]:
    """The shapes of tensors that have the rows of one of this shape, as many as each has but the last."""
    rows = [checkpoint.tensors[tensor].shape[0] if tensor else 0 for tensor in tensors[:-1]]
    return [(count, *whole[1:]) for count in (*rows, whole[0] - sum(rows))]


def _of_rows(compute: Callable[[NDArray[np.float32]], NDArray[np.float32]]) -> Callable[..., NDArray[np.float32]]:
    return lambda *parts: compute(parts[0] if len(parts) == 1 else np.concatenate(parts))


def found(parameter: str, rules: Rules, names: Mapping[str, str]) -> str | None:
    """The tensor of a file that a parameter is, or is made of; None where the file has none.

    Args: as `map_tensors`, `names` as `names_of` gives them.
    """
    rule = _find(parameter, rules, names)
    return names.get(_of_expert(rule if isinstance(rule, str) else rule.tensor, 0))


def _find(parameter: str, rules: Rules, names: Mapping[str, str]) -> One:
    """The rule for one parameter, with its layer filled in; the first alternative that exists, or else the first."""
    alternatives = alternatives_of(parameter, rules)
    found = (a for a in alternatives if _of_expert(a if isinstance(a, str) else a.tensor, 0) in names)
    return next(found, alternatives[0])


def alternatives_of(parameter: str, rules: Rules) -> tuple[One, ...]:
    """The rules for one parameter, with its layer filled in."""
    scope, _, rest = parameter.partition(".")
    index, _, field = rest.partition(".")
    rule = rules[f"layers.N.{field}" if scope == "layers" else parameter]
    alternatives = rule if isinstance(rule, tuple) else (rule,)
    if scope == "layers":
        index = f".{index}."
        return tuple(a.replace(".N.", index) if isinstance(a, str) else _of_layer(a, index) for a in alternatives)
    return alternatives


def _of_layer(rule: Fused | Made | OneOf | OfHeads, index: str) -> Fused | Made | OneOf | OfHeads:
    tensor = rule.tensor.replace(".N.", index)
    if isinstance(rule, Made):
        return replace(rule, tensor=tensor, further=tuple(name.replace(".N.", index) for name in rule.further))
    return replace(rule, tensor=tensor)


def rows_of(
    parameter: str, rule: Fused, shapes: Mapping[str, tuple[int, ...]], counts: Mapping[str, int]
) -> tuple[NDArray[np.int64] | slice, tuple[int, ...]]:
    """Which rows of its tensor a parameter is, and the shape that the whole tensor must have."""
    shape = shapes[parameter]
    layer, _, own_name = parameter.rpartition(".")
    # Of experts' matrices this is one of them.
    matrix = 1 if len(shape) == 3 else 0
    sizes = [shapes[f"{layer}.{part}" if layer else part][matrix] for part in rule.parts]
    own = shape[matrix]
    groups = rule.groups if isinstance(rule.groups, int) else own if rule.groups == "rows" else counts[rule.groups]
    before, total = rule.skip + sum(sizes[: rule.parts.index(own_name)]), sum(sizes)
    stored = (rule.skip + total, *shape[matrix + 1 :])
    if rule.transposed:
        stored = stored[::-1]
    if groups == 1:
        return slice(before, before + own), stored
    runs = [counts[name] for name in rule.runs.get(own_name, ())]
    runs.append(own - sum(runs))
    if any(size % groups for size in (*sizes, *runs)):
        raise Unsupported(f"The rows of {rule.tensor!r} are no {groups} groups.")
    starts = np.arange(groups, dtype=np.int64)[:, None] * (total // groups)
    shares = np.cumsum([before, *runs]) // groups
    parts = [(starts + np.arange(a, b, dtype=np.int64)).reshape(-1) for a, b in pairwise(shares)]
    return np.concatenate(parts), stored


def _of_expert(tensor: str, expert: int) -> str:
    """The name of the tensor of one expert, where each has its own."""
    return tensor.replace(".E.", f".{expert}.")


def _stack(
    parameter: str, rule: Fused, shapes: Mapping[str, tuple[int, ...]], find: Callable[[str, tuple[int, ...]], str]
) -> StackedWeight:
    """The matrices of experts: each in its own tensor, or all in one, alone or one matrix of several after another."""
    count, own, columns = shapes[parameter]
    if ".E." in rule.tensor:
        tensors = (find(_of_expert(rule.tensor, expert), (own, columns)) for expert in range(count))
        return StackedWeight(tuple(WeightSource(tensor) for tensor in tensors))
    rows, stored = rows_of(parameter, rule, shapes, {})
    tensor = find(rule.tensor, (count, *stored))
    if rule.transposed:
        chosen = np.arange(rows.start, rows.stop, dtype=np.int64) if isinstance(rows, slice) else rows
        matrices = ((expert * stored[0], (expert + 1) * stored[0]) for expert in range(count))
        return StackedWeight(tuple(ColumnsSource(tensor, own, chosen) for own in matrices))
    starts = [expert * stored[0] for expert in range(count)]
    if isinstance(rows, slice):
        ranges = ((start + rows.start, start + rows.stop) for start in starts)
        return StackedWeight(tuple(WeightSource(tensor, each) for each in ranges))
    return StackedWeight(tuple(WeightSource(tensor, (start, start + stored[0]), rows) for start in starts))


def _beside(
    checkpoint: Checkpoint,
    parameter: str,
    rule: Fused,
    shape: tuple[int, ...],
    find: Callable[[str, tuple[int, ...]], str],
) -> Source:
    """One of several matrices of one shape that lie side by side: one of so many parts of each row of the tensor."""
    count, (rows, columns) = len(rule.parts), shape
    tensor = find(rule.tensor, (rows, count * columns))
    order = np.arange(rule.parts.index(parameter.rpartition(".")[2]), count * rows, count, dtype=np.int64)
    if checkpoint.tensors[tensor].reader is not None:  # which makes whole rows
        return ComputedWeight((tensor,), lambda values: values.reshape(count * rows, columns)[order])
    return WeightSource(tensor, None, order, count)


def _matrices_of_heads(
    parameter: str, rule: OfHeads, shapes: Mapping[str, tuple[int, ...]], find: Callable[[str, tuple[int, ...]], str]
) -> StackedWeight:
    layer, _, own = parameter.rpartition(".")
    heads = shapes[parameter][0]

    def stored(part: str) -> tuple[int, ...]:
        """The shape in which a head's matrix of a parameter is stored."""
        shape = shapes[f"{layer}.{part}"][1:]
        return shape[::-1] if part in rule.turned else shape

    heights = [stored(part)[0] for part in rule.parts]
    before, (height, columns) = sum(heights[: rule.parts.index(own)]), stored(own)
    tensor = find(rule.tensor, (heads * sum(heights), columns))
    starts = (head * sum(heights) + before for head in range(heads))
    ranges = ((start, start + height) for start in starts)
    if own in rule.turned:
        return StackedWeight(tuple(ColumnsSource(tensor, each, np.arange(columns, dtype=np.int64)) for each in ranges))
    return StackedWeight(tuple(WeightSource(tensor, each) for each in ranges))


def _rows_of_their_own(
    tensor: str, shape: tuple[int, ...], find: Callable[[str, tuple[int, ...]], str]
) -> ComputedWeight:
    """A matrix each of whose rows is a tensor."""
    tensors = (find(_of_expert(tensor, row), shape[1:]) for row in range(shape[0]))
    return ComputedWeight(tuple(tensors), lambda *rows: np.stack(rows))


def _source(
    tensor: str, rule: Fused, rows: NDArray[np.int64] | slice, order: NDArray[np.int64] | None, stored: int
) -> Source:
    """Those rows of a tensor, in an order of their own."""
    if isinstance(rows, slice) and not rule.transposed:
        whole = (rows.start, rows.stop) == (0, stored)
        return WeightSource(tensor, None if whole else (rows.start, rows.stop), order)
    chosen = np.arange(rows.start, rows.stop, dtype=np.int64) if isinstance(rows, slice) else rows
    chosen = chosen if order is None else chosen[order]
    if rule.transposed:
        return ComputedWeight((tensor,), lambda values: np.ascontiguousarray(values.T[chosen]))
    return WeightSource(tensor, None, chosen)


def renamed(name: str, prefixes: tuple[tuple[str, str], ...]) -> str:
    """What rules call a tensor of this name (`Places.prefixes`)."""
    for prefix, meaning in prefixes:
        if name.startswith(prefix):
            return meaning + name.removeprefix(prefix)
    return name
