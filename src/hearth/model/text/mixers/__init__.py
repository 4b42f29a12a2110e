"""What mixes the tokens of a sequence in a layer, where that is no attention: a file for each kind. Some stand in the
place of attention, some in that of an MLP that looks at the tokens before, too.

A mixer keeps a state of fixed size for each sequence, whatever its length, beside the pages of keys and values of the
layers that attend. What it declares (`Mixer`) needs no TVM; what it computes is written in logical operations.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

Shape = tuple[int, ...]


class Parts(Protocol):
    """What a mixer is built of: the parameters and states of its layer by their names, and the batch.

    Attributes:
        epsilon: of the model's norms.
        runs, state_to: inputs of `batch.py`.
        left: what the mixers of layers before leave to later ones, by name.
    """

    epsilon: float
    runs: Any
    state_to: Any
    left: dict[str, Any]

    def emit(self, value: Any) -> Any:
        """A variable of the graph with this value."""
        ...

    def parameter(self, name: str) -> Any: ...
    def state(self, name: str) -> Any: ...
    def linear(self, x: Any, weight: str, bias: str | None = None) -> Any:
        """x times a parameter's rows, plus another."""
        ...


class Mixer(Protocol):
    """One kind of mixer, with its sizes: a frozen dataclass, so that configurations can be compared.

    Attributes:
        reads_others: it reads what a layer before has left.
    """

    @property
    def reads_others(self) -> bool: ...

    def parameters(self, hidden_size: int) -> Mapping[str, Shape]:
        """Shapes of a layer's parameters, by name behind the layer's."""
        ...

    def states(self) -> Mapping[str, int]:
        """Numbers (f32) that a layer keeps of one sequence, by name behind the layer's."""
        ...

    def build(self, parts: Parts, x: Any) -> Any:
        """What the mixer gives for x f32 (tokens, hidden), f32 (tokens, hidden). Needs TVM."""
        ...
