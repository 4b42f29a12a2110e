"""Compiles a described network for one device: Relax module, passes, TensorIR kernels, plan, one library, a bundle."""

from hearth.compiler.text import compile_model

__all__ = ["compile_model"]
