"""`hearth tune MODEL`: search the fastest kernels of this processor, and keep them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from hearth.cli.options import examples, format_options
from hearth.cli.terminal import note
from hearth.errors import CompileError, UsageError

if TYPE_CHECKING:
    from hearth.tuner import TuneResult
    from hearth.tuner.decide import Gain


@click.command(
    "tune",
    epilog=examples(
        "hearth tune Qwen/Qwen3-0.6B",
        "hearth tune ./model.gguf --budget 600 --threads 4",
        "hearth tune --reset",
    ),
)
@click.argument("model", required=False)
@format_options
@click.option("--context", type=int, help="As for compile [what the model was made for].")
@click.option("--threads", type=int, help="Threads that the model will run with [physical cores].")
@click.option("--isa", metavar="NAME", help="Instruction set of this processor [the best].")
@click.option("--budget", type=float, default=120.0, show_default=True, metavar="SECONDS", help="For the search.")
@click.option("--dry-run", is_flag=True, help="Search and show; keep nothing.")
@click.option("--reset", is_flag=True, help="Forget all results for this processor; needs no MODEL.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--offline", is_flag=True, help="Never use the network.")
def command(
    model: str | None,
    quant: str | None,
    head: str | None,
    precision: Any,
    kv: Any,
    context: int | None,
    threads: int | None,
    isa: str | None,
    budget: float,
    dry_run: bool,
    reset: bool,
    as_json: bool,
    offline: bool,
) -> None:
    """Search how MODEL's products are computed fastest here, and keep that for this model of processor.

    Every later compile on such a processor uses it, of this model and of others with the same kernels. Answers do not
    change: what is kept has given the same numbers, bit for bit, as without it.
    """
    if reset:
        _reset(model)
        return
    if model is None:
        raise UsageError("No model is named.", hint="For example: hearth tune starter")
    from hearth.cli.progress import showing_progress
    from hearth.prepare import COMPILE_HINT, fetch
    from hearth.runtime import available_bytes

    with showing_progress() as progress:
        source = fetch(
            model, quant=quant, head=head, offline=offline, progress=progress, memory_bytes=available_bytes()
        )
        if source.kind == "bundle":
            raise UsageError(f"{model} is compiled already.", hint="Tune the model that it was made of.")
        try:
            from hearth.tuner import tune

            result = tune(
                source.path,
                name=source.name,
                quant=quant,
                head=head,
                precision=precision,
                kv=kv,
                context=context,
                isa=isa,
                threads=threads,
                budget_s=budget,
                keep=not dry_run,
                progress=progress,
            )
        except ImportError as error:
            raise CompileError("The compiler is not installed.", why=f"({error})", hint=COMPILE_HINT) from error
    if as_json:
        click.echo(json.dumps({"model": source.name, **result.to_json()}, ensure_ascii=False))
        return
    _print(result, dry_run)


def _reset(model: str | None) -> None:
    from hearth.compiler.cpu.tuning_record import record_path, remove_record

    if model is not None:
        raise UsageError("--reset forgets the results for all models; it takes no MODEL.")
    there = remove_record()
    click.echo(f"Removed {record_path()}." if there else "There are no results for this processor.", err=True)


def _print(result: TuneResult, dry_run: bool) -> None:
    from hearth.cli.table import print_table

    rows = []
    for found in result.kernels:
        t, by_rows = found.tuning, found.by_rows
        tile = t.tile_rows or found.product.spec.isa.tile_rows
        rows.append(
            [
                found.kernel,
                f"{found.weights_bytes / 1e6:.0f}",
                str(t.prefetch_bytes),
                str(tile),
                str(t.unroll),
                f"{t.stretch_bytes >> 10}",
                f"{t.chunk_bytes >> 10}",
                *(_percent(by_rows.get(count)) for count in (1, 4, 128)),
            ]
        )
    heads = ["kernel", "MB", "prefetch", "tile", "unroll", "stretch KB", "chunk KB", "1 row", "4 rows", "128 rows"]
    print_table(heads, rows)
    click.echo(f"{result.processor}, {result.isa}, {result.threads} threads, {result.search_s:.0f} s", err=True)
    if not result.complete:
        note("The budget ended the search; a larger --budget may find more.")
    if result.proof is not None:
        proof = result.proof
        click.echo(f"{proof.tokens} tokens predicted from the same bits, tuned and untuned.", err=True)
        click.echo(f"The model: decode {_percent(proof.decode)}, prefill {_percent(proof.prefill)}.", err=True)
        if result.record is None:
            note("The model got slower as a whole, so nothing is kept.")
    elif not dry_run:
        click.echo("Nothing is clearly faster than the default.", err=True)
    if result.record is not None:
        click.echo(str(result.record), err=True)


def _percent(gain: Gain | None) -> str:
    return "" if gain is None else f"{100 * (gain.ratio - 1):+.1f}% ±{100 * gain.error:.1f}"
