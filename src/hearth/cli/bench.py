"""`hearth bench MODEL`: how fast a model is on this machine."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hearth.cli.options import device_options, examples, format_options, open_llm, source_options
from hearth.errors import UsageError

if TYPE_CHECKING:
    from hearth.llm import LLM
    from hearth.measure import BenchResult
    from hearth.measure.bench import Spread

_PROMPT = 512


class Numbers(click.ParamType[list[int]]):
    """Whole numbers with commas between them: `1,2,4`."""

    name = "numbers"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> list[int]:
        if isinstance(value, list):
            return value
        try:
            return [int(part) for part in str(value).split(",")]
        except ValueError:
            self.fail(f"'{value}' is no whole number, nor several with commas between them.", param, ctx)


@click.command(
    "bench",
    epilog=examples(
        "hearth bench starter --prompt 128 --gen 64",
        "hearth bench MODEL --threads 1,2 --context 0,2048,8192 --batch 1,4,8",
        "hearth bench MODEL --prompt 512,2048 --gen 128 --repeat 5 --json",
        "hearth bench MODEL --profile --context 2048 --roofline roofline.svg",
    ),
)
@click.argument("model")
@click.option("--prompt", type=Numbers(), help=f"Tokens in [{_PROMPT}, or what the model's context has room for].")
@click.option("--gen", type=int, default=128, show_default=True, help="Tokens out.")
@click.option("--context", type=Numbers(), help="Decode with so many tokens in the cache already [as --prompt].")
@click.option("--batch", type=Numbers(), default="1", show_default=True, help="Sequences that decode at once.")
@click.option("--threads", type=Numbers(), help="Threads that compute [physical cores this process may use].")
@device_options
@click.option("--repeat", type=int, default=5, show_default=True, help="Rounds, after one that warms up.")
@click.option(
    "--profile", "by_kernel", is_flag=True, help="Where the time goes, kernel by kernel, and what binds each."
)
@click.option(
    "--roofline",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Draw the profile as a roofline picture: FILE.svg or FILE.png.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@format_options
@source_options
def command(
    model: str,
    prompt: list[int] | None,
    gen: int,
    context: list[int] | None,
    batch: list[int],
    threads: list[int] | None,
    repeat: int,
    by_kernel: bool,
    roofline: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Measure MODEL on this machine: prefill and decode speed, time to first token, memory.

    --prompt, --context, --batch and --threads take one number or several (1,2,4); everything is measured with each.
    Decoding reads all weights once a step, and the keys and values of the context: the share of the memory's
    bandwidth, read in the same run by as many threads, says how good it is on any machine. Tokens are random; GB and
    MB are decimal.
    """
    from hearth.measure import bench

    if by_kernel or roofline:
        _profile(model, prompt, gen, context, batch, threads, repeat, roofline, as_json, options)
        return
    most = _longest_context(model, options)
    prompt = prompt or [_default_prompt(most, gen)]
    # One more than is computed: a sequence that fills its context ends.
    options["context"] = max([*prompt, *(n + gen for n in context or prompt)]) + 1
    _check_room(model, options["context"], most)
    options["threads"] = threads[-1] if threads else None
    with open_llm(model, options) as llm:
        result = bench(
            llm, prompt=prompt, gen=gen, context=context, batch=batch, threads=threads, repeat=repeat, told=_told
        )
    if as_json:
        click.echo(json.dumps(result.to_json(), ensure_ascii=False))
    else:
        _print(result)


def _default_prompt(context_max: int, gen: int) -> int:
    """As long a prompt as is usual, or as a model with a small context can take before it writes `gen` tokens."""
    return max(1, min(_PROMPT, context_max - gen - 2))


def _longest_context(model: str, options: Mapping[str, Any]) -> int:
    """Tokens that a sequence of this model can have."""
    from hearth.cli.progress import showing_progress
    from hearth.prepare import prepare

    with showing_progress() as progress:
        opened = prepare(model, progress=progress, **options)
    return opened.bundle.manifest.language.context_max


def _check_room(model: str, needed: int, most: int) -> None:
    """Raises a UsageError that speaks of this verb's options, whose --context is not the context of others."""
    if needed > most:
        raise UsageError(
            f"The longest run would need {needed} tokens of context; {model} takes {most} at most.",
            hint="Choose a smaller --prompt, --context or --gen: the tokens of --gen come after those of --context.",
        )


def _told(done: int, total: int) -> None:
    if sys.stderr.isatty():
        click.echo(f"\rrun {done}/{total}", nl=done == total, err=True)


