"""Formats chosen by examples: what a network does with examples says which of its matrices can do with 4 bits.

It runs networks, so it stands right of the runtime; the compiler asks it through `compiler.compile.Calibration`.
"""

from hearth.calibrate.calibration import ExampleCalibration
from hearth.calibrate.door import calibration_of, check_calibration, text_calibration_of

__all__ = ["ExampleCalibration", "calibration_of", "check_calibration", "text_calibration_of"]
