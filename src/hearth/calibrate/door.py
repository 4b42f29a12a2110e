"""What a user says of calibration, checked and made into one."""

from __future__ import annotations

import os
from pathlib import Path

from hearth.calibrate.calibration import ExampleCalibration
from hearth.calibrate.examples import Examples
from hearth.errors import UsageError
from hearth.quant.mixed import MIXTURES


def check_calibration(quant: str | None, calibrate: str | os.PathLike[str] | None) -> None:
    """Refuses a mixture without examples, and examples without a mixture.

    Raises:
        UsageError: one of these. StorageError, UsageError: as `Examples.of_folder`.
    """
    calibration_of(quant, calibrate)


def calibration_of(quant: str | None, calibrate: str | os.PathLike[str] | None) -> ExampleCalibration | None:
    """The calibration that a number format needs; None: it needs none.

    Raises: as `check_calibration`.
    """
    if quant not in MIXTURES:
        if calibrate is not None:
            raise UsageError(
                f"Examples to calibrate with say nothing for {quant or 'the usual number format'}.",
                why="Its scales are made when the model runs.",
                hint=f"Choose {' or '.join(f'--quant {name}' for name in MIXTURES)}, or leave --calibrate out.",
            )
        return None
    if calibrate is None:
        raise UsageError(
            f"{quant} needs pictures to calibrate with.",
            why="Weights of 4 bits are chosen by what the model does with examples; without them answers change.",
            hint="Name a folder of some like those that it is to look at: --calibrate FOLDER (in Python:"
            " calibrate=FOLDER). --quant int8 needs none.",
        )
    return ExampleCalibration(quant, MIXTURES[quant], Examples.of_folder(Path(calibrate)))
