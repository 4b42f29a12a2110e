"""Computes a graph of logical operations in numpy: what constants are folded with, and what kernels are held against.

Speed is no aim. Each operation computes in f64 and rounds once to the type that the graph gives its result, so that a
result is as exact as f32 between operations can be.
"""

from hearth.model.evaluate.walk import computes, evaluate, evaluate_call

__all__ = ["computes", "evaluate", "evaluate_call"]
