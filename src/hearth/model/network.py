"""What a network is to the compiler, whatever kind it is: functions over named inputs, parameters, states.

Data only. The graphs themselves are made by `Network.build`, which needs TVM, so that a network can be described,
measured and looked up in the cache without it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from hearth.model.weights import Source

Dtype = Literal["float32", "int32", "uint8", "int8", "float16"]

Bound = int | tuple[str, int]
"""A number, or a symbol plus a number."""

Role = Literal["body", "experts", "head", "small", "exact"]
"""What a parameter is to the choice of number formats: a matrix of the body; one for each expert; embedding or head,
which decide about words; a small matrix, which is f32; or what is no matrix to products and lookups, and always f32."""


@dataclass(frozen=True)
class Input:
    """An input of a function. Its shape is that of the graph's parameter of this name.

    Attributes:
        low, high: every value lies in between, both included; the runtime checks it before anything runs. Kernels use
            such values as indices. None: any value.
        ascending: values never fall; the first is `low`, the last `high` (where sequences begin in a batch of tokens).
        lent: bytes that steps read where the caller has them, rather than a copy: kernels that take it read no byte
            beyond its end, and expect no alignment.
    """

    name: str
    dtype: Dtype
    low: Bound | None = None
    high: Bound | None = None
    ascending: bool = False
    lent: bool = False


@dataclass(frozen=True)
class State:
    """A region of memory that outlives a call: `symbol` units (pages, slots), chosen when a session is made."""

    name: str
    symbol: str
    unit_bytes: int


TEXT_DOOR: Literal["text"] = "text"
"""The door of functions whose inputs the runtime makes of a batch of tokens."""


@dataclass(frozen=True)
class Function:
    """A function of a network, and how it is called.

    Attributes:
        name: of the graph's function too.
        inputs: the first parameters of that, in this order.
        outputs: names of its results, in order.
        door: who makes the inputs: "" the caller (`hearth_run`), "text" the runtime from a batch of tokens
            (`hearth_forward`).
        layers: what names of the parameters and states of a layer begin with, before its number; "": it has none.
    """

    name: str
    inputs: tuple[Input, ...]
    outputs: tuple[str, ...]
    door: Literal["", "text"] = ""
    layers: str = ""


@dataclass(frozen=True)
class Chain:
    """How functions make up one whole whose sizes depend on values: they run in their order, each on what the caller
    and those before it gave, by name.

    Attributes:
        cuts: names of inputs that are the first rows of an output of an earlier function: that one, and the output
            i32 [1] that says how many rows.
        outputs: of the whole, in order.
    """

    cuts: Mapping[str, tuple[str, str]]
    outputs: tuple[str, ...]


@dataclass(frozen=True)
class Network:
    """One or more functions over shared parameters and states.

    Attributes:
        functions: in the order of the plan.
        symbols: the symbolic sizes that occur (`tirx.Var`s by name), with their bounds, both included; equal bounds
            make a named constant of the plan.
        shapes: of every parameter, by name.
        sources: where each is in the checkpoint.
        roles: of parameters that are not `exact`.
        states: in the order of the plan.
        build: makes the IRModule, with a Relax function for each of `functions`. Its parameters are inputs, then
            parameters and states of these names, in any order.
        coarse: rows that may be computed more coarsely: by the symbol that counts rows the one that counts the first
            of them, which may.
        chain: how its functions belong together; None: each is for itself.
    """

    functions: tuple[Function, ...]
    symbols: Mapping[str, tuple[int, int]]
    shapes: Mapping[str, tuple[int, ...]]
    sources: Mapping[str, Source]
    build: Callable[[], Any]
    roles: Mapping[str, Role] = field(default_factory=dict)
    states: tuple[State, ...] = ()
    coarse: Mapping[str, str] = field(default_factory=dict)
    chain: Chain | None = None

    def role(self, parameter: str) -> Role:
        return self.roles.get(parameter, "exact")
