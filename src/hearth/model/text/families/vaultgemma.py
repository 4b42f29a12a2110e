"""VaultGemma."""

from dataclasses import replace

from hearth.model.settings import Settings
from hearth.model.text.config import DecoderConfig
from hearth.model.text.families import gemma2


def configure(settings: Settings) -> DecoderConfig:
    # Gemma 2 without norms after its branches.
    return replace(gemma2.configure(settings), family="vaultgemma", norm_placement="pre")


FAMILY = replace(
    gemma2.FAMILY,
    name="vaultgemma",
    model_types=("vaultgemma",),
    architectures=(),
    configure=configure,
)
