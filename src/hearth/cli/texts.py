"""What `embed`, `rerank` and `classify` share: which texts are meant, and how a model is opened."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_args

import click

from hearth.checkpoint.embedding import Pooling
from hearth.cli.inputs import piped_text, read_file, readable
from hearth.cli.options import FORMATS, source_options
from hearth.cli.terminal import note
from hearth.errors import UsageError

if TYPE_CHECKING:
    from hearth.embedder import Embedder

F = TypeVar("F", bound=Callable[..., Any])

_OPTIONS = (
    click.option("--truncate", is_flag=True, help="Cut texts that are too long, instead of refusing them."),
    click.option("--quant", type=click.Choice(FORMATS), help="Number format of the weights [q8; GGUF: as it is]."),
    click.option("--head", type=click.Choice(FORMATS), help="The same for the embeddings of tokens [as --quant]."),
    click.option(
        "--precision",
        type=click.Choice(["default", "high", "fast"]),
        default="default",
        help="high computes with 32-bit floats: slower, closest to the original; fast with bytes and a scale for each"
        " token and weight row.",
    ),
    click.option("--threads", type=int, help="Threads that compute [physical cores this process may use]."),
    click.option("--mmap", is_flag=True, help="Map the weights instead of copying them: shared between processes."),
)
POOLING = click.option(
    "--pooling",
    type=click.Choice(get_args(Pooling)),
    help="How one vector is made of a text's tokens, where the model does not say.",
)
_OPEN_KEYS = ("quant", "head", "precision", "pooling", "threads", "mmap", "offline", "trust_bundle")


def text_options(function: F) -> F:
    """The options of all these verbs."""
    function = source_options(function)
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def open_embedder(model: str, options: Mapping[str, Any]) -> Embedder:
    """Opens a model as the options say, with progress on standard error and its notices told."""
    from hearth.cli.progress import showing_progress
    from hearth.embedder import Embedder

    with showing_progress() as progress:
        embedder = Embedder(model, progress=progress, **{key: options[key] for key in _OPEN_KEYS if key in options})
    for notice in embedder.notices:
        note(notice)
    return embedder


def texts_of(words: tuple[str, ...], what: str) -> list[str]:
    """The texts that a user means: each word is one; of a lone `-`, or where there are none, each line of standard
    input; of a lone name of a file, each line of that. Lines of a `.jsonl` file are JSON: a text, or an object with one
    under `text`.

    Args:
        what: they are, for messages: "text".

    Raises:
        UsageError: there are none, or a line is not what it should be. StorageError: the file cannot be read.
    """
    if len(words) == 1 and words[0] != "-" and _is_file(words[0]):
        texts = _lines(read_file(words[0]), words[0])
    elif words and words != ("-",):
        texts = [readable(word, f"The {what}") for word in words]
    else:
        texts = _lines(piped_text(wait=True), "Standard input")
    if not texts:
        raise UsageError(f"There is no {what}.", hint="Give it as an argument, as a file of lines, or through a pipe.")
    return texts


def _is_file(word: str) -> bool:
    try:
        return Path(word).is_file()
    except (OSError, ValueError):  # too long for a name, or with a zero in it
        return False


def _lines(content: str, source: str) -> list[str]:
    lines = [line for line in content.splitlines() if line.strip()]
    if not source.endswith(".jsonl"):
        return lines
    texts = []
    for number, line in enumerate(lines, 1):
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise UsageError(f"{source}: line {number} is not JSON.", why=f"{error}.") from error
        text = value.get("text") if isinstance(value, dict) else value
        if not isinstance(text, str):
            raise UsageError(f'{source}: line {number} is neither a text nor an object with a "text".')
        texts.append(text)
    return texts


def as_json(value: Any) -> str:
    """One line."""
    return json.dumps(value, ensure_ascii=False)


def is_terminal() -> bool:
    """Whether somebody looks at standard output."""
    return sys.stdout.isatty()
