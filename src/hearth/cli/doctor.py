"""`hearth doctor`: what this machine offers, and which paths Hearth takes on it."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict

import click

from hearth.cli.options import examples
from hearth.cli.terminal import columns, styled, wrapped

_MARKS = {"ok": ("ok", "green"), "note": ("note", "yellow"), "problem": ("PROBLEM", "red")}


@click.command("doctor", epilog=examples("hearth doctor", "hearth doctor --json"))
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(as_json: bool) -> None:
    """Show processor, memory, compiler, folders and versions, and what follows from them for speed.

    Exits with 1 if something does not work.
    """
    from hearth.measure import diagnose

    diagnosis = diagnose()
    if as_json:
        click.echo(json.dumps([asdict(f) for f in diagnosis.findings], ensure_ascii=False))
    else:
        width = columns(sys.stdout)
        for finding in diagnosis.findings:
            mark, color = _MARKS[finding.state]
            why = f"  ({finding.why})" if finding.why else ""
            text = wrapped(f"{finding.value}{why}", width, indent=8 + 17)
            click.echo(f"{styled(mark.ljust(8), sys.stdout, fg=color)}{finding.what.ljust(17)}{text}")
    if not diagnosis.healthy:
        raise click.exceptions.Exit(1)
