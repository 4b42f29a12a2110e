"""What `hearth show` prints of an ONNX file or an exported PyTorch program."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click

_SOME = 12
_TYPES = {"f32": "float32", "f16": "float16", "bf16": "bfloat16", "f64": "float64"}


def show_graph(path: Path, as_json: bool) -> None:
    """Prints inputs, outputs, operators, weights, and what is in the way of compiling it.

    Raises:
        ModelNotFound, CorruptFile, Unsupported, StorageError: as opening it.
    """
    from hearth.cli.facts import count
    from hearth.cli.table import print_facts, print_table
    from hearth.measure.describe_graph import describe_graph
    from hearth.units import counted, format_bytes

    about = describe_graph(path)
    if as_json:
        click.echo(json.dumps(asdict(about) | {"path": str(path)}, ensure_ascii=False))
        return
    weights = ", ".join(f"{name} {100 * share:.0f}%" for name, share in about.source_formats.items())
    total = sum(about.operators.values())
    kinds = [f"{name} {number}" for name, number in about.operators.items()]
    open_sizes = dict.fromkeys(
        size or f"{item.name}.{axis}"
        for item in about.inputs
        for axis, size in enumerate(item.shape or ())
        if not isinstance(size, int)
    )
    facts = [
        ("graph", str(path)),
        ("written as", about.written_as),
        ("parameters", f"{count(about.parameters)}, {weights} ({format_bytes(about.source_bytes)})"),
        ("operations", f"{counted(total, 'operation')}: {_some(kinds)}"),
        ("open sizes", _some(list(open_sizes))),
        ("not known", _some(list(about.unknown or ()))),
        ("to compile it", f"hearth compile {shlex.quote(str(path))}" if not about.unknown else ""),
    ]
    print_facts([fact for fact in facts if fact[1]])
    rows = [
        (side, item.name, _TYPES.get(item.dtype, item.dtype), shape_text(item.shape))
        for side, items in (("input", about.inputs), ("output", about.outputs))
        for item in items
    ]
    click.echo()
    print_table(("", "NAME", "TYPE", "SHAPE"), rows)


def _some(words: Sequence[str]) -> str:
    more = f", and {len(words) - _SOME} more" if len(words) > _SOME else ""
    return ", ".join(words[:_SOME]) + more


def shape_text(sizes: Sequence[int | str | None] | None) -> str:
    """`1 x 3 x n`; "" where nothing is known."""
    if sizes is None:
        return ""
    return " x ".join("?" if size is None else str(size) for size in sizes) or "one number"
