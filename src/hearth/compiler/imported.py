"""`compile_graph`: graphs that others have written, from an ONNX or PyTorch file to a bundle in the cache."""

from __future__ import annotations

import importlib.util
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from hearth.checkpoint.graphs import CHAIN, METADATA, open_graph
from hearth.checkpoint.mapped import MAX_JSON_BYTES, read_text
from hearth.checkpoint.onnx import OnnxCheckpoint
from hearth.checkpoint.tokenizer_files import save_tokenizer
from hearth.compiler.compile import Calibration, CompileOptions, Job, PictureFeed, compile_job
from hearth.compiler.formats import formats_of
from hearth.image.config import FILE as PICTURE_RULES
from hearth.image.tensor import as_input, rules_beside, shape_for_pictures
from hearth.quant.policy import Precision, row_choice

if TYPE_CHECKING:
    from hearth.checkpoint.pt2 import ExportedProgram
    from hearth.model.network import Network

KIND = "graph"
"""What manifests say of such models: arrays in, arrays out."""
DEFAULT_QUANT = "q8"
"""Graphs are mostly of vision and encoders, which 4 bits cost more than a language model."""

Sizes = Mapping[str, int | tuple[int, int]]
"""For symbols of the inputs' shapes a number, or the least and largest."""


def compile_graph(
    source: Path,
    *,
    name: str,
    sizes: Sizes | None = None,
    quant: str | None = None,
    precision: Precision = "default",
    calibration: Calibration | None = None,
    **options: Unpack[CompileOptions],
) -> Path:
    """Compiles a graph, or finds it compiled.

    Args:
        source: an .onnx or .pt2 file.
        name: the graph as the user named it, for the manifest.
        sizes: of the axes that the file leaves open.
        quant: number format of the matrices; None: `DEFAULT_QUANT`.
        precision: `high` computes with f32 activations.
        calibration: what a mixture of formats (`quant.mixed`) is chosen by.
        options: as `compile_job`.

    Returns:
        The bundle's folder.

    Raises:
        Unsupported: operations that cannot be compiled, with their places.
        UsageError: `sizes` names no open size.
        ModelNotFound, CorruptFile: the file is not there, or not sound.
        CompileError: the compiler is not installed or fails.
        StorageError: the bundle cannot be written.
    """
    if progress := options.get("progress"):
        progress("reading", 0, 0)
    checkpoint = open_graph(source)
    if importlib.util.find_spec("tvm") is None:
        raise ModuleNotFoundError("apache-tvm is not installed", name="tvm")
    quant, precision = row_choice(quant, precision)
    job = graph_job(checkpoint, name, sizes or {}, quant or DEFAULT_QUANT, precision)
    if calibration is not None:
        job = replace(job, pictures=picture_feed(job.network, source.parent), calibration=calibration)
    return compile_job(job, **options)


def graph_job(
    checkpoint: OnnxCheckpoint | ExportedProgram, name: str, sizes: Sizes, quant: str, precision: Precision
) -> Job:
    """What there is to compile of a graph."""
    network = _network(checkpoint, sizes)
    rules = _rules_for_pictures(checkpoint.path.parent)
    formats = formats_of(network, quant, precision, checkpoint.kind)
    body = [fmt.name for parameter, fmt in formats.items() if network.role(parameter) == "body"]

    def write(folder: Path) -> None:
        (folder / METADATA).write_text(json.dumps(checkpoint.metadata, ensure_ascii=False), encoding="utf-8")
        tokenizer = checkpoint.tokenizer()
        if tokenizer is not None:
            save_tokenizer(tokenizer, folder)
        if network.chain is not None:
            chain = {"functions": [function.name for function in network.functions], **asdict(network.chain)}
            (folder / CHAIN).write_text(json.dumps(chain), encoding="utf-8")
        if rules is not None:
            (folder / PICTURE_RULES).write_text(rules, encoding="utf-8")

    return Job(
        name=name,
        kind=KIND,
        family=checkpoint.architecture,
        network=network,
        checkpoint=checkpoint,
        formats=formats,
        quant=", ".join(fmt for fmt, _ in Counter(body).most_common()) or "f32",
        precision=precision,
        identity=(sorted(sizes.items()), rules),
        write=write,
    )


def picture_feed(network: Network, folder: Path) -> PictureFeed | None:
    """How pictures go into a graph that takes one and nothing else; None: it does not.

    Args:
        folder: of the graph's file, beside which the rules for its pictures may lie.
    """
    function = network.functions[0]
    if len(function.inputs) != 1 or function.inputs[0].dtype != "float32":
        return None
    given = next(p for p in network.build()[function.name].params if p.name == function.inputs[0].name)
    sizes = [int(dim) if not hasattr(dim, "name") else network.symbols[dim.name][1] for dim in given.ty.shape]
    shape = shape_for_pictures(sizes)
    if shape is None:
        return None
    rules = rules_beside(folder)
    return PictureFeed(function.name, lambda pixels: {given.name: as_input(pixels, rules, shape)})


def _rules_for_pictures(folder: Path) -> str | None:
    """What lies beside a graph's file to say how pictures are given to it: it goes into the bundle as it is."""
    path = folder / PICTURE_RULES
    return read_text(path, MAX_JSON_BYTES) if path.is_file() else None


def _network(checkpoint: OnnxCheckpoint | ExportedProgram, sizes: Sizes) -> Network:
    if isinstance(checkpoint, OnnxCheckpoint):
        from hearth.model.imported.onnx import import_onnx

        return import_onnx(checkpoint, sizes)
    from hearth.model.imported.exported import import_exported

    return import_exported(checkpoint, sizes)
