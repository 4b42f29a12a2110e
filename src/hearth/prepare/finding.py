"""A model by its name: on this disk, or downloaded after a look at what it is and whether it fits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Unpack

from hearth.errors import CorruptFile, Unsupported
from hearth.fit import require_fit
from hearth.hub import Inspect, Remote, Source, resolve
from hearth.model.kinds import TEXT, KindName
from hearth.prepare.preparer import Own, Preparer, Wanted
from hearth.prepare.progress import ProgressCallback, hub_progress
from hearth.prepare.table import PREPARERS
from hearth.preview import refuse_remote


def fetch(
    name: str,
    *,
    kinds: Sequence[KindName] = (TEXT,),
    progress: ProgressCallback | None = None,
    offline: bool = False,
    memory_bytes: int | None = None,
    **wanted: Unpack[Wanted],
) -> Source:
    """Finds a model, or downloads it after a look at what it is and whether it fits.

    Args:
        kinds: of models that will do.
        memory_bytes: what it may take; None: any size.

    Raises: as `hub.resolve`; Unsupported, CorruptFile, NotEnoughMemory: it would be refused when it is here.
    """
    preparers = [PREPARERS[kind] for kind in kinds]
    for preparer in preparers:
        if (found := preparer.find(name)) is not None:
            return found
    inspect = inspector(kinds=kinds, memory_bytes=memory_bytes, **wanted)
    return resolve(name, offline=offline, progress=hub_progress(progress), inspect=inspect, memory_bytes=memory_bytes)


def preparer_of(source: Source, kinds: Sequence[KindName]) -> Preparer:
    """Whose model this is, which is no bundle. What is nobody's is for the last to refuse, in its words."""
    *others, last = (PREPARERS[kind] for kind in kinds)
    return next((each for each in others if each.answers(source)), last)


def inspector(
    *, kinds: Sequence[KindName] = (TEXT,), memory_bytes: int | None = None, **wanted: Unpack[Wanted]
) -> Inspect:
    """What looks at a model before it is downloaded: refuses what Hearth does not run and what does not fit.

    Args: as `fetch`.
    """
    preparers = [PREPARERS[kind] for kind in kinds]

    def inspect(remote: Remote) -> None:
        for preparer in preparers:
            if _is_its_own(preparer, remote, preparer.own(wanted), memory_bytes):
                return
        with _nothing_came(remote):
            refuse_remote(remote, kinds[-1])

    return inspect


def _is_its_own(preparer: Preparer, remote: Remote, wanted: Own, memory_bytes: int | None) -> bool:
    """Whether a model is of this kind, and will do."""
    with _nothing_came(remote):
        sizes = preparer.preview(remote, wanted)
    if sizes is None:
        return False
    require_fit(remote.name, sizes, wanted.get("quant"), memory_bytes, remote=remote)
    with _nothing_came(remote):
        preparer.refuse_by_tensors(remote)
    return True


@contextmanager
def _nothing_came(remote: Remote) -> Iterator[None]:
    """Adds to a refusal what it has cost."""
    try:
        yield
    except (Unsupported, CorruptFile) as error:
        why = f"{error.why} Nothing of {remote.name} was downloaded.".strip()
        raise type(error)(error.what, why=why, hint=error.hint) from error
