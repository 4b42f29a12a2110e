"""What a folder says of how its weights were quantised, wherever it says so."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from hearth.errors import Unsupported
from hearth.hub.weights import QUANTISATION_FILES

MLX_KEY = "quantization"
KEYS = (MLX_KEY, "quantization_config", "compression_config")
"""Of config.json, or of the part of it that describes the language model. MLX writes its own also as the second."""
INNER = "text_config"
MLX = "mlx"
# Files beside config.json, older than the key in it: what they are of, and which of their keys are called otherwise.
_FILES: Mapping[str, tuple[str, Mapping[str, str]]] = dict(
    zip(
        QUANTISATION_FILES,
        (("gptq", {}), ("awq", {"w_bit": "bits", "q_group_size": "group_size"}), ("modelopt", {})),
        strict=True,
    )
)
Beside = Callable[[str], "Mapping[str, Any] | None"]
"""The content of a JSON file beside config.json; None where there is none of the name."""
_SAME = {"modelopt_fp4": "modelopt", "modelopt_fp8": "modelopt", "modelopt_mixed": "modelopt"}
_AUTOROUND = ("auto-round", "intel/auto-round")
# What bitsandbytes was told by before methods had names.
_BITSANDBYTES = ("load_in_4bit", "load_in_8bit")


@dataclass(frozen=True)
class Scheme:
    """How weights were quantised.

    Attributes:
        method: its name, in small letters.
        settings: all that is said of it.
        where: the file and the key that say so.
        model: the model's own configuration.
    """

    method: str
    settings: Mapping[str, Any]
    where: str
    model: Mapping[str, Any] = field(default_factory=dict)

    def unsupported(self, key: str, why: str) -> Unsupported:
        """The error for a setting that Hearth does not know."""
        shown = repr(self.settings.get(key))[:100]
        return Unsupported(
            f"Weights quantised by {self.method} with {key} = {shown} are not read ({self.where}).",
            why=why,
            hint=OTHER_FORMS,
        )

    def flag(self, key: str, default: bool) -> bool:
        """A setting that is true or false. Raises Unsupported for another."""
        value = self.settings.get(key, default)
        value = default if value is None else value
        if not isinstance(value, bool):
            raise self.unsupported(key, "True or false is expected.")
        return value

    def count(self, key: str, default: int) -> int:
        """A positive number. Raises Unsupported for another."""
        value = self.settings.get(key)
        value = default if value is None else value
        if type(value) is not int or not 0 < value < 1 << 24:
            raise self.unsupported(key, "A positive number is expected.")
        return value


OTHER_FORMS = (
    "Look for the same model as a GGUF file (Q4_K_M, Q5_K_M, Q6_K, Q8_0, F16) or for the unquantised original."
)


def scheme_of(config: Mapping[str, Any], beside: Beside | None = None) -> Scheme | None:
    """How the weights of a model were quantised; None where nothing says that they were.

    Args:
        config: content of config.json.
        beside: the files beside it, as far as they count.
    """
    inner = config.get(INNER)
    for place, table in (("", config), (f"{INNER}.", inner if isinstance(inner, Mapping) else {})):
        for key in KEYS:
            given = table.get(key)
            if isinstance(given, Mapping):
                return _scheme(given, f"config.json: {place}{key}", config, MLX if key == MLX_KEY else "")
            if given is not None and key != MLX_KEY:
                return Scheme(str(given)[:40], {}, f"config.json: {place}{key}", config)
    for name, (method, keys) in _FILES.items():
        found = beside(name) if beside is not None else None
        if found is not None:
            settings = {keys.get(key, key): value for key, value in found.items()}
            return _scheme({"quant_method": method, **settings}, name, config, "")
    return None


def without_scheme(config: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration as that of the unquantised model."""
    plain = {key: value for key, value in config.items() if key not in KEYS or not isinstance(value, Mapping)}
    if isinstance(plain.get(INNER), Mapping):
        plain[INNER] = without_scheme(plain[INNER])
    return plain


def _scheme(settings: Mapping[str, Any], where: str, config: Mapping[str, Any], method: str) -> Scheme:
    if not method:
        named = next((settings[key] for key in ("quant_method", "quant_algo", "format") if settings.get(key)), "")
        method = str(named)[:40].lower() or "a method without a name"
        if not named and any(settings.get(key) for key in _BITSANDBYTES):
            method = "bitsandbytes"
        method = _packed_as(settings) or method if method in _AUTOROUND else _SAME.get(method, method)
    return Scheme(method, settings, where, config)


def _packed_as(settings: Mapping[str, Any]) -> str | None:
    """The method whose packing AutoRound's export has."""
    packing = str(settings.get("packing_format") or settings.get("backend") or "")
    return next((method for method in ("gptq", "awq") if method in packing), None)
