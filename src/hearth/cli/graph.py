"""`hearth graph MODEL`: run any network on arrays."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hearth.cli.given import Given, random_inputs, read_inputs, require_all
from hearth.cli.options import ANY_FORMATS, calibrate_option, examples
from hearth.cli.progress import showing_progress
from hearth.cli.sides import NamedSize
from hearth.cli.terminal import note
from hearth.errors import ModelNotFound, StorageError, UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hearth import Graph
    from hearth.measure.bench import Spread

_COLOURS = ("imagenet", "unit", "signed", "bytes")
_FOR_COMPILING = ("quant", "precision", "calibrate", "sizes")


@click.command(
    "graph",
    epilog=examples(
        "hearth graph model.onnx --random",
        "hearth graph model.onnx --input photo.jpg",
        "hearth graph model.onnx --input image=photo.jpg --input scale=scale.npy -o out.npz",
        "hearth graph bert.onnx --random --size batch=1 --size sequence=128 --repeat 20",
        "hearth graph ./compiled --input inputs.npz --json",
    ),
)
@click.argument("model", type=click.Path(path_type=Path))
@click.option(
    "-i",
    "--input",
    "inputs",
    multiple=True,
    metavar="[NAME=]FILE",
    help="A .npy file or a picture for the input NAME, which need not be said where there is one; or a .npz file with"
    " an array for each input. May be repeated.",
)
@click.option("--random", "is_random", is_flag=True, help="Random numbers for the inputs that are not given.")
@click.option("--seed", type=int, default=0, show_default=True, help="The same seed gives the same numbers.")
@click.option(
    "--size",
    "sizes",
    type=NamedSize(),
    multiple=True,
    metavar="NAME=N[:MOST]",
    help="A size that the graph leaves open: a number, or least and most to compile it for. May be repeated"
    " [random inputs have the least].",
)
@click.option(
    "--colours",
    type=click.Choice(_COLOURS),
    help="What is taken of a picture: normalised with ImageNet's mean and deviation, from 0 to 1, from -1 to 1, from 0"
    " to 255 [as a preprocessor_config.json beside MODEL says, else imagenet].",
)
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), metavar="FILE", help="Write the outputs: FILE.npz, or FILE.npy."
)
@click.option("--repeat", type=click.IntRange(1), help="Run so many times, after one that warms up, and tell the time.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--quant", type=click.Choice(ANY_FORMATS), help="Number format of the matrices [q8].")
@click.option(
    "--precision",
    type=click.Choice(["default", "high", "fast"]),
    default="default",
    help="high computes with 32-bit floats: slower, closest to the original; fast is the format int8.",
)
@calibrate_option
@click.option("--threads", type=int, help="Threads that compute [physical cores this process may use].")
@click.option(
    "--trust-bundle", is_flag=True, help="Run MODEL where it is a bundle compiled elsewhere: it is a program."
)
def command(
    model: Path,
    inputs: tuple[str, ...],
    is_random: bool,
    seed: int,
    colours: str | None,
    output: Path | None,
    repeat: int | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Run MODEL, a graph of any kind of network: an .onnx file, a .pt2 file of torch.export, or what `hearth compile`
    made of one. It is compiled where it was not before.

    Tells of each output its type, its shape, its least and greatest number and their mean; -o keeps them all. `hearth
    show MODEL` tells what it takes.
    """
    from hearth.checkpoint.graphs import is_graph

    files = [Given.of(each) for each in inputs]
    if output is not None:
        _check_output(output)
    is_source = is_graph(model)
    # What is compiled has the sizes that it was compiled for; these say which of them random inputs have.
    sizes = {} if is_source or not is_random else {n: size for n, size in options["sizes"] if isinstance(size, int)}
    options["sizes"] = [(n, size) for n, size in options["sizes"] if n not in sizes]
    with _compiled(model, options) if is_source else _opened(model, options) as graph:
        given = read_inputs(graph, files, colours, model.parent if model.is_file() else model)
        if is_random:
            given |= random_inputs(graph, given, sizes, seed)
        require_all(graph, given)
        if output is not None and output.suffix == ".npy" and len(graph.outputs) != 1:
            raise UsageError(
                f"{output} holds one array.",
                why=f"The graph gives {len(graph.outputs)}: {', '.join(graph.outputs)}.",
                hint="End it in .npz.",
            )
        found = graph.run(given)
        times = None if repeat is None else _times(graph, given, repeat)
        threads = graph.threads
    if output is not None:
        from hearth.arrays import write_arrays

        write_arrays(output, found)
    _print(model, given, found, times, threads, as_json)


