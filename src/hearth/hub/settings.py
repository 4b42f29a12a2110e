"""What the environment says about the hub: HF_HOME and HF_HUB_CACHE, HF_ENDPOINT, HF_HUB_OFFLINE.

huggingface_hub reads the variables when it is imported; here they are read from it, at call time, so that both agree.
"""

from __future__ import annotations

from pathlib import Path

PUBLIC_HUB = "https://huggingface.co"


def cache_dir() -> Path:
    """The folder of the Hugging Face cache."""
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE).expanduser().absolute()


def endpoint() -> str:
    """The hub's address, without a slash at its end."""
    from huggingface_hub import constants

    return str(constants.ENDPOINT)


def is_offline() -> bool:
    """Whether the network is forbidden."""
    from huggingface_hub import constants

    return bool(constants.HF_HUB_OFFLINE)


def prefers_xet() -> bool:
    """Whether the user asked for the hub's Xet protocol: faster than HTTP, but an interrupted file begins anew."""
    from huggingface_hub import constants

    return bool(constants.HF_XET_HIGH_PERFORMANCE) and not constants.HF_HUB_DISABLE_XET
