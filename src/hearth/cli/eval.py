"""`hearth eval MODEL FILE|FOLDER`: how good a model is at a text or at pictures, and what a number format costs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from hearth.cli.options import FORMATS, eval_options, examples
from hearth.errors import UsageError

# Options that only one of the two has a use for, by the name of their parameter.
_OF_TEXT = ("against_precision", "against_kv", "window", "stride", "max_chars", "head", "kv", "context")
_OF_PICTURES = ("labels", "max_pictures", "template", "calibrate")


@click.command(
    "eval",
    epilog=examples(
        "hearth eval starter book.txt",
        "hearth eval MODEL book.txt --quant q4 --against f16 --window 512 --stride 256",
        "hearth eval MODEL book.txt --against-precision high",
        "hearth eval MODEL book.txt --precision fast --against-precision default",
        "hearth eval MODEL book.txt --kv q8 --against-kv f16",
        "hearth eval facebook/deit-tiny-patch16-224 validation/ --quant int8 --quant w4a8 --calibrate training/",
    ),
)
@click.argument("model")
@click.argument("place", metavar="FILE|FOLDER", type=click.Path(path_type=Path))
@click.option(
    "--against",
    type=click.Choice(FORMATS),
    help="Compare with the same model in this format (the original) [of pictures: f32].",
)
@click.option(
    "--against-precision",
    type=click.Choice(["default", "high", "fast"]),
    help="Compare with the same model computed like this (high: 32-bit floats; fast: coarser prompts).",
)
@click.option(
    "--against-kv", type=click.Choice(["f16", "q8"]), help="Compare with the same model with such keys and values."
)
@click.option("--window", type=int, help="Tokens that the model sees at a time [512].")
@click.option("--stride", type=int, help="Tokens from one window to the next [half the window].")
@click.option("--max-chars", type=int, help="Read only the beginning of the text.")
@click.option(
    "--labels",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="What pictures show, a line PICTURE,LABEL each [the names of their folders].",
)
@click.option("--template", metavar="TEXT", help='The sentence around labels, for CLIP and SigLIP ["a photo of {}"].')
@click.option("--max-pictures", type=click.IntRange(1), help="Look at so many of the pictures, evenly chosen [all].")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@eval_options
@click.pass_context
def command(
    ctx: click.Context,
    /,
    model: str,
    place: Path,
    against: str | None,
    against_precision: str | None,
    against_kv: str | None,
    window: int | None,
    stride: int | None,
    max_chars: int | None,
    labels: Path | None,
    template: str | None,
    max_pictures: int | None,
    as_json: bool,
    quants: tuple[str, ...],
    calibrate: str | None,
    **options: Any,
) -> None:
    """Measure how good MODEL is: the perplexity of a text FILE, or answers about the pictures of a FOLDER.

    A text is cut into windows that overlap by window - stride tokens, which only give context; each token counts
    once; lower is better. With --against, --against-precision or --against-kv, the model predicts the same text in that
    format, with that precision, or with such keys and values too, and how far they are apart is told as well: the
    Kullback-Leibler divergence from the other's predictions to this one's, and how often both hold the same token
    likeliest.

    Pictures in folders named after what they show are labelled: how often is the model right? For each --quant
    it is told how near its answers are to those of the model in f32: how often both say the same, and the cosine of
    the network's outputs, on average and at worst.
    """
    if place.is_dir():
        _refuse(ctx, _OF_TEXT, f"{place} is a folder of pictures")
        from hearth.cli.eval_pictures import eval_pictures

        eval_pictures(
            model, place, quants=quants, calibrate=calibrate, against=against, labels=labels, template=template,
            max_pictures=max_pictures, as_json=as_json, options=options,
        )  # fmt: skip
        return
    _refuse(ctx, _OF_PICTURES, f"{place} is no folder of pictures")
    if len(quants) > 1:
        raise UsageError("A text is measured in one format.", hint=f"--quant {quants[0]} --against {quants[1]}")
    from hearth.cli.eval_text import eval_text

    eval_text(
        model, place, against=against, against_precision=against_precision, against_kv=against_kv, window=window,
        stride=stride, max_chars=max_chars, as_json=as_json, options={"quant": next(iter(quants), None), **options},
    )  # fmt: skip


def _refuse(ctx: click.Context, names: Sequence[str], why: str) -> None:
    """Raises UsageError where an option is given that means nothing here."""
    for parameter in ctx.command.params:
        if parameter.name in names and ctx.params.get(parameter.name) is not None:
            raise UsageError(f"{parameter.opts[-1]} says nothing here.", why=f"{why}.")
