"""`hearth rm MODEL`: remove a model, and what was compiled of it."""

from __future__ import annotations

import sys

import click

from hearth.cli.options import examples


@click.command(
    "rm", epilog=examples("hearth rm Qwen/Qwen3-0.6B", "hearth rm starter --compiled", "hearth rm --yes owner/name")
)
@click.argument("model")
@click.option("--compiled", is_flag=True, help="Remove only what was compiled; keep the model itself.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
def command(model: str, compiled: bool, yes: bool) -> None:
    """Remove MODEL from the cache, with everything that was compiled of it.

    Files and folders of your own are never removed: for these only what was compiled goes, with --compiled.
    """
    from hearth.bundle import list_bundles, remove_bundle
    from hearth.errors import ModelNotFound
    from hearth.hub import remove
    from hearth.units import format_bytes

    bundles = [b for b in list_bundles() if b.key == model or (b.manifest and b.manifest.source_name == model)]
    only_bundles = compiled or any(b.key == model for b in bundles)
    if only_bundles and not bundles:
        raise ModelNotFound(f"Nothing is compiled of {model!r}.", hint="`hearth list` shows what is.")
    what = f"{len(bundles)} compiled bundle{'s' * (len(bundles) != 1)} of {model}" if only_bundles else model
    if not yes and sys.stdin.isatty() and not click.confirm(f"Remove {what}?", err=True):
        click.echo("Nothing was removed.", err=True)
        return
    freed = 0 if only_bundles else remove(model)
    for stored in bundles:
        remove_bundle(stored.key)
        freed += stored.size_bytes
    click.echo(f"Removed {what}: {format_bytes(freed)} freed.", err=True)
