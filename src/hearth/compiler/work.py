"""How much work a step is: noted where its kernel is chosen, made a `StepCost` when the plan is written.

What is chosen (which product, how many heads) is only known to `cpu/select.py`; what is read and written follows
from the types of a step's operands and results, so it need not be said there.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any

from tvm import tirx

from hearth.bundle.costs import Arithmetic, StepCost
from hearth.compiler.parameters import Parameters
from hearth.compiler.passes.rewrite import dtype_of
from hearth.compiler.plan import ITEM_BYTES
from hearth.model.network import Function, State
from hearth.model.text.adapters import ADAPTERS
from hearth.model.text.batch import SLOTS
from hearth.model.text.kv_cache import PAGE_TOKENS


@dataclass(frozen=True)
class Work:
    """What a step does, for its cost.

    Attributes:
        role: of the step in the model, for people.
        rows: symbol that counts its rows.
        operations: for each of the symbol, a multiply and add being two; of row kernels what their formulas name.
        arithmetic: of these operations.
        pair_operations: attention's, for each pair of tokens.
        window: tokens that one attends to at most; 0: all.
        gathers: reads one row of its matrices for each of its rows, not all of them.
        chosen: its matrix is a stack, of which so many are read for each token; 0: it is none.
        appends: writes keys and values of its rows instead of reading those of the context.
    """

    role: str
    rows: str = "one"
    operations: int = 0
    arithmetic: Arithmetic = "float32"
    pair_operations: int = 0
    window: int = 0
    gathers: bool = False
    chosen: int = 0
    appends: bool = False

    @classmethod
    def of(cls, role: str, rows: Any, operations: Any = 0, **others: Any) -> Work:
        """Of a step over `rows` rows, a size of the graph, with so many operations a row, which is one, too."""
        factor, symbol = _factors(rows)
        each, other = _factors(operations)
        return cls(role, symbol or other or "one", factor * each, **others)

    def to_text(self) -> str:
        """As an attribute of an operation in the graph."""
        return json.dumps(asdict(self))

    @classmethod
    def from_text(cls, text: str) -> Work:
        return cls(**json.loads(text))


NO_PARTS: Mapping[int, tuple[int, int]] = MappingProxyType({})


def role(weight: str) -> str:
    """`layers.3.qkv` -> `qkv`, `layers.3.fc1.weight` -> `fc1`: layers do the same, so they have one role."""
    return weight.removesuffix(".weight").rpartition(".")[2]


def step_cost(
    work: Work, kernel: str, operands: Sequence[Any], results: Sequence[Any], parameters: Parameters,
    states: Mapping[str, State], function: Function, parts: Mapping[int, tuple[int, int]] = NO_PARTS,
) -> StepCost:  # fmt: skip
    """The cost of one step.

    Args:
        operands: its variables in the graph; results: types.
        states: by name.
        parts: by the number of an operand that is a weight: (offset, size) of what the step is given of it.
    """
    inputs = {declared.name for declared in function.inputs}
    rows: Counter[str] = Counter()
    weights = kv = token_weights = 0
    given = Counter[Any]()
    for number, (_, size) in parts.items():
        given[operands[number]] += size
    for var in dict.fromkeys(operands):  # q, k and v may be one buffer
        name = var.name_hint if hasattr(var, "name_hint") else var.name
        if name in states:
            if states[name].symbol == SLOTS:  # read before a sequence's tokens, written behind them
                rows["sequences"] += 2 * states[name].unit_bytes
            elif states[name].symbol != ADAPTERS:  # of which a batch without any reads nothing
                kv += states[name].unit_bytes // PAGE_TOKENS
        elif name in parameters.packed:
            packed = parameters.packed[name]
            if work.gathers and packed.k is not None:
                rows[work.rows] += packed.size_bytes // packed.n
            else:
                size = given[var] or packed.size_bytes
                weights += size
                # What is no stack, such as a norm's weight, any token reads as a whole.
                token_weights += size // packed.stack * work.chosen if packed.stack > 1 else size * (work.chosen > 0)
        elif name not in inputs:
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
        token_weight_bytes=token_weights,
        row_bytes=dict(rows),
        row_operations={work.rows: work.operations} if work.operations else {},
        kv_bytes=kv,
        pair_operations=work.pair_operations,
        window=work.window,
    )


def _size(ty: Any) -> tuple[str, int]:
    """(symbol, bytes for each of it) of an activation."""
    symbol, size = "one", ITEM_BYTES[dtype_of(ty)]
    for dim in ty.shape:
        number, name = _factors(dim)
        size *= number
        symbol = name or symbol
    return symbol, size


def _factors(dim: Any) -> tuple[int, str | None]:
    """A size as a number times a symbol; of a sum the part that grows with the symbol."""
    if isinstance(dim, int | tirx.IntImm):
        return int(dim), None
    if isinstance(dim, tirx.Var):
        return 1, str(dim.name)
    (a, x), (b, y) = _factors(dim.a), _factors(dim.b)
    if isinstance(dim, tirx.Mul):
        return a * b, x or y
    if isinstance(dim, tirx.FloorDiv):
        return max(1, a // b), x
    return (a, x) if x else (b, y)
