"""Folders whose weights are quantised, read as if they were not: by the names and shapes of the unquantised model.

A quantised weight is several tensors of a file: integers, scales, zero points. `unquantised` shows them as one tensor
with a reader, so that no family of models knows of it. Where a number format of ours holds integers and scales as they
are, that is the tensor's type and nothing is rounded; else it is f32, computed when rows are read, a few at a time.
Each way of quantising is a file here and a row of `methods.METHODS`; what it stores is told by tensors, as far as
these tell it, so that mixed files need no rules.
"""

from hearth.checkpoint.quantised.checkpoint import UnquantisedCheckpoint, unquantised
from hearth.checkpoint.quantised.methods import expected_type, refuse_unreadable

__all__ = ["UnquantisedCheckpoint", "expected_type", "refuse_unreadable", "unquantised"]
