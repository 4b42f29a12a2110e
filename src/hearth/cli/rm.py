"""`hearth rm MODEL`: remove a model, and what was compiled of it."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING

import click

from hearth.cli.options import examples
from hearth.cli.terminal import columns, wrapped
from hearth.errors import HearthError, ModelNotFound, UsageError

if TYPE_CHECKING:
    from hearth.bundle import StoredBundle


@click.command(
    "rm",
    epilog=examples(
        "hearth rm Qwen/Qwen3-0.6B",
        "hearth rm owner/name-GGUF:Q4_K_M",
        "hearth rm starter --compiled",
        "hearth rm --unfinished --yes",
    ),
)
@click.argument("model", required=False)
@click.option("--compiled", is_flag=True, help="Remove only what was compiled; keep the model itself.")
@click.option("--unfinished", is_flag=True, help="Remove what compilations left that were killed; takes no MODEL.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask. Needed where there is no terminal to ask on.")
def command(model: str | None, compiled: bool, unfinished: bool, yes: bool) -> None:
    """Remove MODEL from the cache, with everything that was compiled of it.

    Files and folders of your own are never removed: for these only what was compiled goes, with --compiled.
    """
    if unfinished:
        if model is not None:
            raise UsageError("--unfinished removes what is nobody's; it takes no MODEL.")
        _remove_unfinished(yes)
        return
    if model is None:
        raise UsageError("No model is named.", hint="`hearth list` shows what there is.")
    _remove_model(model, compiled, yes)


def _remove_model(model: str, compiled: bool, yes: bool) -> None:
    from hearth.bundle import list_bundles, remove_bundle
    from hearth.hub import remove
    from hearth.units import counted, format_bytes

    bundles = [b for b in list_bundles() if b.key == model or _is_made_of(b, model)]
    only_bundles = compiled or any(b.key == model for b in bundles)
    if only_bundles and not bundles:
        raise ModelNotFound(f"Nothing is compiled of {model!r}.", hint="`hearth list` shows what is.")
    freed = sum(b.size_bytes for b in bundles) + (0 if only_bundles else remove(model, dry_run=True))
    what = f"{counted(len(bundles), 'compiled bundle')} of {model}" if only_bundles else model
    shared = "" if only_bundles else " It is in the Hugging Face cache: other programs lose it too."
    if not _agreed(f"Remove {what}, {format_bytes(freed)}?{shared}", yes):
        return
    if not only_bundles:
        remove(model)
    for stored in bundles:
        remove_bundle(stored.key)
    click.echo(f"Removed {what}: {format_bytes(freed)} freed.", err=True)


def _remove_unfinished(yes: bool) -> None:
    from hearth.bundle import bundles_dir, clear_unfinished, list_unfinished
    from hearth.units import counted, format_bytes

    left = [folder for folder in list_unfinished(bundles_dir()) if not folder.in_use]
    if not left:
        click.echo("Nothing unfinished is left.", err=True)
        return
    size = format_bytes(sum(folder.size_bytes for folder in left))
    if _agreed(f"Remove {counted(len(left), 'unfinished compilation')}, {size}?", yes):
        click.echo(f"Removed: {format_bytes(clear_unfinished(bundles_dir()))} freed.", err=True)


def _agreed(question: str, yes: bool) -> bool:
    """Whether the user wants it.

    Raises:
        UsageError: nobody can be asked.
    """
    if yes:
        return True
    if not sys.stdin.isatty():
        raise UsageError(
            "Nothing is removed without asking, and there is no terminal to ask on.",
            why=f"The question would be: {question}",
            hint="Add --yes if you mean it.",
        )
    if click.confirm(wrapped(question, columns()), err=True):
        return True
    click.echo("Nothing was removed.", err=True)
    return False


def _is_made_of(stored: StoredBundle, model: str) -> bool:
    """Whether a bundle was compiled of a model, by whichever of its names that is called; a repository of GGUF files is
    all of these."""
    from hearth.hub import canonical_name
    from hearth.hub.names import HubName, parse, parse_hub_name

    if stored.manifest is None:
        return False
    source = stored.manifest.source_name
    if source in (model, canonical_name(model)):
        return True
    with contextlib.suppress(HearthError):
        asked = parse(model)
        if isinstance(asked, HubName) and asked.file is None and asked.revision is None:
            return parse_hub_name(source).repo_id == asked.repo_id
    return False
