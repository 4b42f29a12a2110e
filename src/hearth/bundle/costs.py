"""What each step of a plan moves and computes: `costs.json`, and `gpu_costs.json` of the plan for GPUs, written by the
compiler, read by `hearth bench --profile`.

Formulas of the batch rather than numbers, since a step costs more the more tokens there are and the more context they
see. Every byte is counted once a forward, however often a cache serves it again: it is what has to be moved at least.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Literal

from hearth.errors import BundleMismatch, CorruptFile

COSTS, GPU_COSTS = "costs.json", "gpu_costs.json"

Arithmetic = Literal["int8", "float32"]
_HINT = "Compile the model again: hearth compile MODEL --force."


@dataclass(frozen=True)
class BatchShape:
    """As much of a forward's batch as its cost depends on.

    Attributes:
        spans: (first position, tokens) of each sequence that has tokens in the batch.
        logit_rows: rows of logits wanted.
    """

    spans: tuple[tuple[int, int], ...]
    logit_rows: int

    @property
    def tokens(self) -> int:
        return sum(count for _, count in self.spans)

    def count(self, symbol: str) -> int:
        """How many there are of a symbol of the plan; 1 for what none counts ("one")."""
        counts = {"one": 1, "tokens": self.tokens, "sequences": len(self.spans), "logit_rows": self.logit_rows}
        return counts[symbol]

    def context_tokens(self, window: int) -> int:
        """Tokens whose keys and values are read: each once for a sequence. `window` 0: all."""
        return sum(first + count - (max(0, first - window + 1) if window else 0) for first, count in self.spans)

    def pairs(self, window: int) -> int:
        """Pairs of a token and a token that it attends to, itself included."""
        if window:
            return sum(min(p + 1, window) for first, count in self.spans for p in range(first, first + count))
        return sum(count * first + count * (count + 1) // 2 for first, count in self.spans)


@dataclass(frozen=True)
class StepCost:
    """The cost of one step.

    Attributes:
        role: what the step is in the model: `qkv`, `attention`, `down`, ...
        kernel: that it runs.
        arithmetic: what most of its operations are: products of bytes, or 32-bit floats.
        weight_bytes: read once a forward.
        token_weight_bytes: of these, what one token reads, where that depends on the token (experts); 0: all.
        row_bytes: for each of a symbol of the plan (`tokens`, `logit_rows`, ...) the bytes of activations that are read
            and written.
        row_operations: likewise operations, a multiply and add being two.
        kv_bytes: keys and values of one token of context.
        pair_operations: operations for a token and a token that it attends to.
        window: tokens that one attends to at most; 0: all.
    """

    role: str
    kernel: str
    arithmetic: Arithmetic = "float32"
    weight_bytes: int = 0
    token_weight_bytes: int = 0
    row_bytes: Mapping[str, int] = field(default_factory=dict)
    row_operations: Mapping[str, int] = field(default_factory=dict)
    kv_bytes: int = 0
    pair_operations: int = 0
    window: int = 0

    def memory_bytes(self, batch: BatchShape) -> int:
        """Weights, keys and values: what has to come from memory, for no cache holds it from one forward to the
        next."""
        weights = self.weight_bytes
        if self.token_weight_bytes:  # at most: tokens may choose the same
            weights = min(weights, self.token_weight_bytes * batch.tokens)
        return weights + self.kv_bytes * (batch.context_tokens(self.window) if self.kv_bytes else 0)

    def bytes(self, batch: BatchShape) -> int:
        """All that is read and written: `memory_bytes` and activations."""
        rows = sum(size * batch.count(symbol) for symbol, size in self.row_bytes.items())
        return self.memory_bytes(batch) + rows

    def operations(self, batch: BatchShape) -> int:
        rows = sum(count * batch.count(symbol) for symbol, count in self.row_operations.items())
        return rows + (self.pair_operations * batch.pairs(self.window) if self.pair_operations else 0)


def write_costs(steps: Sequence[StepCost]) -> str:
    """The text of costs.json. Layers repeat themselves, so each cost is written once and steps refer to it."""
    distinct = list({json.dumps(asdict(step), sort_keys=True): step for step in steps}.values())
    return json.dumps({"costs": [asdict(c) for c in distinct], "steps": [distinct.index(s) for s in steps]}) + "\n"


def read_costs(bundle: Path, name: str = COSTS) -> tuple[StepCost, ...]:
    """The cost of every step of the plan in the folder `bundle`, in the plan's order.

    Args:
        name: of the file: `GPU_COSTS` for the plan for GPUs.

    Raises:
        BundleMismatch: the bundle has no costs; an older Hearth made it.
        CorruptFile: the file is damaged.
    """
    file = bundle / name
    try:
        data = json.loads(file.read_bytes())
        known = {f.name for f in fields(StepCost)}
        costs = [StepCost(**{key: value for key, value in cost.items() if key in known}) for cost in data["costs"]]
        return tuple(costs[index] for index in data["steps"])
    except FileNotFoundError:
        raise BundleMismatch(
            f"{bundle} does not say what its kernels move and compute.",
            why="An older version of Hearth made it.",
            hint=_HINT,
        ) from None
    except (OSError, ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError) as error:
        raise CorruptFile(f"{file} is damaged.", why=str(error), hint=_HINT) from error
