"""The files of weights in a model folder: which there are, and what is in them, whatever their form."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from hearth.checkpoint.mapped import PULL_AGAIN, read_json_object
from hearth.checkpoint.safetensors import SafetensorsFile
from hearth.checkpoint.torch_file import TorchCheckpoint
from hearth.errors import CorruptFile, ModelNotFound
from hearth.hub.foreign import names_in, refuse_foreign
from hearth.hub.weights import SAFETENSORS, SHARD, TORCH, WeightForm

WeightFile = SafetensorsFile | TorchCheckpoint
READERS: Mapping[WeightForm, type[SafetensorsFile] | type[TorchCheckpoint]] = {
    SAFETENSORS: SafetensorsFile,
    TORCH: TorchCheckpoint,
}


def open_weights(folder: Path, form: WeightForm) -> list[WeightFile]:
    """The weights of a model, in one file or several.

    Raises:
        ModelNotFound: not all are there.
        CorruptFile: a file is damaged, or named by an index and not there.
        Unsupported: one holds something else than tensors; there is another kind of model beside.
    """
    return [READERS[form](file) for file in _weight_files(folder, form)]


def file_of_each(files: Iterable[WeightFile]) -> dict[str, WeightFile]:
    """In which file each tensor is. Raises CorruptFile where one is in two."""
    found: dict[str, WeightFile] = {}
    for file in files:
        for name in file.tensors:
            if name in found:
                raise CorruptFile(
                    f"Tensor {name[:200]!r} stands in {found[name].path.name} and in {file.path.name}.",
                    why="Shards of a sound model share no tensor.",
                    hint=PULL_AGAIN,
                )
            found[name] = file
    return found


def _weight_files(folder: Path, form: WeightForm) -> list[Path]:
    if (folder / form.single).is_file():
        return [folder / form.single]
    if (folder / form.index).is_file():
        return _shards(folder, form)
    if loose := _loose_shards(folder, form):
        return loose
    others = [name for name in names_in(folder) if not form.is_weights(name)]
    refuse_foreign(str(folder), others, folder)
    raise ModelNotFound(
        f"{folder} has no weights.",
        why=f"There is no {form.single}, no {form.index} and no whole set of shards.",
        hint=PULL_AGAIN,
    )


def _loose_shards(folder: Path, form: WeightForm) -> list[Path]:
    """All shards of a model whose index is not there; the numbers in their names say how many they are."""
    paths = sorted(path for path in folder.iterdir() if form.is_shard(path.name))
    parts = [match for path in paths if (match := SHARD.fullmatch(path.name))]
    count = int(parts[0]["count"]) if parts else 0
    return paths if [int(part["number"]) for part in parts] == list(range(1, count + 1)) else []


def _shards(folder: Path, form: WeightForm) -> list[Path]:
    index = read_json_object(folder / form.index)
    weight_map = index.get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise CorruptFile(f"{form.index} names no tensors.", why="It has no `weight_map`.", hint=PULL_AGAIN)
    names: set[str] = set()
    for name in weight_map.values():
        if not form.is_plain_name(name):
            raise CorruptFile(
                f"{form.index} names the shard {str(name)[:200]!r}.",
                why=f"A shard must be a {form.ending} file inside the model's own folder.",
                hint="This file may be hostile: get the model from a source you trust.",
            )
        names.add(name)
    missing = sorted(name for name in names if not (folder / name).is_file())
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise CorruptFile(
            f"{folder} lacks the shard {missing[0]}{more}.", why=f"{form.index} names it.", hint=PULL_AGAIN
        )
    return [folder / name for name in sorted(names)]