def _profile(
    model: str, prompt: list[int] | None, gen: int, context: list[int] | None, batch: list[int],
    threads: list[int] | None, repeat: int, roofline: Path | None, as_json: bool, options: dict[str, Any],
) -> None:  # fmt: skip
    """`--profile` and `--roofline`: one prefill and one kind of decode step."""
    from hearth.cli.profile import print_profile
    from hearth.measure import profile
    from hearth.measure.roofline import check_can_draw, draw_roofline

    for name, given in (("prompt", prompt), ("context", context), ("batch", batch), ("threads", threads)):
        if given is not None and len(given) > 1:
            raise UsageError(f"A profile is of one run: --{name} takes one number here, not {len(given)}.")
    if roofline:
        check_can_draw(roofline)
    most = _longest_context(model, options)
    tokens = prompt[0] if prompt else _default_prompt(most, gen)
    behind = context[0] if context else None
    options["context"] = max(tokens, (tokens if behind is None else behind) + gen) + 2
    _check_room(model, options["context"], most)
    options["threads"] = threads[0] if threads else None
    with open_llm(model, options) as llm:
        if llm.info.device.is_gpu:
            _profile_gpu(llm, tokens, gen, behind, batch[0], roofline, as_json)
            return
        result = profile(llm, prompt=tokens, gen=gen, repeat=repeat, context=behind, batch=batch[0], told=_told)
    if as_json:
        click.echo(json.dumps(result.to_json(), ensure_ascii=False))
    else:
        print_profile(result)
    if roofline:
        draw_roofline(result, roofline)
        click.echo(f"Roofline: {roofline}", err=True)


def _profile_gpu(
    llm: LLM, prompt: int, gen: int, context: int | None, batch: int, roofline: Path | None, as_json: bool
) -> None:
    """`--profile` on a GPU, whose limits nobody tells: which kernels ran, and how long."""
    from hearth.cli.profile import print_gpu_profile
    from hearth.measure.gpu_profile import profile_gpu

    if roofline or batch != 1:
        raise UsageError(
            f"{'--roofline' if roofline else '--batch'} is for models on the CPU.",
            why="A profile on a GPU is of one sequence, and what the GPU can do at most is not measured.",
            hint="Leave it out, or add --device cpu.",
        )
    result = profile_gpu(llm, prompt=prompt, gen=gen, context=context)
    if as_json:
        click.echo(json.dumps(result.to_json(), ensure_ascii=False))
    else:
        print_gpu_profile(result)


def _print(result: BenchResult) -> None:
    from hearth.cli.table import print_facts, print_table

    def spread(value: Spread) -> list[str]:
        return [f"{value.median:.1f}", f"{value.min:.1f} to {value.max:.1f}"]

    rows = []
    for read in result.memory:
        n = read.threads
        for p in (p for p in result.prefill if p.threads == n):
            rows.append([f"prefill {p.prompt}", f"{n}", *spread(p.tok_s), f"{p.ttft_ms.median:.0f} ms", "", "", "", ""])
        for d in (d for d in result.decode if d.threads == n):
            what = f"decode after {d.context}" + (f", {d.batch} at once" if d.batch > 1 else "")
            times = f"{d.speedup:.2f}x" if d.speedup else ""
            rate = [f"{d.mb_per_token:.1f} MB", f"{d.gb_s:.1f}", f"{100 * d.share:.0f}%", times]
            rows.append([what, f"{n}", *spread(d.tok_s), "", *rate])
        rows.append(["memory read", f"{n}", "", "", "", "", f"{read.read_gb_s.median:.1f}", "", ""])
    kinds = f"{result.precision}, KV {result.kv}, {result.isa}"
    heads = [
        "what",
        "threads",
        "tok/s",
        "least to most",
        "first token",
        "reads a token",
        "GB/s",
        "of memory",
        "to batch 1",
    ]
    print_facts(
        [
            (
                "model",
                f"{result.model} ({result.quant}, head {result.head}, {kinds})",
            ),
            ("runs", f"decode of {result.gen} tokens; medians of {result.repeat}"),
        ]
    )
    click.echo()
    print_table(heads, rows)
    click.echo()
    print_facts([("memory", _memory(result))])


def _memory(result: BenchResult) -> str:
    known = result.weights_mb + result.kv_mb
    text = f"weights {result.weights_mb:.0f} MB + keys and values {result.kv_mb:.0f} MB"
    if not result.peak_memory_mb:
        return text
    text += f"; peak {result.peak_memory_mb:.0f} MB, {result.peak_memory_mb - known:.0f} MB more"
    return text + " (compiled in this process: run again)" if "tvm" in sys.modules else text
