"""Falcon Mamba: as Mamba, with bare norms of what steps are made of, B and C. A GGUF file has it as `mamba`."""

from dataclasses import replace

from hearth.model.text.families.mamba import FAMILY as MAMBA

FAMILY = replace(
    MAMBA,
    name="falcon_mamba",
    model_types=("falcon_mamba",),
    architectures=(),
    defaults={**MAMBA.defaults, "ssm_dt_b_c_rms": True},
)
