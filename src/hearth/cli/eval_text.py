"""`hearth eval MODEL FILE`: how well a model predicts a text, and what a number format costs."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hearth.cli.inputs import read_file
from hearth.cli.options import open_llm
from hearth.cli.terminal import note

if TYPE_CHECKING:
    from hearth.llm import LLM


def eval_text(
    model: str,
    file: Path,
    *,
    against: str | None,
    against_precision: str | None,
    against_kv: str | None,
    window: int | None,
    stride: int | None,
    max_chars: int | None,
    as_json: bool,
    options: Mapping[str, Any],
) -> None:
    """Prints the perplexity of a text under a model; with one of `against` also how far the two are apart."""
    from hearth.measure import compare, perplexity

    text = read_file(file, limit=max_chars)

    def told(done: int, total: int) -> None:
        if sys.stderr.isatty():
            click.echo(f"\rwindow {done}/{total}", nl=done == total, err=True)

    with open_llm(model, options) as llm:
        if against is None and against_precision is None and against_kv is None:
            one = perplexity(llm, text, window=window, stride=stride, told=told)
            data: dict[str, Any] = {"model": model, "quant": llm.info.manifest.quant, **asdict(one)}
            _print(
                data,
                as_json,
                [("perplexity", f"{one.perplexity:.4f}"), ("tokens", str(one.tokens))],
                one.window,
                one.stride,
            )
            if one.perplexity > llm.info.vocab_size:
                note(
                    f"That is worse than guessing: {llm.info.vocab_size} would be the perplexity of any token being as"
                    " likely as any other. The model was not made for this kind of text."
                )
            return
        other: dict[str, Any] = {} if against is None else {"quant": against, "head": against}
        if against_precision is not None:
            other["precision"] = against_precision
        if against_kv is not None:
            other["kv"] = against_kv
        with open_llm(model, options, **other) as original:
            both = compare(original, llm, text, window=window, stride=stride, told=told)
            names = [(_name(original), both.base), (_name(llm), both.other)]
        data = {
            "model": model,
            "quant": llm.info.manifest.quant,
            "precision": llm.info.manifest.precision,
            "against": against,
            "kv": llm.info.manifest.language.kv,
            "against_precision": against_precision,
            "against_kv": against_kv,
            **asdict(both),
        }
        facts = [
            *((f"perplexity {name}", f"{one.perplexity:.4f}") for name, one in names),
            ("KL divergence", f"{both.kl_divergence:.6f} nats a token, 99% below {both.kl_99:.6f}"),
            ("same likeliest token", f"{100 * both.top1_agreement:.2f}%"),
            ("tokens", str(both.base.tokens)),
        ]
        _print(data, as_json, facts, both.base.window, both.base.stride)


def _name(llm: LLM) -> str:
    made = llm.info.manifest
    return f"{made.quant}, precision {made.precision}, KV {made.language.kv}"


def _print(data: dict[str, Any], as_json: bool, facts: list[tuple[str, str]], window: int, stride: int) -> None:
    from hearth.cli.table import print_facts

    if as_json:
        click.echo(json.dumps(data, ensure_ascii=False))
    else:
        print_facts([*facts, ("window", f"{window} tokens, stride {stride}")])
