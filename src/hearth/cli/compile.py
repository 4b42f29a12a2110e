"""`hearth compile MODEL`: make a bundle, for this machine or another."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hearth.cli.options import compile_options, examples
from hearth.cli.sides import AnySize
from hearth.errors import CompileError, UsageError

if TYPE_CHECKING:
    from hearth.checkpoint.types import Checkpoint
    from hearth.model.kinds import KindName


@click.command(
    "compile",
    epilog=examples(
        "hearth compile Qwen/Qwen3-0.6B --quant q4",
        "hearth compile ./model.gguf --output ./model.bundle",
        "hearth compile starter --target aarch64-linux --output ./for-the-phone",
        "hearth compile starter --target wasm32 --output ./for-a-page",
        "hearth compile starter --isa avx2,avx512vnni --output ./for-many",
        "hearth compile facebook/detr-resnet-50 --size 480x640",
        "hearth compile ./model.onnx --size batch=1 --output ./graph",
        "hearth compile ./model.onnx --quant w4a8 --calibrate pictures/",
    ),
)
@click.argument("model")
@compile_options
@click.option("--context", type=int, help="Tokens that the bundle can hold at most [what the model was made for].")
@click.option(
    "--size",
    "sizes",
    type=AnySize(),
    multiple=True,
    metavar="HxW|NAME=N[:MOST]",
    help="Height and width of the pictures that a model is to take. Or a size that an ONNX or PyTorch graph leaves"
    " open: a number, or least and most; may be repeated.",
)
@click.option("--output", type=click.Path(path_type=Path), metavar="DIR", help="Write the bundle to this new folder.")
@click.option("--dump-ir", type=click.Path(path_type=Path), metavar="DIR", help="Write the module after each phase.")
@click.option("--target", metavar="TRIPLE", help="Machine to compile for, wasm32 for browsers [this one].")
@click.option(
    "--isa",
    metavar="NAMES",
    help="Instruction sets to carry, such as avx2,avx512vnni or all; the best that a processor has is used"
    " [this machine's best; for another target all made for its architecture].",
)
@click.option("--force", is_flag=True, help="Compile again even if it is in the cache.")
@click.option("--offline", is_flag=True, help="Never use the network.")
def command(
    model: str,
    quant: str | None,
    head: str | None,
    precision: Any,
    kv: Any,
    calibrate: str | None,
    context: int | None,
    sizes: tuple[tuple[str, Any], ...],
    output: Path | None,
    dump_ir: Path | None,
    target: str | None,
    isa: str | None,
    force: bool,
    offline: bool,
) -> None:
    """Compile MODEL into a bundle: native code, packed weights and tokenizer in one folder.

    Verbs that run a model do this by themselves; `compile` is for doing it ahead, for other machines, or for looking
    inside. MODEL may also be a graph of any kind of network: an .onnx file, or a .pt2 file of torch.export. For
    wasm32 a language model is compiled for this machine, too, to write down some of what it computes: pages check
    their GPU with that. The bundle's path goes to standard output.
    """
    from hearth.bundle import open_bundle
    from hearth.checkpoint.graphs import is_graph
    from hearth.cli.progress import showing_progress
    from hearth.prepare import COMPILE_HINT, compile_progress, with_known_answers
    from hearth.units import format_bytes

    if output is not None and output.exists():
        raise UsageError(f"{output} exists already.", hint="Name a new folder, or remove that one.")
    begin = time.monotonic()
    graph = is_graph(Path(model))
    if graph and (head or kv or context):
        raise UsageError(f"{model} is a graph.", why="--head, --kv and --context are for language models.")
    if any(bool(name) != graph for name, _ in sizes) or (len(sizes) > 1 and not graph):
        raise UsageError(
            "--size NAME=N is for .onnx and .pt2 files, --size HxW for models that look at pictures.",
            why=f"{model} is {'a graph' if graph else 'no such file'}.",
        )
    options: dict[str, Any] = {
        "target": target, "isa": isa, "output": output, "dump_ir": dump_ir, "force": force,
    }  # fmt: skip
    pictures = None if calibrate is None else str(Path(calibrate).resolve())
    wanted: dict[str, Any] = {
        "quant": quant, "head": head, "precision": precision, "kv": kv, "context": context, "calibrate": pictures,
        "size": dict(sizes).get(""),
    }  # fmt: skip
    with showing_progress() as progress:
        try:
            if graph:
                from hearth.calibrate import calibration_of
                from hearth.compiler.imported import compile_graph

                report = compile_progress(progress)
                folder = compile_graph(
                    Path(model), name=model, sizes=dict(sizes), quant=quant, precision=precision, progress=report,
                    calibration=calibration_of(quant, calibrate), **options,
                )  # fmt: skip
            else:
                folder = compile_checkpoint(model, wanted, offline, progress, options)
            bundle = open_bundle(folder, for_this_machine=False)
            if not graph:
                bundle = with_known_answers(bundle, model, progress=progress, offline=offline, **wanted)
        except ImportError as error:
            raise CompileError("The compiler is not installed.", why=f"({error})", hint=COMPILE_HINT) from error
    seconds = time.monotonic() - begin
    made = bundle.manifest
    click.echo(
        f"{made.source_name}: {format_bytes(bundle.size_bytes)}, {made.formats},"
        f" for {made.target} ({made.isas}); {seconds:.1f} s.",
        err=True,
    )
    click.echo(str(folder))


def compile_checkpoint(
    model: str,
    wanted: Any,
    offline: bool,
    progress: Any,
    options: dict[str, Any],
    kinds: Sequence[KindName] | None = None,
    require: Callable[[str, Checkpoint], None] | None = None,
) -> Path:
    """Compiles a model by its name, of whatever kind it is, or of one of `kinds`. Returns the bundle's folder.

    Args:
        require: refuses a model, by its name and its files, before time goes into compiling it.
    """
    from hearth.compiler.cpu.targets import addressed_bytes
    from hearth.hub import complete
    from hearth.prepare import ANY_KIND, compile_progress, fetch, preparer_of
    from hearth.runtime import available_bytes

    # A bundle that goes elsewhere need not fit here, but what its machine can address at all.
    target, here = options["target"], options["output"] is None
    memory_bytes = addressed_bytes(target) if target is not None else available_bytes() if here else None
    kinds = kinds or ANY_KIND
    source = fetch(model, kinds=kinds, offline=offline, progress=progress, memory_bytes=memory_bytes, **wanted)
    if source.kind == "bundle":
        raise UsageError(f"{model} is compiled already.", hint="Compile the model that it was made of.")
    if not offline:
        complete(source)
    preparer = preparer_of(source, kinds)
    preparer.refuse_foreign(model, wanted)
    own = preparer.own(wanted)
    if require is not None:
        require(source.name, preparer.open(source, own))
    preparer.check(source, own, memory_bytes)
    return preparer.compile(source, own, progress=compile_progress(progress), **options)
