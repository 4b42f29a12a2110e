"""What a user says of calibration, checked and made into one."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from hearth.calibrate.calibration import ExampleCalibration
from hearth.calibrate.examples import Examples, ToShow
from hearth.calibrate.texts import Read, TextExamples, texts_in
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
    return _calibration(quant, calibrate, "pictures", "folder of some like those that it is to look at", _of_folder)


def text_calibration_of(
    quant: str | None, calibrate: str | os.PathLike[str] | None, read: Read | None
) -> ExampleCalibration | None:
    """The same of an encoder, by texts.

    Args:
        read: makes the inputs of a batch of texts; None where nothing but what the user says is to be checked.

    Raises:
        UsageError: as `check_calibration`. StorageError, UsageError: as `texts_in`.
    """

    def examples(path: Path) -> TextExamples:
        return TextExamples(texts_in(path), read or (lambda texts: {}))

    return _calibration(quant, calibrate, "texts", "file with a line for each, or folder of .txt files,", examples)


def _of_folder(path: Path) -> Examples:
    return Examples.of_folder(path)


def _calibration(
    quant: str | None, calibrate: str | os.PathLike[str] | None, what: str, where: str,
    examples: Callable[[Path], ToShow],
) -> ExampleCalibration | None:  # fmt: skip
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
            f"{quant} needs {what} to calibrate with.",
            why="Weights of 4 bits are chosen by what the model does with examples; without them answers change.",
            hint=f"Name a {where}: --calibrate PATH (in Python: calibrate=PATH). --quant int8 needs none.",
        )
    return ExampleCalibration(quant, MIXTURES[quant], examples(Path(calibrate)))