def _compiled(model: Path, options: Mapping[str, Any]) -> Graph:
    import hearth

    with showing_progress() as progress:
        return hearth.compile(
            model, sizes=dict(options["sizes"]), quant=options["quant"], calibrate=options["calibrate"],
            precision=options["precision"], threads=options["threads"], progress=progress,
        )  # fmt: skip


def _opened(model: Path, options: Mapping[str, Any]) -> Graph:
    """A graph that is compiled already. Raises UsageError for options that say how."""
    import hearth

    if not model.is_dir():
        raise ModelNotFound(
            f"{model} is no graph.",
            why="It is neither an .onnx or .pt2 file nor the folder of a compiled one.",
            hint="Models with a name have other verbs: `hearth run`, `hearth vision`, `hearth embed`.",
        )
    for name in _FOR_COMPILING:
        if options[name] not in (None, "default", []):
            raise UsageError(
                f"--{name.removesuffix('s')} says how a graph is compiled.",
                why=f"{model} is no .onnx or .pt2 file, but compiled already.",
                hint="Name the file that it was made of, or leave it out.",
            )
    return hearth.Graph(model, threads=options["threads"], trust_bundle=options["trust_bundle"])


def _check_output(output: Path) -> None:
    """Makes sure, before anything is computed, that results have a place."""
    if output.suffix.lower() not in (".npz", ".npy"):
        raise UsageError(f"{output} is no name for arrays.", hint="End it in .npz, or in .npy for a single output.")
    if not output.parent.is_dir():
        raise StorageError(f"{output} cannot be written.", why=f"{output.parent} is no folder.")


def _times(graph: Graph, inputs: Mapping[str, NDArray[Any]], repeat: int) -> Spread:
    """Milliseconds of a run."""
    from hearth.measure.bench import Spread

    times = []
    for _ in range(repeat):
        begin = time.perf_counter()
        graph.run(inputs)
        times.append(1e3 * (time.perf_counter() - begin))
    return Spread.of(times)


def _print(
    model: Path, given: Mapping[str, NDArray[Any]], found: Mapping[str, NDArray[Any]], times: Spread | None,
    threads: int, as_json: bool,
) -> None:  # fmt: skip
    from dataclasses import asdict

    from hearth.cli.show_graph import shape_text
    from hearth.cli.table import print_facts, print_table
    from hearth.units import counted

    summaries = {name: _summary(array) for name, array in found.items()}
    if as_json:
        data = {
            "model": str(model),
            "threads": threads,
            "inputs": [_as_json(name, array) for name, array in given.items()],
            "outputs": [_as_json(name, array) | summaries[name] for name, array in found.items()],
            "time_ms": None if times is None else asdict(times),
        }
        click.echo(json.dumps(data, ensure_ascii=False))
        return
    if times is not None:
        spread = f"{times.median:.3g} ms ({times.min:.3g} to {times.max:.3g})"
        print_facts([("a run", f"{spread}, {counted(threads, 'thread')}")])
        click.echo()
    rows = [
        (name, str(array.dtype), shape_text(array.shape), *(_number(summaries[name][key]) for key in _KEYS))
        for name, array in found.items()
    ]
    print_table(("OUTPUT", "TYPE", "SHAPE", "LEAST", "MEAN", "MOST"), rows)
    for name, summary in summaries.items():
        if summary["not_finite"]:
            note(f"{counted(summary['not_finite'], 'number')} of {name} are no finite numbers, and left out of these.")


_KEYS = ("min", "mean", "max")


def _as_json(name: str, array: NDArray[Any]) -> dict[str, Any]:
    return {"name": name, "dtype": str(array.dtype), "shape": list(array.shape)}


def _summary(array: NDArray[Any]) -> dict[str, Any]:
    """Least, mean and greatest of the finite numbers, and how many are not; None where there are none."""
    import numpy as np

    finite = array[np.isfinite(array)]
    values = (finite.min(), finite.mean(dtype=np.float64), finite.max()) if finite.size else (None,) * 3
    numbers = {key: None if value is None else value.item() for key, value in zip(_KEYS, values, strict=True)}
    return {**numbers, "not_finite": array.size - finite.size}


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return str(value) if isinstance(value, int) else f"{value:.4g}"
