"""`hearth rerank MODEL QUERY DOCUMENT...`: documents by how well they answer a query."""

from __future__ import annotations

from typing import Any

import click

from hearth.cli.inputs import readable
from hearth.cli.options import examples
from hearth.cli.table import print_table
from hearth.cli.texts import as_json, open_embedder, text_options, texts_of


@click.command(
    "rerank",
    epilog=examples(
        'hearth rerank MODEL "What is a panda?" "A bear of China." "A small car."',
        'hearth rerank MODEL "What is a panda?" passages.txt --top 5 --json',
    ),
)
@click.argument("model")
@click.argument("query")
@click.argument("documents", nargs=-1, metavar="DOCUMENT...|FILE|-")
@click.option("--top", type=click.IntRange(min=1), help="Only so many, the best.")
@click.option("--json", "to_json", is_flag=True, help="Print a JSON object a line.")
@text_options
def command(
    model: str, query: str, documents: tuple[str, ...], top: int | None, to_json: bool, truncate: bool, **options: Any
) -> None:
    """Print DOCUMENTs by how well they answer QUERY, the best first; MODEL is a reranker (a cross encoder).

    Each argument is a document; of a FILE, or of standard input, each line is one.
    """
    question = readable(query, "The query")
    given = texts_of(documents, "document")
    with open_embedder(model, options) as embedder:
        ranked = embedder.rerank(question, given, top=top, truncate=truncate)
    if to_json:
        for one in ranked:
            click.echo(as_json({"index": one.index, "score": one.score, "document": given[one.index]}))
        return
    print_table(["score", "#", "document"], [[f"{one.score:.4f}", str(one.index), given[one.index]] for one in ranked])
