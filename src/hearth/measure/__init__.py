"""Measures speed (`bench`), quality (`perplexity`, `compare`), a model's size (`describe`), this machine (`diagnose`).

Returns numbers; it never prints.
"""

from hearth.measure.bench import BenchResult, Decode, MemoryRead, Prefill, Spread, bench
from hearth.measure.describe import Description, describe
from hearth.measure.doctor import Diagnosis, Finding, diagnose
from hearth.measure.quality import Comparison, Perplexity, compare, perplexity

__all__ = [
    "BenchResult",
    "Comparison",
    "Decode",
    "Description",
    "Diagnosis",
    "Finding",
    "MemoryRead",
    "Perplexity",
    "Prefill",
    "Spread",
    "bench",
    "compare",
    "describe",
    "diagnose",
    "perplexity",
]
