"""`hearth vision MODEL IMAGE...`: what a model sees in pictures."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hearth.cli.options import ANY_FORMATS, calibrate_option, examples, source_options
from hearth.cli.pictures import Picture, Seen, pictures_of, print_seen, rows_of, write_drawn
from hearth.cli.progress import showing_progress
from hearth.cli.sides import Sides
from hearth.cli.terminal import is_terminal, note, tell_error
from hearth.errors import HearthError, StorageError, UsageError
from hearth.units import counted

if TYPE_CHECKING:
    from hearth.vision import Vision

_AT_ONCE = 8


@click.command(
    "vision",
    epilog=examples(
        "hearth vision google/vit-base-patch16-224 cat.jpg",
        "hearth vision facebook/detr-resnet-50 street.jpg --threshold 0.8 -o found.png",
        'hearth vision openai/clip-vit-base-patch32 photos/ --labels "a cat, a dog, a bird" --json',
        "curl -s https://example.org/a.png | hearth vision MODEL -",
    ),
)
@click.argument("model")
@click.argument("images", nargs=-1, metavar="IMAGE...|FOLDER|-")
@click.option(
    "--labels",
    metavar="A,B,...|FILE",
    help="What to choose among (CLIP, SigLIP); for others, names instead of the model's own. A file has one a line.",
)
@click.option("--template", metavar="TEXT", help='The sentence around each of --labels ["This is a photo of {}."].')
@click.option("--top", type=click.IntRange(1), help="So many labels, the best first [5; of --labels all].")
@click.option(
    "--threshold",
    type=click.FloatRange(0, 1),
    default=0.5,
    show_default=True,
    help="Objects at least this sure, 0 to 1.",
)
@click.option("--size", type=Sides(), metavar="HxW", help="Bring all pictures to this size [as the authors do].")
@click.option("--json", "as_lines", is_flag=True, help="A JSON object for each picture, a line each.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE|DIR",
    help="Draw what was found into the picture: a file for one, a folder for several.",
)
@click.option("--quant", type=click.Choice(ANY_FORMATS), help="Number format of the weights [int8].")
@calibrate_option
@click.option(
    "--precision",
    type=click.Choice(["default", "high"]),
    default="default",
    help="high computes with 32-bit floats: slower, closest to the original.",
)
@click.option("--threads", type=int, help="Threads that compute [physical cores this process may use].")
@click.option("--mmap", is_flag=True, help="Map the weights instead of copying them: shared between processes.")
@source_options
def command(
    model: str,
    images: tuple[str, ...],
    labels: str | None,
    template: str | None,
    top: int | None,
    threshold: float,
    as_lines: bool,
    output: Path | None,
    **options: Any,
) -> None:
    """Say what MODEL sees in each IMAGE: labels, objects, regions, depths or vectors, whichever it was made for.

    Of a FOLDER all pictures are looked at, by name; - is a picture from standard input. Pictures never leave this
    machine.
    """
    from hearth.vision.asking import Asked
    from hearth.vision.telling import as_json

    pictures = list(pictures_of(images))
    names = _labels(labels)
    if output is not None:
        _check_output(output, pictures)
    asked = Asked(tuple(names or ()), template, top, threshold)
    failed: list[HearthError] = []
    seen: list[Seen] = []
    with _opened(model, names, options) as vision:
        for notice in vision.info.notices:
            note(notice)
        look = asked.looker(vision)
        # Lines that come while a bar is drawn on the same terminal would break it.
        quiet = len(pictures) == 1 or (as_lines and is_terminal(sys.stdout))
        with nullcontext(None) if quiet else showing_progress() as progress:
            for picture, result in _looked(look, pictures, failed, progress):
                if output is not None:
                    write_drawn(picture, result, output / picture.drawn if len(pictures) > 1 else output)
                if as_lines:
                    click.echo(json.dumps({"image": picture.name, **as_json(result)}, ensure_ascii=False))
                seen.append(Seen(picture.name, () if as_lines else rows_of(result)))
        if not as_lines:
            print_seen(seen, vision.info.task)
    if output is not None and seen:
        note(f"{counted(len(seen), 'picture')} drawn: {output}")
    if failed:
        if len(pictures) > 1:
            note(f"{counted(len(failed), 'picture')} of {len(pictures)} could not be looked at.")
        sys.exit(failed[0].exit_code)


def _opened(model: str, names: Sequence[str] | None, options: dict[str, Any]) -> Vision:
    from hearth.vision import Vision

    with showing_progress() as progress:
        vision = Vision(model, progress=progress, **options)
    if names is not None and vision.info.task != "zero_shot":
        return vision.with_labels(names)
    return vision


def _looked(
    look: Callable[[list[Any]], Sequence[Any]],
    pictures: Sequence[Picture],
    failed: list[HearthError],
    progress: Callable[[Any], None] | None,
) -> Iterator[tuple[Picture, Any]]:
    """Pictures and what was seen in them; of several, one that cannot be read is told and left out."""
    from hearth.prepare import Progress

    for begin in range(0, len(pictures), _AT_ONCE):
        read: list[Picture] = []
        for picture in pictures[begin : begin + _AT_ONCE]:
            try:
                read.append(picture.read())
            except HearthError as error:
                if len(pictures) == 1:
                    raise
                tell_error(error.what, error.why, error.hint)
                failed.append(error)
        if read:
            yield from zip(read, look([picture.pixels for picture in read]), strict=True)
        if progress is not None:
            progress(Progress("look", "pictures", min(begin + _AT_ONCE, len(pictures)), len(pictures)))


def _labels(given: str | None) -> list[str] | None:
    """Names with commas between them, or the lines of a file."""
    if given is None:
        return None
    path = Path(given)
    try:
        is_file = path.is_file()
    except OSError:  # longer than any name of a file
        is_file = False
    if is_file:
        from hearth.cli.inputs import read_file

        names = [line.strip() for line in read_file(path).splitlines()]
    else:
        names = [name.strip() for name in given.split(",")]
    names = [name for name in names if name]
    if not names:
        raise UsageError("--labels names nothing.", hint='As in: --labels "a cat, a dog".')
    return names


def _check_output(output: Path, pictures: Sequence[Picture]) -> None:
    """Makes sure, before anything is computed, that what is drawn has a place."""
    if len(pictures) == 1:
        if output.suffix.lower() not in (".png", ".jpg", ".jpeg", ".webp"):
            raise UsageError(f"{output} is no name for a picture.", hint="End it in .png, .jpg or .webp.")
        if not output.parent.is_dir():
            raise StorageError(f"{output} cannot be written.", why=f"{output.parent} is no folder.")
        return
    places: dict[str, Picture] = {}
    for picture in pictures:
        other = places.setdefault(picture.drawn, picture)
        if other is not picture:
            raise UsageError(
                f"Two pictures would be drawn into {output / picture.drawn}.",
                why=f"They are {other.name} and {picture.name}.",
                hint="Draw the pictures of one folder at a time.",
            )
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"{output} cannot be a folder.", why=f"{error.strerror or error}.") from error
