"""Pictures with what they show: in a folder for each class, or as a file says; and which label of a model that is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hearth.errors import CorruptFile, StorageError, UsageError
from hearth.image.folder import pictures_in

_SEPARATORS = ("\t", ",", " ")
"""Between a picture and its label in a line: the first of these that the line has, where it first stands."""


@dataclass(frozen=True)
class Labelled:
    """A picture, and the name of what it shows; None: nobody says."""

    path: Path
    label: str | None


def labelled_pictures(folder: Path, labels: Path | None = None) -> list[Labelled]:
    """The pictures of a folder, by name.

    Args:
        folder: pictures, or a folder of pictures (at any depth) for each class, whose name is the label.
        labels: a file with a line `PICTURE,LABEL` (or a tab or a space between) for each picture, named from `folder`
            on; others are left out.

    Raises:
        StorageError: the folder or the file cannot be read, or has no pictures.
        CorruptFile: a line of the file without a label.
        UsageError: the file names a picture that is not there.
    """
    if labels is not None:
        return [Labelled(_existing(folder / name, labels), label) for name, label in _lines(labels)]
    found = []
    for path in pictures_in(folder, deep=True):
        classes = path.relative_to(folder).parts[:-1]
        found.append(Labelled(path, classes[0] if classes else None))
    within = [picture for picture in found if picture.label is not None]
    return within or found


def _existing(path: Path, labels: Path) -> Path:
    if not path.is_file():
        raise UsageError(f"{labels} names the picture {path}, which is not there.")
    return path


def _lines(file: Path) -> list[tuple[str, str]]:
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise StorageError(f"{file} cannot be read.", why=f"{error.strerror or error}.") from error
    except UnicodeDecodeError as error:
        raise CorruptFile(f"{file} is no UTF-8 text.") from error
    pairs = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        separator = next((each for each in _SEPARATORS if each in line), "")
        name, label = (part.strip() for part in line.split(separator, 1)) if separator else (line, "")
        if not name or not label:
            raise CorruptFile(f"Line {number} of {file} has no label.", hint="A line is PICTURE,LABEL.")
        pairs.append((name, label))
    if not pairs:
        raise StorageError(f"{file} names no pictures.", hint="A line is PICTURE,LABEL.")
    return pairs


@dataclass(frozen=True)
class Matching:
    """Which of a model's labels the names of pictures mean.

    Attributes:
        indices: a number of a label for each name; None: they are other things than the model tells apart.
        notice: what a reader of the results should know.
    """

    indices: Mapping[str, int] | None
    notice: str = ""


def match_labels(names: Iterable[str], labels: Sequence[str]) -> Matching:
    """Finds names among a model's labels: by themselves or one of their synonyms, by number, or all in order.

    Args:
        names: of pictures.
        labels: of the model, in its order; synonyms have commas between them, as ImageNet's.
    """
    wanted = sorted(set(names))
    known = _names_of(labels)
    missing = [name for name in wanted if _plain(name) not in known]
    if not missing:
        return Matching({name: known[_plain(name)] for name in wanted})
    if all(name.isascii() and name.isdecimal() and int(name) < len(labels) for name in wanted):
        return Matching({name: int(name) for name in wanted})
    if len(wanted) == len(labels):
        notice = f"{missing[0]!r} is no label of the model's: names and labels are taken to be in one order."
        return Matching({name: i for i, name in enumerate(wanted)}, notice)
    return Matching(None, f"{missing[0]!r} is none of the model's {len(labels)} labels: it is only compared.")


def _names_of(labels: Sequence[str]) -> dict[str, int]:
    """By what each label may be called; a synonym of two of them names none."""
    known = {_plain(label): i for i, label in enumerate(labels)}
    synonyms = [(_plain(part), i) for i, label in enumerate(labels) for part in label.split(",")]
    times = Counter(name for name, _ in synonyms)
    return {**{name: i for name, i in synonyms if times[name] == 1}, **known}


def _plain(name: str) -> str:
    return " ".join(name.replace("_", " ").casefold().split())
