"""`hearth classify MODEL TEXT...`: labels of texts, or of places in them."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click

from hearth.cli.options import examples
from hearth.cli.table import print_table
from hearth.cli.texts import as_json, open_embedder, text_options, texts_of


@click.command(
    "classify",
    epilog=examples(
        'hearth classify MODEL "What a wonderful day!"',
        "hearth classify TAGGER letters.txt --json",
    ),
)
@click.argument("model")
@click.argument("texts", nargs=-1, metavar="TEXT...|FILE|-")
@click.option("--json", "to_json", is_flag=True, help="Print a JSON object a line, with all labels.")
@text_options
def command(model: str, texts: tuple[str, ...], to_json: bool, truncate: bool, **options: Any) -> None:
    """Print the likeliest label of each TEXT; of a tagger (names, addresses, ...) each place that has one.

    Each argument is a text; of a FILE, or of standard input, each line is one.
    """
    given = texts_of(texts, "text")
    with open_embedder(model, options) as embedder:
        is_tagger = embedder.info.task == "tag"
        found = embedder.classify(given, truncate=truncate)
    if to_json:
        for index, (text, labels) in enumerate(zip(given, found, strict=True)):
            click.echo(as_json({"index": index, "text": text, "labels": [asdict(label) for label in labels]}))
        return
    rows = [
        [label.label, f"{label.score:.4f}", str(index), text[label.start : label.end]]
        for index, (text, labels) in enumerate(zip(given, found, strict=True))
        for label in (labels if is_tagger else labels[:1])
    ]
    if rows:
        print_table(["label", "score", "#", "text"], rows)
