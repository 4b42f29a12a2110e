"""`hearth eval MODEL FOLDER`: how often a model is right about pictures, and what a number format changes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hearth.cli.progress import showing_progress
from hearth.cli.terminal import note
from hearth.units import format_bytes

if TYPE_CHECKING:
    from hearth.measure import VisionQuality
    from hearth.vision import Vision

_SHARED = ("precision", "threads", "mmap", "offline", "trust_bundle")
_ORIGINAL = "f32"
_DEFAULT = "int8"


def eval_pictures(
    model: str,
    folder: Path,
    *,
    quants: Sequence[str],
    calibrate: str | None,
    against: str | None,
    labels: Path | None,
    template: str | None,
    max_pictures: int | None,
    as_json: bool,
    options: Mapping[str, Any],
) -> None:
    """Prints a row for the original, and one for each number format."""
    from hearth.calibrate import check_calibration
    from hearth.image.folder import spread
    from hearth.measure import compare_vision, labelled_pictures
    from hearth.prepare import Progress
    from hearth.quant.mixed import MIXTURES

    pictures = labelled_pictures(folder, labels)
    pictures = spread(pictures, max_pictures or len(pictures))
    settings = {name: options[name] for name in _SHARED}
    quants = quants or [_DEFAULT]
    check_calibration(next((quant for quant in quants if quant in MIXTURES), quants[0]), calibrate)
    with _opened(model, [against or _ORIGINAL, *quants], calibrate, settings) as models:
        base, *others = models.values()
        for notice in base.info.notices:
            note(notice)
        with showing_progress() as progress:
            found = compare_vision(
                base,
                others,
                pictures,
                told=lambda done, total: progress(Progress("look", "pictures", done, total)),
                **({} if template is None else {"template": template}),
            )
    for notice in found.notices:
        note(notice)
    rows = [
        _Row(quant, vision.info.manifest.facts.weights_bytes, quality)
        for (quant, vision), quality in zip(models.items(), [found.base, *found.others], strict=True)
    ]
    if as_json:
        formats = [{"quant": row.quant, "weights_bytes": row.weights_bytes, **asdict(row.quality)} for row in rows]
        click.echo(json.dumps({"model": model, "task": base.info.task, "formats": formats}, ensure_ascii=False))
    else:
        _print(rows)


@dataclass(frozen=True)
class _Row:
    """A number format, its weights' bytes, and how good the model is in it."""

    quant: str
    weights_bytes: int
    quality: VisionQuality


@contextmanager
def _opened(
    model: str, quants: Sequence[str], calibrate: str | None, settings: Mapping[str, Any]
) -> Iterator[dict[str, Vision]]:
    """The model in each of these number formats; a bundle once, in its own."""
    from hearth.hub import resolve
    from hearth.quant.mixed import MIXTURES
    from hearth.vision import Vision

    with ExitStack() as stack:
        with showing_progress() as progress:

            def opened(quant: str | None) -> Vision:
                folder = calibrate if quant in MIXTURES else None
                vision = Vision(model, quant=quant, calibrate=folder, progress=progress, **settings)
                return stack.enter_context(vision)

            compiled = resolve(model, offline=settings["offline"]).kind == "bundle"
            models = {quant: opened(quant) for quant in dict.fromkeys(quants)} if not compiled else {}
            if compiled:
                bundle = opened(None)
                models[bundle.info.manifest.quant] = bundle
        if compiled:
            note(f"{model} is compiled already: it is judged as it is, and compared with nothing.")
        yield models


def _print(rows: Sequence[_Row]) -> None:
    from hearth.cli.table import print_table

    heads = ("WEIGHTS", "SIZE", "PICTURES", "TOP-1", "TOP-5", "SAME AS FIRST", "COSINE", "LEAST")
    lines = [
        (
            row.quant,
            format_bytes(row.weights_bytes),
            str(row.quality.tried),
            *map(_percent, (row.quality.top1, row.quality.top5, row.quality.agreement)),
            *map(_number, (row.quality.cosine, row.quality.least_cosine)),
        )
        for row in rows
    ]
    used = [i for i in range(len(heads)) if any(line[i] for line in lines)]
    print_table([heads[i] for i in used], [[line[i] for i in used] for line in lines])


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share:.2%}"


def _number(cosine: float | None) -> str:
    return "" if cosine is None else f"{cosine:.5f}"
