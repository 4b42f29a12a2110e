"""The GGUF files of a repository: which are models, what each is called for short, which is meant, which to take.

A repository of GGUF files holds one model in several number formats. People name them as other programs do, by the
format (`owner/name:Q4_K_M`), by the file, or not at all.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath

PREFERRED = "Q4_K_M"
"""What is taken where nothing is said: the smallest format that costs little."""
# Files beside a language model that are none: vision towers, statistics that quantising used.
_EYES = "mmproj"
_COMPANIONS = (_EYES, "imatrix")
# Of several towers the one with the most exact numbers that takes no more memory than need be.
_BEST_EYES = ("F16", "BF16", "F32", "Q8_0")
_PART = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf", re.IGNORECASE)
# A number format at the end of a file's name, as converters write them: Q4_K_M, IQ3_XXS, BF16, UD-Q4_K_XL.
_FORMAT = r"(?:UD-)?(?:I?Q[1-9]|TQ[12]|(?:MX|NV)FP4|BF16|F?P?16|F?P?32)(?:_[A-Z0-9]+)*"
_ENDS_WITH_FORMAT = re.compile(rf"(?:(?P<base>.*)[-._])?(?P<format>{_FORMAT})", re.IGNORECASE)
# Of ik_llama.cpp alone.
_UNREADABLE = re.compile(r"(?:UD-)?(?:IQ[1-6]_(?:K|KS|KSS|KT|KL|BN)\b|.*_R[48]\b)", re.IGNORECASE)
# Types whose vectors come from grids are kept as places in a table, 4 bits each; those of one bit or three values as 2.
_GROWTH = {"IQ1": 2.6, "IQ2": 1.9, "IQ3": 1.4, "TQ1": 1.5, "TQ2": 1.2, "Q1_": 2.2, "Q2_0": 1.1}
_MOST_PARTS = 10_000
_GGUF_SUFFIX = re.compile(r"[-_.]gguf$", re.IGNORECASE)


def is_gguf(path: str) -> bool:
    return path.lower().endswith(".gguf")


def parts_of(path: str) -> list[str]:
    """The names of all parts of a split file, of which `path` is one; `path` alone where it is a file of its own (the
    only part of one is)."""
    match = _PART.fullmatch(path)
    if match is None or not 1 <= int(match["number"]) <= int(match["count"]) or int(match["count"]) > _MOST_PARTS:
        return [path]
    before, after = path[: match.start("number")], path[match.end("number") :]
    return [f"{before}{number:05d}{after}" for number in range(1, int(match["count"]) + 1)]


def part_files(path: Path) -> list[Path]:
    """The files that a GGUF file consists of: all its parts, whichever of them `path` is."""
    return [path.with_name(name) for name in parts_of(path.name)]


def is_whole(path: str, paths: Container[str]) -> bool:
    """Whether all parts of a model's file are among `paths`."""
    return all(part in paths for part in parts_of(path))


def models_among(paths: Iterable[str]) -> list[str]:
    """Those of a repository's files that are GGUF models of their own, sorted; of a split one the first part that is
    there stands for it."""
    models: dict[str, str] = {}
    for path in sorted(filter(is_gguf, paths)):
        if not any(word in path.lower() for word in _COMPANIONS):
            models.setdefault(parts_of(path)[0], path)
    return sorted(models.values())


def is_eyes(path: str) -> bool:
    """Whether a file's name says that it is the part of a model that sees (mmproj)."""
    return is_gguf(path) and _EYES in path.lower()


def eyes_for(model: str, paths: Iterable[str]) -> str | None:
    """The file that sees for a language model: in its folder, and named after it or beside nothing but this model.

    Args:
        model: path of its file; `paths`: of all that are there, its own among them.
    """
    folder = PurePosixPath(model).parent
    here = [path for path in paths if is_gguf(path) and PurePosixPath(path).parent == folder]
    towers = [path for path in here if is_eyes(path)]
    if is_eyes(model) or not towers:
        return None
    base = _base(model)
    named_after = [path for path in towers if base in path.lower()]
    if not named_after and {_base(path) for path in models_among(here)} != {base}:
        return None

    def rank(path: str) -> tuple[int, str]:
        known = format_of(path)
        return (_BEST_EYES.index(known) if known in _BEST_EYES else len(_BEST_EYES)), path

    return min(named_after or towers, key=rank)


