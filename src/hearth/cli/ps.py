"""`hearth ps`: the servers that run on this machine."""

from __future__ import annotations

import json
import time
from dataclasses import asdict

import click

from hearth.cli.options import examples
from hearth.cli.serving import check_installed
from hearth.cli.table import print_table


@click.command("ps", epilog=examples("hearth ps", "hearth ps --json"))
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(as_json: bool) -> None:
    """Show the servers and chat pages of yours that run on this machine.

    Hearth has no service in the background: models are in memory while `chat`, `serve` or `app` run, and end with them.
    """
    check_installed()
    from hearth.server.presence import running

    servers = running()
    if as_json:
        click.echo(json.dumps([asdict(server) for server in servers], ensure_ascii=False))
        return
    if not servers:
        click.echo("No server runs. Start one: hearth serve MODEL, or hearth app", err=True)
        return
    rows = [[str(s.pid), s.verb, s.url, ", ".join(s.models), _ago(time.time() - s.since)] for s in servers]
    print_table(["PID", "VERB", "ADDRESS", "MODELS", "RUNS FOR"], rows)


def _ago(seconds: float) -> str:
    minutes = int(seconds) // 60
    if minutes < 1:
        return f"{max(int(seconds), 0)} s"
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"
