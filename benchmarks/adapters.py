"""How fast a batch decodes whose rows have adapters (LoRA) of their own, as a share of the model without any.

    python benchmarks/adapters.py .cache/shapes/qwen2.5-0.5b-hf-f16 --rank 16 --targets all

Opens the model alone and with as many random adapters as rows, and times forwards of one token for each row by turns:
the model alone; compiled with room for adapters, and no row has one; each row with an adapter of its own; all rows with
the same one. Then the same of a prompt. Needs a Hugging Face folder (`benchmarks/shapes.py --format hf-f16`).
"""

from __future__ import annotations

import argparse
import json
import statistics
import struct
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hearth import LLM
from hearth.checkpoint.safetensors import SafetensorsFile
from hearth.engine import LoadedAdapter

TARGETS = {
    "qv": ("q_proj", "v_proj"),
    "attention": ("q_proj", "k_proj", "v_proj", "o_proj"),
    "all": ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"),
}
PAGE = 16


def write_adapter(folder: Path, model: Path, targets: Sequence[str], rank: int, seed: int) -> Path:
    """A random adapter as peft writes it, in f16."""
    rng = np.random.default_rng(seed)
    header: dict[str, Any] = {}
    data = bytearray()
    for file in sorted(model.glob("*.safetensors")):
        for name, info in SafetensorsFile(file).tensors.items():
            module = name.removesuffix(".weight")
            if module.rpartition(".")[2] not in targets or len(info.shape) != 2:
                continue
            rows, columns = info.shape
            for which, shape in (("A", (rank, columns)), ("B", (rows, rank))):
                raw = (rng.standard_normal(shape) * 0.01).astype("<f2").tobytes()
                key = f"base_model.model.{module}.lora_{which}.weight"
                header[key] = {"dtype": "F16", "shape": shape, "data_offsets": [len(data), len(data) + len(raw)]}
                data += raw
    folder.mkdir(parents=True)
    text = json.dumps(header).encode()
    (folder / "adapter_model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + data)
    config = {"peft_type": "LORA", "r": rank, "lora_alpha": 2 * rank, "target_modules": list(targets)}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    return folder


class Batch:
    """A forward of `rows` sequences with so many tokens each behind a context, as often as wanted."""

    def __init__(self, llm: LLM, rows: int, tokens: int, context: int, adapters: Sequence[LoadedAdapter] = ()) -> None:
        self.session = llm.session
        total = rows * tokens
        pages = -(-(context + tokens) // PAGE)
        rng = np.random.default_rng(0)
        self.arrays = (
            rng.integers(0, llm.info.vocab_size, total).astype(np.int32),
            np.tile(np.arange(context, context + tokens, dtype=np.int32), rows),
            np.repeat(np.arange(rows, dtype=np.int32), tokens),
            np.arange(rows * pages, dtype=np.int32).reshape(rows, pages),
            np.arange(tokens - 1, total, tokens, dtype=np.int32),
        )
        self.more: dict[str, Any] = {}
        if adapters:
            units = [(adapter.first, adapter.count) for adapter in (adapters * rows)[:rows]]
            self.more = {"adapters": np.array(units, np.int32)}

    def __call__(self) -> None:
        self.session.forward(*self.arrays, wanted=("argmax",), **self.more)


def compare(what: str, runs: dict[str, Callable[[], None]], rounds: int) -> None:
    """Times by turns, each turn in another order, and prints the medians of what each takes as a share of the first. Of
    the processor's time too, which other programs disturb less (with one thread: several wait for each other in it)."""
    names = list(runs)
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
    for turn in range(rounds + 2):
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            begin = time.perf_counter(), time.process_time()
            runs[name]()
            if turn >= 2:
                times[name].append((time.perf_counter() - begin[0], time.process_time() - begin[1]))
    print(f"\n{what}: ms of each turn (median, lowest), speed as a share of {names[0]!r}")
    for which, kind in enumerate(("time", "processor's time")):
        base = [each[which] for each in times[names[0]]]
        for name in names:
            own = [each[which] for each in times[name]]
            share = statistics.median(b / o for b, o in zip(base, own, strict=True))
            print(
                f"  {kind:17} {name:26} {statistics.median(own) * 1e3:8.2f} {min(own) * 1e3:8.2f}"
                f"  {share:7.1%} {min(base) / min(own):7.1%}"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--rank", type=int, default=16)
    parser.add_argument("--targets", choices=TARGETS, default="all")
    parser.add_argument("--rows", type=int, default=8, help="rows of the batch, and adapters")
    parser.add_argument("--context", type=int, default=128)
    parser.add_argument("--prompt", type=int, default=256, help="tokens of a prompt; 0: none is measured")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--quant", default="q4")
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    opening = {
        "quant": args.quant,
        "threads": args.threads,
        "device": args.device,
        "context": 1024,
        "max_seqs": args.rows,
    }
    with tempfile.TemporaryDirectory() as folder:
        adapters = {
            f"a{i}": write_adapter(Path(folder) / str(i), args.model, TARGETS[args.targets], args.rank, i)
            for i in range(args.rows)
        }
        with LLM(args.model, **opening) as alone, LLM(args.model, adapters=adapters, **opening) as llm:
            table = llm._requests.adapters
            loaded = [table.find(name) for name in adapters]
            info = llm.info
            print(f"{args.model.name}, {info.manifest.quant}, {info.threads} threads, {args.rows} rows, "
                  f"{len(loaded)} adapters of rank {args.rank} beside {', '.join(TARGETS[args.targets])}")  # fmt: skip
            for what, tokens, context, rounds in (
                (f"a token of each of {args.rows} sequences behind {args.context}", 1, args.context, args.rounds),
                (f"{args.prompt} tokens of a prompt", args.prompt, 0, max(args.rounds // 5, 3)),
            ):
                rows = args.rows if tokens == 1 else 1
                if not tokens:
                    continue
                runs = {
                    "the model alone": Batch(alone, rows, tokens, context),
                    "with room, no row has one": Batch(llm, rows, tokens, context),
                    "each row its own": Batch(llm, rows, tokens, context, loaded),
                    "all rows the same": Batch(llm, rows, tokens, context, loaded[:1]),
                }
                compare(what, runs, rounds)


if __name__ == "__main__":
    main()
