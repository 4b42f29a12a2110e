"""Opens an adapter, whatever its form."""

from __future__ import annotations

from pathlib import Path

from hearth.checkpoint.adapter.gguf import open_gguf
from hearth.checkpoint.adapter.peft import CONFIG_FILE, open_peft
from hearth.checkpoint.adapter.types import Adapter
from hearth.errors import ModelNotFound, Unsupported


def open_adapter(path: Path) -> Adapter:
    """Reads what an adapter says of itself; its numbers are read when they are asked for.

    Args:
        path: a folder that peft wrote, or a GGUF file.

    Raises:
        ModelNotFound: it is neither.
        CorruptFile: a file is damaged or hostile.
        Unsupported: it does more than to add to matrices, by name; or it is something else than an adapter.
    """
    if path.is_dir():
        files = sorted(path.glob("*.gguf"))
        if not (path / CONFIG_FILE).is_file() and len(files) == 1:
            return open_gguf(files[0])
        return open_peft(path)
    if path.suffix in (".safetensors", ".json", ".bin") and path.is_file():
        raise Unsupported(
            f"{path.name} is a file of an adapter, and all of them are needed.", hint=f"Name its folder: {path.parent}"
        )
    if path.is_file():
        return open_gguf(path)
    raise ModelNotFound(
        f"There is no adapter {str(path)!r}.", hint=f"Name a folder with {CONFIG_FILE}, or a GGUF file."
    )
