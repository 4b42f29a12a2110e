"""`hearth models`: which model? Those of the catalogue that fit this machine, best first."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from hearth.cli.options import examples
from hearth.cli.terminal import columns
from hearth.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hearth.hub.catalogue import Entry

_BRISK_BYTES = 3 << 30  # weights that an ordinary machine reads ten times a second or more: a token each time
_WIDE = 124  # columns of a terminal from which on there is room for words


@click.command(
    "models", epilog=examples("hearth models", "hearth models --all", "hearth models --context 32768 --json")
)
@click.option("--all", "everything", is_flag=True, help="Also those that do not fit.")
@click.option(
    "--context",
    type=click.IntRange(min=1),
    default=4096,
    show_default=True,
    help="Tokens to have room for; models made for fewer are left out.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(everything: bool, context: int, as_json: bool) -> None:
    """Show models that Hearth runs and that fit into the memory of this machine, the best first.

    Larger models answer better and slower. Sizes are those of the default 4-bit format, with room for --context tokens.
    These are suggestions: any model of a family that Hearth knows can be used by its name on the hub.
    """
    from hearth.fit import verdict
    from hearth.hub import list_models
    from hearth.hub.catalogue import best_first, catalogue
    from hearth.runtime import available_bytes
    from hearth.units import format_bytes

    made_for_it = [e for e in catalogue() if e.context_max >= context]
    if not made_for_it:
        most = max(e.context_max for e in catalogue())
        raise UsageError(
            f"No model of the catalogue takes {context} tokens; the most is {most}.", hint="Choose a smaller --context."
        )
    shown = [(e, verdict(e.memory_bytes(context))) for e in best_first(made_for_it)]
    shown = [(e, fit) for e, fit in shown if everything or fit in ("fits", None)]
    if as_json:
        data = [
            {**asdict(e), "context": context, "memory_bytes": e.memory_bytes(context), "fit": fit} for e, fit in shown
        ]
        click.echo(json.dumps(data, ensure_ascii=False))
        return
    free = available_bytes()
    room = f"{format_bytes(free)} of memory are free here. " if free is not None else ""
    if not shown:
        click.echo(f"{room}No model of the catalogue fits: hearth models --all shows them.", err=True)
        return
    here = {m.name for m in list_models() if m.complete}
    _print(shown, here, context, marks=everything)
    click.echo(f"\n{room}MEMORY is with {context} tokens of context.", err=True)
    if any(e.gated for e, _ in shown):
        click.echo("* its owners ask you to accept their terms first, on the model's page.", err=True)
    start = next((e for e, _ in shown if e.weights_bytes <= _BRISK_BYTES and not e.gated), shown[-1][0])
    click.echo(f"A good start: hearth chat {start.name}", err=True)


def _print(shown: Sequence[tuple[Entry, str | None]], here: set[str], context: int, *, marks: bool) -> None:
    from hearth.cli.table import print_table
    from hearth.units import format_bytes

    # A pipe has room for everything; a narrow terminal for names and what decides.
    width = columns(sys.stdout) or _WIDE
    shown_columns = {
        "MODEL": [e.name + "*" * e.gated for e, _ in shown],
        "SIZE": [e.size.upper() for e, _ in shown],
        "MEMORY": [format_bytes(e.memory_bytes(context)) for e, _ in shown],
    }
    if width >= 76:
        shown_columns["DOWNLOAD"] = ["is here" if e.name in here else format_bytes(e.download_bytes) for e, _ in shown]
    if marks:
        shown_columns["FITS"] = [{"fits": "yes", "too large": "no", None: "?"}.get(fit, "later") for _, fit in shown]
    if width >= _WIDE:
        shown_columns["GOOD AT"] = [e.good_at for e, _ in shown]
    print_table(tuple(shown_columns), list(zip(*shown_columns.values(), strict=True)))
