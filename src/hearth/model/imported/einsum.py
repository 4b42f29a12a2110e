"""Einsums as transposes, sums and matrix products, which rules then see as what they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tvm.relax import op

from hearth.errors import Unsupported
from hearth.model.imported.graph import Graph
from hearth.model.imported.moves import binary, permute, reshape


def einsum(g: Graph, equation: str, operands: Sequence[Any]) -> Any:
    """As numpy's, but for axes that one operand names twice."""
    terms, result = _terms(g, equation.replace(" ", ""), operands)
    rest = list(zip(terms, operands, strict=True))
    name, x = rest.pop(0)
    while rest:
        wanted = set(result).union(*(set(other) for other, _ in rest))
        name, x = _summed(g, name, x, wanted)
        other, y = rest.pop(0)
        wanted = set(result).union(*(set(term) for term, _ in rest))
        name, x = _product(g, name, x, other, y, wanted)
    name, x = _summed(g, name, x, set(result))
    return _ordered(g, name, x, result)


def _terms(g: Graph, equation: str, operands: Sequence[Any]) -> tuple[list[str], str]:
    """Names of the axes of each operand and of the result; what `...` stands for has names of its own."""
    given, arrow, result = equation.partition("->")
    terms = given.split(",")
    if len(terms) != len(operands):
        raise Unsupported(f"its equation {equation[:100]} has {len(terms)} operands, not {len(operands)}")
    free = [letter for letter in map(chr, range(0x3B1, 0x3C9)) if letter not in equation]
    widest = max(
        (g.rank(x) - len(term) + 3 for term, x in zip(terms, operands, strict=True) if "..." in term), default=0
    )
    more = "".join(free[:widest])
    named = []
    for term, x in zip(terms, operands, strict=True):
        count = g.rank(x) - len(term) + 3
        named.append(term.replace("...", more[len(more) - count :] if count else ""))
        if len(set(named[-1])) != len(named[-1]) or len(named[-1]) != g.rank(x):
            raise Unsupported(f"its equation {equation[:100]} names an axis twice, or does not fit")
    if not arrow:
        letters = "".join(term.replace("...", "") for term in terms)
        result = more + "".join(sorted(letter for letter in set(letters) if letters.count(letter) == 1))
    return named, result.replace("...", more)


def _summed(g: Graph, name: str, x: Any, wanted: set[str]) -> tuple[str, Any]:
    """Without the axes that nothing else names."""
    gone = [axis for axis, letter in enumerate(name) if letter not in wanted]
    if not gone:
        return name, x
    return "".join(letter for letter in name if letter in wanted), g.emit(op.sum(x, gone))


def _ordered(g: Graph, name: str, x: Any, wanted: str) -> Any:
    order = [name.index(letter) for letter in wanted]
    return x if order == list(range(len(name))) else permute(g, x, order)


def _product(g: Graph, a: str, x: Any, b: str, y: Any, wanted: set[str]) -> tuple[str, Any]:
    """x y, summed over the axes that both have and nothing else names: a product of matrices of joined axes."""
    b, y = _summed(g, b, y, wanted | set(a))
    both = [letter for letter in a if letter in b]
    batch, summed = [n for n in both if n in wanted], [n for n in both if n not in wanted]
    left, right = [n for n in a if n not in b], [n for n in b if n not in a]
    sizes = dict(zip(b, g.shape(y), strict=True))
    for letter, size in zip(a, g.shape(x), strict=True):  # sizes of 1 go with any
        sizes[letter] = sizes[letter] if isinstance(size, int) and size == 1 and letter in sizes else size
    if not summed:
        name = "".join([*batch, *left, *right])
        shapes = [[sizes[n] if n in term else 1 for n in name] for term in (a, b)]
        aligned = (
            reshape(g, _ordered(g, term, z, "".join(n for n in name if n in term)), _own(g, term, z, name, shape))
            for term, z, shape in ((a, x, shapes[0]), (b, y, shapes[1]))
        )
        return name, binary(g, "multiply", *aligned)
    m, k, n = (_total(sizes[letter] for letter in part) for part in (left, summed, right))
    lead = [sizes[letter] for letter in batch]
    matrix = reshape(g, _ordered(g, a, x, "".join([*batch, *left, *summed])), [*lead, m, k])
    other = reshape(g, _ordered(g, b, y, "".join([*batch, *summed, *right])), [*lead, k, n])
    found = g.emit(op.matmul(matrix, other))
    shape = [*lead, *(sizes[letter] for letter in left), *(sizes[letter] for letter in right)]
    return "".join([*batch, *left, *right]), reshape(g, found, shape)


def _own(g: Graph, term: str, x: Any, name: str, shape: Sequence[Any]) -> list[Any]:
    """The shape with an operand's own sizes, which may be 1 where the other's are not."""
    own = dict(zip(term, g.shape(x), strict=True))
    return [own.get(letter, size) for letter, size in zip(name, shape, strict=True)]


def _total(sizes: Any) -> Any:
    total: Any = 1
    for size in sizes:
        total = total * size
    return total
