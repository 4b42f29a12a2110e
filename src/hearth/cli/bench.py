"""`hearth bench MODEL`: how fast a model is on this machine."""

from __future__ import annotations

import json
import sys
from typing import Any

import click

from hearth.cli.options import examples, open_llm, open_options


@click.command(
    "bench",
    epilog=examples(
        "hearth bench starter --prompt 128 --gen 64",
        "hearth bench MODEL --prompt 512 --gen 128 --threads 2 --repeat 5 --json",
    ),
)
@click.argument("model")
@click.option("--prompt", type=int, default=512, show_default=True, help="Tokens in.")
@click.option("--gen", type=int, default=128, show_default=True, help="Tokens out.")
@click.option("--repeat", type=int, default=5, show_default=True, help="Runs, after one that warms up.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@open_options
def command(model: str, prompt: int, gen: int, repeat: int, as_json: bool, **options: Any) -> None:
    """Measure MODEL on this machine: prefill and decode speed, time to first token, memory.

    The memory's bandwidth is read in the same run by the same threads: decoding reads all weights once a token, so the
    share of the bandwidth that it uses says how good it is on any machine. Tokens are random; GB and MB are decimal.
    """
    from hearth.measure import bench

    if options["context"] is None:
        options["context"] = prompt + gen
    with open_llm(model, options) as llm:

        def told(done: int, total: int) -> None:
            if sys.stderr.isatty():
                click.echo(f"\rrun {done}/{total}", nl=done == total, err=True)

        result = bench(llm, prompt=prompt, gen=gen, repeat=repeat, told=told)
    data = result.to_json()
    if as_json:
        click.echo(json.dumps(data, ensure_ascii=False))
        return
    from hearth.cli.table import print_facts

    def spread(name: str, unit: str) -> str:
        value = data[name]
        return f"{value['median']:.1f} {unit}  ({value['min']:.1f} to {value['max']:.1f})"

    share = 100 * result.decode_gb_s / result.read_gb_s if result.read_gb_s else 0.0
    print_facts(
        [
            ("model", f"{result.model} ({result.quant}, head {result.head}, {result.precision})"),
            ("run", f"{prompt} tokens in, {gen} out, {result.threads} threads, median of {repeat}"),
            ("prefill", spread("prefill_tok_s", "tok/s")),
            ("decode", spread("decode_tok_s", "tok/s")),
            ("first token", spread("ttft_ms", "ms")),
            ("memory read", f"{result.read_gb_s:.1f} GB/s"),
            ("decode reads", f"{result.decode_gb_s:.1f} GB/s, {share:.0f}% of it"),
            ("weights", f"{result.weights_mb:.1f} MB"),
            ("peak memory", f"{result.peak_memory_mb:.0f} MB"),
        ]
    )
