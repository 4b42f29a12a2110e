"""Which bundles may be run. A bundle's library is a program, and its plan a part of it: opening one is running it.

Hearth runs what it compiled for this user: the bundles in its cache, and wherever they lie those that it made, which it
knows again by their hash. Any other is run only when the user says so: a folder may come from
anybody, under the name of a model.
"""

from __future__ import annotations

import hashlib
import os
import stat
from contextlib import suppress
from pathlib import Path

from hearth.bundle.paths import bundles_dir, cache_dir, make_folder
from hearth.bundle.reader import Bundle
from hearth.errors import UntrustedBundle

FOLDER = "compiled-here"
"""In the cache: an empty file for each bundle that was compiled, named by the hash of its program."""


def mark_compiled_here(bundle: Bundle) -> None:
    """Has a bundle that was compiled just now run from wherever it is moved. A cache that cannot be written remembers
    nothing: the bundle is then run when the user says so."""
    with suppress(OSError):
        make_folder(cache_dir() / FOLDER)
        _mark(bundle).touch()


def require_trusted(bundle: Bundle) -> None:
    """Refuses to run a program of unknown origin.

    Args:
        bundle: from `open_bundle`, which has compared its plan and library with its manifest.

    Raises:
        UntrustedBundle: it was not compiled by this user's Hearth, or others could have changed what was.
    """
    in_cache = bundle.path.resolve().parent == bundles_dir().resolve()
    if not in_cache and not _mark(bundle).is_file():
        raise UntrustedBundle(
            f"{bundle.path} is a compiled bundle, so a program, and was not compiled here.",
            why="What it holds runs with all your rights; a model as it was published does not.",
            hint="Compile the model yourself: hearth compile MODEL. If you trust whoever made this bundle as you trust"
            " a program, say --trust-bundle (in Python: trust_bundle=True).",
        )
    require_own_cache()
    if in_cache:
        _refuse_foreign(bundle.path)


def require_own_cache() -> None:
    """Refuses a cache that others could have put programs into.

    Raises:
        UntrustedBundle: its folders belong to another user, or all may write to them.
    """
    for folder in (cache_dir(), bundles_dir(), cache_dir() / FOLDER):
        if folder.exists():
            _refuse_foreign(folder)


def _mark(bundle: Bundle) -> Path:
    files = bundle.manifest.files
    program = " ".join(files[name].sha256 for name in bundle.manifest.program)
    return cache_dir() / FOLDER / hashlib.sha256(program.encode()).hexdigest()


def _refuse_foreign(folder: Path) -> None:
    """Whoever owns a folder, or may write to it, decides what is run from it."""
    if os.name != "posix":
        return
    about = folder.stat()
    if about.st_uid not in (0, os.getuid()):
        what = "belongs to another user"
    elif about.st_mode & stat.S_IWOTH:
        what = "can be written by all users"
    else:
        return
    raise UntrustedBundle(
        f"The folder {folder} {what}.",
        why="Programs that Hearth compiled are run from it, and somebody else could have put others in their place.",
        hint="Make it yours alone (chown, chmod o-w), or choose another folder with the environment variable"
        " HEARTH_CACHE.",
    )
