"""What to answer to a name that means nothing here: what it may have meant."""

from __future__ import annotations

import contextlib
import difflib

from hearth.errors import ModelNotFound, did_you_mean
from hearth.hub import cache
from hearth.hub.catalogue import by_short_name, catalogue
from hearth.hub.names import STARTER, Parsed, parse
from hearth.hub.packaged import PACKAGED

_MOST = 4


def parse_or_propose(name: str, revision: str | None, memory_bytes: int | None) -> Parsed:
    """As `names.parse`; a name of no known form is answered with the models that it can mean, never with one of them.

    Args:
        memory_bytes: what this machine can give, for what is said of the models; None where that is not known.
    """
    try:
        return parse(name, revision)
    except ModelNotFound as error:
        entries = by_short_name(name)
        if entries:
            lines = [f"  hearth pull {e.name}   ({e.summary(memory_bytes)})" for e in entries[:_MOST]]
            raise ModelNotFound(
                f"{name.strip()!r} is a short name: Hearth takes a model by its owner's name for it.",
                hint="\n".join(["one of", *lines]) if len(entries) > 1 else lines[0].strip(),
            ) from error
        close = close_names(name)
        if close:
            raise ModelNotFound(error.what, hint=did_you_mean(close, error.hint)) from error
        raise


def close_names(name: str, limit: int = 3, *, only_installed: bool = False) -> list[str]:
    """Names that look like `name`, of installed models and of the catalogue, the closest first. None of what the
    catalogue knows by just this name: that is spelt right.

    Args:
        only_installed: for what is done with models that are here; none of the catalogue, none that cannot be removed.
    """
    wanted = name.removeprefix("hf:").lower()
    offered = () if only_installed else catalogue()
    if any(entry.name.lower() == wanted for entry in offered):
        return []
    known: dict[str, str] = {} if only_installed else {built_in: built_in for built_in in (STARTER, *PACKAGED)}

    def add(full: str) -> None:
        # Both the whole name and its last part count, so that `qwen3-0.6b` finds `Qwen/Qwen3-0.6B`.
        known.setdefault(full.lower(), full)
        known.setdefault(full.lower().split("/", 1)[-1], full)

    with contextlib.suppress(OSError):  # a proposal in an error must not become another error
        for repo in cache.repos():
            for full in cache.names_of(repo):
                add(full)
    for entry in offered:
        add(entry.name)
    matches = difflib.get_close_matches(wanted, known, n=limit * 2, cutoff=0.6)
    return [full for full in dict.fromkeys(known[match] for match in matches) if full.lower() != wanted][:limit]
