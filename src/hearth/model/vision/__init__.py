"""Models that see: their families, their networks in logical operations, what their outputs mean.

`load_vision` is the door.
"""

from hearth.model.vision.load import LoadedVision, load_vision
from hearth.model.vision.model import Head, Task, TextTower

__all__ = ["Head", "LoadedVision", "Task", "TextTower", "load_vision"]
