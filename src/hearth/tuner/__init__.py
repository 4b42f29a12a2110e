"""Searches on this machine how products are computed fastest (`hearth tune`), and proves that nothing else changes."""

from hearth.tuner.tune import DEFAULT_BUDGET_S, TuneResult, tune

__all__ = ["DEFAULT_BUDGET_S", "TuneResult", "tune"]
