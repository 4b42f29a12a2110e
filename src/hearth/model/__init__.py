"""What a model is: which family it belongs to, its shape and arithmetic, and where its parameters are.

`load_family` is the door; `DecoderConfig` is what goes through it to the right.
"""

from hearth.model.text.config import DecoderConfig, ExpertsConfig, LayerConfig, RopeConfig
from hearth.model.text.load import LoadedModel
from hearth.model.text.parameters import parameter_shapes
from hearth.model.vlm.load import load_family
from hearth.model.weights import WeightSource

__all__ = [
    "DecoderConfig",
    "ExpertsConfig",
    "LayerConfig",
    "LoadedModel",
    "RopeConfig",
    "WeightSource",
    "load_family",
    "parameter_shapes",
]