def _base(path: str) -> str:
    """A file's name without its number format."""
    match = _ENDS_WITH_FORMAT.fullmatch(stem(PurePosixPath(path).name))
    return ((match["base"] or "") if match else stem(PurePosixPath(path).name)).lower()


def format_of(path: str) -> str | None:
    """The number format that a file's name ends with, in capitals: `Q4_K_M`."""
    match = _ENDS_WITH_FORMAT.fullmatch(stem(PurePosixPath(path).name))
    return match["format"].upper() if match else None


def is_readable(path: str) -> bool:
    """Whether Hearth reads the number format in a file's name, as far as the name tells."""
    return _UNREADABLE.match(format_of(path) or "") is None


def in_memory(path: str, size_bytes: int) -> int:
    """About how much of a file's weights there is when they are packed, as far as its name tells."""
    name = (format_of(path) or "").removeprefix("UD-")
    return int(size_bytes * next((growth for start, growth in _GROWTH.items() if name.startswith(start)), 1.0))


def short_name(repo_id: str, path: str) -> str:
    """What stands behind the colon in the one name that a file has.

    The format alone where the file is called as its repository is (`acme/tiny-GGUF` and `tiny-Q4_K_M.gguf`), so that no
    other file of the repository can take the name away; else the file's path.
    """
    match = _ENDS_WITH_FORMAT.fullmatch(stem(path))
    base = _GGUF_SUFFIX.sub("", repo_id.partition("/")[2])
    if match and (match["base"] or "").lower() == base.lower():
        return match["format"].upper()
    return path


def matching(repo_id: str, paths: Sequence[str], wanted: str) -> list[str]:
    """The files that `wanted` can mean: a path, a file's name, a format, or a part of a name. One is an answer."""
    first = parts_of(wanted)[0]  # any part is a name of the whole
    exactly, file, wanted = first, first.lower(), wanted.lower()
    rules: tuple[Callable[[str], bool], ...] = (
        lambda path: parts_of(path)[0] == exactly,
        lambda path: parts_of(path)[0].lower() == file,
        lambda path: PurePosixPath(parts_of(path)[0]).name.lower() == file,
        lambda path: short_name(repo_id, path).lower() == wanted,
        lambda path: _ends_with(stem(path).lower(), wanted),
        lambda path: wanted in stem(path).lower(),
    )
    for rule in rules:
        found = [path for path in paths if rule(path)]
        if found:
            return found
    return []


def best(files: Mapping[str, int], memory_bytes: int | None) -> str | None:
    """The file to take where none is named: Q4_K_M, or else the largest, that fits in memory and can be read. Floats
    only where there is nothing else: 8 bits answer alike, in half the memory.

    Args:
        files: path -> bytes.
        memory_bytes: what there is; None where that is not known.

    Returns:
        Where nothing fits the smallest, which is refused with numbers; None where there is none.
    """

    def by_size(path: str) -> tuple[int, str]:
        return files[path], path

    readable = [path for path in files if is_readable(path)] or list(files)
    fits = [path for path in readable if memory_bytes is None or in_memory(path, files[path]) < memory_bytes]
    preferred = [path for path in fits if format_of(path) == PREFERRED]
    if preferred:
        return min(preferred)
    if not fits or memory_bytes is None:  # nothing speaks for a larger one
        return min(readable, key=by_size, default=None)
    return max([path for path in fits if not _is_float(path)] or fits, key=by_size)


def _is_float(path: str) -> bool:
    return re.fullmatch(r"B?F?P?(16|32)", format_of(path) or "") is not None


def stem(path: str) -> str:
    """Without `.gguf`, and without the count of a part."""
    match = _PART.fullmatch(path)
    return match["stem"] if match else re.sub(r"\.gguf$", "", path, flags=re.IGNORECASE)


def _ends_with(stem: str, wanted: str) -> bool:
    return stem == wanted or (stem.endswith(wanted) and stem[-len(wanted) - 1] in "-._/")
