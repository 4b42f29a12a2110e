"""Compiles a described model for one device: Relax module, passes, TensorIR kernels, plan, one library, a bundle."""

from hearth.compiler.compile import compile_model

__all__ = ["compile_model"]
