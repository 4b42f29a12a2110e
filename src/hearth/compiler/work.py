"""How much work a step is: noted where its kernel is chosen, made a `StepCost` when the plan is written.

What is chosen (which product, how many heads) is only known to `cpu/select.py`; what is read and written follows
from the types of a step's operands and results, so it need not be said there.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from hearth.bundle.costs import Arithmetic, StepCost
from hearth.compiler.parameters import Parameters
from hearth.model.text.decoder import INPUTS
from hearth.model.text.kv_cache import PAGE_TOKENS

_ITEM_BYTES = {"float32": 4, "int32": 4, "int8": 1, "float16": 2}


@dataclass(frozen=True)
class Work:
    """What a step does, for its cost.

    Attributes:
        role: of the step in the model, for people.
        rows: symbol that counts its rows.
        operations: a row, a multiply and add being two; of row kernels what their formulas name.
        arithmetic: of these operations.
        pair_operations: attention's, for each pair of tokens.
        window: tokens that one attends to at most; 0: all.
        gathers: reads one row of its matrices for each of its rows, not all of them.
        appends: writes keys and values of its rows instead of reading those of the context.
    """

    role: str
    rows: str = "n"
    operations: int = 0
    arithmetic: Arithmetic = "float32"
    pair_operations: int = 0
    window: int = 0
    gathers: bool = False
    appends: bool = False

    def to_text(self) -> str:
        """As an attribute of an operation in the graph."""
        return json.dumps(asdict(self))

    @classmethod
    def from_text(cls, text: str) -> Work:
        return cls(**json.loads(text))


def role(weight: str) -> str:
    """`layers.3.qkv` -> `qkv`: layers do the same, so they have one role."""
    return weight.rpartition(".")[2]


def step_cost(
    work: Work, kernel: str, operands: Sequence[Any], results: Sequence[Any], parameters: Parameters,
    kv_bytes: Mapping[str, int],
) -> StepCost:  # fmt: skip
    """The cost of one step.

    Args:
        operands: its variables in the graph; results: types.
        kv_bytes: bytes of one page of each KV parameter.
    """
    rows: Counter[str] = Counter()
    weights = kv = 0
    for var in dict.fromkeys(operands):  # q, k and v may be one buffer
        name = var.name_hint if hasattr(var, "name_hint") else var.name
        if name in kv_bytes:
            kv += kv_bytes[name] // PAGE_TOKENS
        elif name in parameters.packed:
            packed = parameters.packed[name]
            if work.gathers and packed.k is not None:
                rows[work.rows] += packed.size_bytes // packed.n
            else:
                weights += packed.size_bytes
        elif name not in INPUTS:
            symbol, size = _size(var.ty)
            rows[work.rows if work.gathers else symbol] += size
    for ty in results:
        symbol, size = _size(ty)
        rows[symbol] += size
    rows.pop("one", None)  # attention's partial results: of this space, a few rows are used at times
    if work.appends:
        rows[work.rows] += kv
        kv = 0
    return StepCost(
        role=work.role,
        kernel=kernel,
        arithmetic=work.arithmetic,
        weight_bytes=weights,
        row_bytes=dict(rows),
        row_operations={work.rows: work.operations} if work.operations else {},
        kv_bytes=kv,
        pair_operations=work.pair_operations,
        window=work.window,
    )


def _size(ty: Any) -> tuple[str, int]:
    """(symbol, bytes for each of it) of an activation."""
    symbol, size = "one", _ITEM_BYTES[str(ty.dtype.dtype) if hasattr(ty.dtype, "dtype") else str(ty.dtype)]
    for dim in ty.shape:
        if hasattr(dim, "value"):
            size *= int(dim.value)
        else:
            symbol = str(dim.name)
    return symbol, size
