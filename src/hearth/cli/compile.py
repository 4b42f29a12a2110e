"""`hearth compile MODEL`: make a bundle, for this machine or another."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click

from hearth.cli.options import examples, format_options
from hearth.errors import CompileError, UsageError


@click.command(
    "compile",
    epilog=examples(
        "hearth compile Qwen/Qwen3-0.6B --quant q4",
        "hearth compile ./model.gguf --output ./model.bundle",
        "hearth compile starter --target aarch64-linux --output ./for-the-phone",
        "hearth compile starter --isa avx2,avx512vnni --output ./for-many",
    ),
)
@click.argument("model")
@format_options
@click.option("--context", type=int, help="Tokens that the bundle can hold at most [what the model was made for].")
@click.option("--output", type=click.Path(path_type=Path), metavar="DIR", help="Write the bundle to this new folder.")
@click.option("--dump-ir", type=click.Path(path_type=Path), metavar="DIR", help="Write the module after each phase.")
@click.option("--target", metavar="TRIPLE", help="Machine to compile for [this one].")
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
    context: int | None,
    output: Path | None,
    dump_ir: Path | None,
    target: str | None,
    isa: str | None,
    force: bool,
    offline: bool,
) -> None:
    """Compile MODEL into a bundle: native code, packed weights and tokenizer in one folder.

    Verbs that run a model do this by themselves; `compile` is for doing it ahead, for other machines, or for looking
    inside. The bundle's path goes to standard output.
    """
    from hearth.bundle import open_bundle
    from hearth.cli.progress import showing_progress
    from hearth.hub import complete
    from hearth.model.text.kv_cache import kv_format
    from hearth.prepare import COMPILE_HINT, check_fit, compile_progress, fetch
    from hearth.runtime import available_bytes
    from hearth.units import format_bytes

    if output is not None and output.exists():
        raise UsageError(f"{output} exists already.", hint="Name a new folder, or remove that one.")
    begin = time.monotonic()
    with showing_progress() as progress:
        # A bundle that goes elsewhere need not fit here.
        limits: dict[str, Any] = {
            "quant": quant,
            "head": head,
            "kv": kv_format(kv, precision),
            "context": context,
            "memory_bytes": available_bytes() if output is None and target is None else None,
        }
        source = fetch(model, offline=offline, progress=progress, **limits)
        if source.kind == "bundle":
            raise UsageError(f"{model} is compiled already.", hint="Compile the model that it was made of.")
        if not offline:
            complete(source)
        check_fit(source, **limits)
        try:
            from hearth.compiler import compile_model

            folder = compile_model(
                source.path,
                name=source.name,
                quant=quant,
                head=head,
                precision=precision,
                kv=kv,
                context=context,
                target=target,
                isa=isa,
                output=output,
                dump_ir=dump_ir,
                progress=compile_progress(progress),
                force=force,
            )
        except ImportError as error:
            raise CompileError("The compiler is not installed.", why=f"({error})", hint=COMPILE_HINT) from error
    bundle = open_bundle(folder, for_this_machine=False)
    seconds = time.monotonic() - begin
    made = bundle.manifest
    click.echo(
        f"{source.name}: {format_bytes(bundle.size_bytes)}, {made.formats},"
        f" for {made.target} ({made.isas}); {seconds:.1f} s.",
        err=True,
    )
    click.echo(str(folder))
