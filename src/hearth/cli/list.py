"""`hearth list`: models on this disk, and what is compiled of them."""

from __future__ import annotations

import json
import sys
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from hearth.cli.options import examples
from hearth.cli.table import print_table

if TYPE_CHECKING:
    from hearth.bundle import StoredBundle
    from hearth.hub import Installed


@click.command("list", epilog=examples("hearth list", "hearth list --json"))
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(as_json: bool) -> None:
    """Show the models on this disk, and which of them are compiled."""
    from hearth.bundle import bundles_dir, list_bundles, list_unfinished
    from hearth.hub import list_models

    models, bundles, unfinished = list_models(), list_bundles(), list_unfinished(bundles_dir())
    if as_json:
        data: dict[str, Any] = {
            "models": [
                {
                    "name": m.name,
                    "kind": m.kind,
                    "size_bytes": m.size_bytes,
                    "path": str(m.path),
                    "last_used": m.last_used,
                    "complete": m.complete,
                    "update_bytes": m.update_bytes,
                }
                for m in models
            ],
            "bundles": [
                {
                    "key": b.key,
                    "model": b.manifest.source_name if b.manifest else None,
                    "made_for": b.manifest.kind if b.manifest else None,
                    "quant": b.manifest.quant if b.manifest else None,
                    "size_bytes": b.size_bytes,
                    "path": str(b.path),
                    "problem": b.problem,
                }
                for b in bundles
            ],
            "unfinished": [
                {"key": u.name, "size_bytes": u.size_bytes, "path": str(u.path), "in_use": u.in_use} for u in unfinished
            ],
        }
        click.echo(json.dumps(data, ensure_ascii=False))
        return
    from hearth.units import format_bytes

    rows = [
        (
            m.name,
            m.kind,
            _size(m),
            datetime.fromtimestamp(m.last_used).strftime("%Y-%m-%d") if m.last_used else "",
        )
        for m in models
    ]
    print_table(("MODEL", "KIND", "SIZE", "LAST USED"), rows)
    if bundles:
        click.echo()
        compiled = [_compiled_row(stored, format_bytes(stored.size_bytes)) for stored in bundles]
        print_table(("COMPILED", "MADE FOR", "FORMAT", "SIZE", "CONTEXT"), compiled)
    if unfinished:
        click.echo()
        states = {True: "being compiled", False: "left by a killed compilation"}
        left = [(u.name, states[u.in_use], format_bytes(u.size_bytes)) for u in unfinished]
        print_table(("UNFINISHED", "STATE", "SIZE"), left)
        if not all(u.in_use for u in unfinished):
            click.echo("The next compilation clears it away, or: hearth rm --unfinished", err=True)
    if sys.stdout.isatty():
        click.echo("\nhearth show MODEL tells more; hearth pull gets another.", err=True)


def _size(model: Installed) -> str:
    from hearth.units import format_bytes

    size = format_bytes(model.size_bytes)
    if not model.complete:
        return f"{size} (incomplete)"
    return f"{size} (and {format_bytes(model.update_bytes)} of a cut update)" if model.update_bytes else size


def _compiled_row(stored: StoredBundle, size: str) -> tuple[str, str, str, str, str]:
    made = stored.manifest
    if made is None:
        return stored.key, "", f"unusable: {stored.problem}", size, ""
    context = str(made.text.context_max) if made.text else ""
    return made.source_name, made.kind, f"{made.formats}, {made.precision}", size, context
