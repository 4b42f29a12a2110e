"""Pictures on the command line: where they come from, and how what was seen in them is printed."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hearth.cli.inputs import has_piped_text
from hearth.cli.table import print_table
from hearth.errors import StorageError, UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_STANDARD_INPUT = "standard input"


@dataclass(frozen=True)
class Picture:
    """A picture that was named; `pixels` once it is read. `stem`: what a file that is made of it is called."""

    name: str
    stem: str
    source: Path | bytes
    pixels: NDArray[np.uint8] | None = None

    @property
    def drawn(self) -> str:
        """What the file is called that shows what was found in it, among others in a folder."""
        return f"{self.stem}.png"

    def read(self) -> Picture:
        """Raises as `hearth.image.read_image`."""
        from hearth.image import read_image

        return replace(self, pixels=read_image(self.source, self.name), source=b"")


def pictures_of(given: Sequence[str]) -> Iterator[Picture]:
    """The pictures that are meant: files, those in folders by name, standard input.

    Raises:
        UsageError: none are named, or standard input is to be one and nothing comes from it.
        StorageError: a folder cannot be read, or has no pictures.
    """
    from hearth.image.folder import pictures_in

    if not given:
        raise UsageError("No picture is named.", hint="hearth vision MODEL photo.jpg")
    if list(given).count("-") > 1:
        raise UsageError("Standard input is one picture.", hint="Name - once.")
    for name in given:
        if name == "-":
            if not has_piped_text():
                raise UsageError("No picture comes from standard input.", hint="hearth vision MODEL - < photo.jpg")
            yield Picture(_STANDARD_INPUT, "stdin", sys.stdin.buffer.read())
        elif Path(name).is_dir():
            yield from (Picture(str(path), path.name, path) for path in pictures_in(Path(name)))
        else:
            yield Picture(name, Path(name).name, Path(name))


@dataclass(frozen=True)
class Seen:
    """What was seen in a picture, as rows of a table."""

    name: str
    rows: Sequence[tuple[str, ...]]


def print_seen(seen: Sequence[Seen], task: str) -> None:
    """A table of what was seen; with the pictures' names in front where there are several."""
    if seen and not any(each.rows for each in seen):
        click.echo("Nothing was found.")
    elif len(seen) == 1:
        print_table(_HEADS[task], seen[0].rows)
    elif seen:
        print_table(("IMAGE", *_HEADS[task]), [(each.name, *row) for each in seen for row in each.rows])


_HEADS = {
    "classify": ("LABEL", "SCORE"),
    "zero_shot": ("LABEL", "SCORE"),
    "detect": ("OBJECT", "SCORE", "LEFT", "TOP", "RIGHT", "BOTTOM"),
    "segment": ("REGION", "SHARE"),
    "depth": ("LEAST", "MEDIAN", "MOST", "UNIT"),
    "embed": ("SIZE", "FIRST NUMBERS"),
}
_FIRST = 4


def rows_of(result: Any) -> list[tuple[str, ...]]:
    """What was seen, for a table."""
    from hearth.vision import Box, Depth, Segmentation
    from hearth.vision.telling import spread

    if isinstance(result, Segmentation):
        return [(region.label, f"{region.share:.1%}") for region in result.regions]
    if isinstance(result, Depth):
        unit = "metres" if result.metric else "none; larger is nearer"
        return [(*(f"{value:.3g}" for value in spread(result).values()), unit)]
    if not isinstance(result, list):
        return [(str(len(result)), " ".join(f"{value:.4f}" for value in result[:_FIRST].tolist()) + " ...")]
    rows = []
    for each in result:
        edges = (each.left, each.top, each.right, each.bottom) if isinstance(each, Box) else ()
        rows.append((each.label, f"{each.score:.1%}", *(f"{edge:.0f}" for edge in edges)))
    return rows


def write_drawn(picture: Picture, result: Any, path: Path) -> None:
    """Writes the picture with what was seen in it. Raises StorageError."""
    from hearth.vision.draw import annotated

    assert picture.pixels is not None
    try:
        annotated(picture.pixels, result).save(path)
    except (OSError, ValueError) as error:
        raise StorageError(f"{path} cannot be written.", why=f"{error}.") from error
