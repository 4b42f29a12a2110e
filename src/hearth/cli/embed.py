"""`hearth embed MODEL TEXT...`: vectors of texts."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from hearth.cli.options import examples
from hearth.cli.terminal import note
from hearth.cli.texts import POOLING, as_json, is_terminal, open_embedder, text_options, texts_of
from hearth.errors import StorageError, UsageError
from hearth.units import counted

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_PART = 256  # texts whose vectors are written before the next are made


@click.command(
    "embed",
    epilog=examples(
        'hearth embed MODEL "A cat sat on the mat."',
        "hearth embed MODEL passages.txt --kind document --format npy -o passages.npy",
        "cat lines.txt | hearth embed MODEL - > vectors.jsonl",
    ),
)
@click.argument("model")
@click.argument("texts", nargs=-1, metavar="TEXT...|FILE|-")
@click.option(
    "--kind",
    type=click.Choice(["query", "document"]),
    help="What the texts are: the model's prompt for such is put before each.",
)
@click.option("--prompt", metavar="NAME", help="Another of the model's prompts.")
@click.option("--dimensions", type=int, help="Cut vectors to so many numbers, where the model was made for it.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["jsonl", "plain", "npy"]),
    default="jsonl",
    help="A JSON object a line, numbers a line, or an array of NumPy's [jsonl].",
)
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write to this file [standard output].")
@POOLING
@text_options
def command(
    model: str,
    texts: tuple[str, ...],
    kind: str | None,
    prompt: str | None,
    dimensions: int | None,
    form: str,
    output: Path | None,
    truncate: bool,
    **options: Any,
) -> None:
    """Print a vector of each TEXT, made as MODEL's authors say.

    Each argument is a text; of a FILE, or of standard input, each line is one (of a .jsonl file: a JSON string, or an
    object with a "text"). Texts that are too long are refused unless --truncate says to cut them.
    """
    given = texts_of(texts, "text")
    if form == "npy" and output is None and is_terminal():
        raise UsageError("An array is no text for a terminal.", hint="Name a file: -o vectors.npy.")
    with open_embedder(model, options) as embedder:
        made = (
            (part, embedder.embed(part, kind=kind, prompt=prompt, dimensions=dimensions, truncate=truncate))  # type: ignore[arg-type]  # click has checked the kind
            for part in (given[begin : begin + _PART] for begin in range(0, len(given), _PART))
        )
        if output is None:
            _write(form, made, sys.stdout.buffer)
        else:
            with _file(output) as stream:
                _write(form, made, stream)
            note(f"{counted(len(given), 'vector')} in {output}.")


@contextmanager
def _file(path: Path) -> Iterator[BinaryIO]:
    """A file to write, which takes its place when all is written: a text that is refused leaves what was there.

    Raises:
        StorageError: it cannot be written.
    """
    path = path.resolve()
    in_place = path.exists() and not path.is_file()  # a device or a pipe, which no file may replace
    staged = path if in_place else path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with staged.open("wb") as stream:
            yield stream
        if not in_place:
            staged.replace(path)
    except OSError as error:
        raise StorageError(f"{path} cannot be written.", why=f"{error.strerror or error}.") from error
    finally:
        if not in_place:
            with suppress(OSError):
                staged.unlink(missing_ok=True)


def _write(form: str, made: Iterable[tuple[list[str], NDArray[np.float32]]], stream: BinaryIO) -> None:
    """Writes texts' vectors as they are made; an array at the end, since it begins with its size."""
    import numpy as np

    if form == "npy":
        np.save(stream, np.concatenate([vectors for _, vectors in made]))
        return
    index = 0
    for texts, vectors in made:
        for text, vector in zip(texts, vectors.tolist(), strict=True):
            line = (
                " ".join(map(repr, vector))
                if form == "plain"
                else as_json({"index": index, "text": text, "embedding": vector})
            )
            stream.write(line.encode() + b"\n")
            index += 1
        stream.flush()
