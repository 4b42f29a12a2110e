"""Symbolic sizes compared: as sums of products of symbols, in which what is neither sum nor product is a symbol."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import tvm
from tvm import sym, tirx

Polynomial = dict[tuple[str, ...], int]
"""Products of symbols, sorted by name, with their factors; () is the number without a symbol."""


def polynomial(size: Any) -> Polynomial:
    """A size, an int or an expression, multiplied out."""
    if isinstance(size, int | tirx.IntImm):
        return {(): int(size)} if int(size) else {}
    if isinstance(size, tirx.Add | tirx.Sub):
        sign = 1 if isinstance(size, tirx.Add) else -1
        total: Counter[tuple[str, ...]] = Counter(polynomial(size.a))
        for symbols, factor in polynomial(size.b).items():
            total[symbols] += sign * factor
        return {symbols: factor for symbols, factor in total.items() if factor}
    if isinstance(size, tirx.Mul):
        total = Counter()
        for x, p in polynomial(size.a).items():
            for y, q in polynomial(size.b).items():
                total[tuple(sorted(x + y))] += p * q
        return {symbols: factor for symbols, factor in total.items() if factor}
    return {(size.name if isinstance(size, tirx.Var) else str(size),): 1}


def same_shape(a: Any, b: Any) -> bool:
    """Whether two tensor types are known to have the same axes."""
    return len(a.shape) == len(b.shape) and all(equal_sizes(x, y) for x, y in zip(a.shape, b.shape, strict=True))


def equal_sizes(a: Any, b: Any) -> bool:
    """Whether two sizes are known to be the same."""
    return polynomial(a) == polynomial(b)


def bounds(size: Any, symbols: Mapping[str, tuple[int, int]]) -> tuple[int, int]:
    """Between which numbers a size lies, given those of the symbols."""
    if isinstance(size, int | tirx.IntImm):
        return int(size), int(size)
    analyzer = sym.Analyzer()
    for var in tirx.analysis.undefined_vars(size):
        low, high = symbols[var.name]
        analyzer.bind(var, tvm.ir.Range(low, high + 1))
    bound = analyzer.const_int_bound(size)
    return int(bound.min_value), int(bound.max_value)
