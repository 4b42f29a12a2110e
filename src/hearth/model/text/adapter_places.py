"""Which matrices of a decoder an adapter may change, by the names that they have in files: `AdapterPlaces`.

An adapter's B has the rows of the tensor that it is added to, in the order of the file: so what a family's rules say of
tensors (which rows of a fused one, in which order) says it of adapters too. A bundle with room for adapters keeps these
places, and needs no model's files when an adapter is read. They are known for both kinds of files, whichever the model
came in: an adapter that peft trained goes with a GGUF file of its model.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hearth.checkpoint.adapter import Adapter, LowRank
from hearth.checkpoint.mapped import read_json_object
from hearth.errors import CorruptFile, Unsupported
from hearth.model.settings import shown
from hearth.model.tensors import Fused, alternatives_of, renamed, rows_of
from hearth.model.text.adapters import AdapterRoom, adaptable, adapted
from hearth.model.text.load import LoadedModel, counts_of, stored_order
from hearth.model.text.names import HF_MODEL
from hearth.model.text.parameters import parameter_shapes

PLACES_FILE = "adapters.json"
_MAX_BYTES = 256 << 20

_LARGEST = float(2**30)
"""Of a number of A times one of B: their root is a number in f16, with a bit to spare (`adapters._balanced`)."""

Delta = tuple[NDArray[np.float32], NDArray[np.float32]]
"""A (rank, K) and B (N, rank), times the scale, of one matrix [N, K]."""


@dataclass(frozen=True)
class Place:
    """A parameter as rows of a tensor.

    Attributes:
        stored: rows that the tensor has.
        order: row i of the parameter is row `order[i]` of it; None: all as they are.
    """

    parameter: str
    stored: int
    order: NDArray[np.int64] | None


@dataclass(frozen=True)
class AdapterPlaces:
    """The places of one decoder.

    Attributes:
        shapes: [N, K] of every matrix that can be changed, by its parameter.
        tensors: by kind of file, then by the name of a tensor: the parameters that are rows of it.
        architectures: `general.architecture` of GGUF files of such models.
        prefixes: beginnings of names of tensors and what they stand for.
        targets: last names of the parameters that the compiled model has room beside; empty: not compiled.
    """

    shapes: Mapping[str, tuple[int, int]]
    tensors: Mapping[str, Mapping[str, tuple[Place, ...]]]
    architectures: tuple[str, ...]
    prefixes: tuple[tuple[str, str], ...] = ()
    targets: tuple[str, ...] = field(default=())

    def find(self, adapter: Adapter) -> dict[str, tuple[LowRank, Place]]:
        """What an adapter changes, by parameter. Nothing of its numbers is read.

        Raises:
            Unsupported: it changes what cannot be changed so, or is of another model.
            CorruptFile: a matrix has another shape than the model's.
        """
        if adapter.architecture and adapter.architecture not in self.architectures:
            raise Unsupported(
                f"The adapter {adapter.name} is for models of the architecture {shown(adapter.architecture)}.",
                why=f"This one is {' or '.join(self.architectures)}.",
            )
        known, found = self.tensors.get(adapter.kind, {}), {}
        for tensor, low_rank in adapter.matrices.items():
            places = known.get(self._in_rules(adapter, tensor))
            if places is None:
                raise _no_place(adapter, tensor, "" if known else "Adapters in this form are not read for this family.")
            for place in places:
                n, k = place.stored, self.shapes[place.parameter][1]
                if (low_rank.rows, low_rank.columns) != (n, k):
                    raise CorruptFile(
                        f"The adapter {adapter.name} changes {shown(tensor)}, a matrix of "
                        f"{low_rank.rows} x {low_rank.columns}.",
                        why=f"That of the model is {n} x {k}.",
                        hint="It was made for another model." + (f" It says: {adapter.base}." if adapter.base else ""),
                    )
                found[place.parameter] = (low_rank, place)
        return found

    def read(self, adapter: Adapter, scale: float = 1.0) -> dict[str, Delta]:
        """What an adapter adds to each parameter, `scale` times.

        Raises: as `find`; CorruptFile: numbers that are not finite; Unsupported: the model was compiled without room
            beside a matrix.
        """
        found = self.find(adapter)
        if lacking := sorted(targets_of(found) - set(self.targets)):
            raise Unsupported(
                f"The adapter {adapter.name} changes {', '.join(lacking)}, beside which the model as compiled has "
                "no room.",
                why=f"It has room beside {', '.join(self.targets)}." if self.targets else "It has none.",
                hint="Open the model with all adapters from the beginning; it is then compiled for them.",
            )
        loaded: dict[int, Delta] = {}
        deltas = {}
        for parameter, (low_rank, place) in found.items():
            if id(low_rank) not in loaded:
                a, b = low_rank.load()
                loaded[id(low_rank)] = a, _scaled(adapter, a, b, low_rank.scale * scale)
            a, b = loaded[id(low_rank)]
            deltas[parameter] = a, b if place.order is None else b[place.order]
        return deltas

    def _in_rules(self, adapter: Adapter, tensor: str) -> str:
        if adapter.kind != "safetensors":
            return tensor
        known = self.tensors["safetensors"]
        name = renamed(tensor, self.prefixes)
        # Modules are named as the class has them that was trained: a base model, a language model, one that sees.
        inner = HF_MODEL + name.rpartition("language_model.")[2].removeprefix(HF_MODEL)
        return next((each for each in (name, HF_MODEL + name, inner) if each in known), name)

    def save(self, folder: Path) -> None:
        """Writes them into a bundle's folder."""
        orders: dict[str, list[int]] = {}

        def key(order: NDArray[np.int64] | None) -> Any:
            if order is None:
                return None
            if np.array_equal(order, np.arange(order[0], order[0] + len(order))):
                return [int(order[0]), len(order)]
            name = hashlib.sha256(order.tobytes()).hexdigest()[:16]
            orders.setdefault(name, order.tolist())
            return name

        tensors = {
            kind: {
                name: [[place.parameter, place.stored, key(place.order)] for place in places]
                for name, places in known.items()
            }
            for kind, known in self.tensors.items()
        }
        said = {
            "targets": self.targets, "architectures": self.architectures, "prefixes": self.prefixes,
            "shapes": self.shapes, "tensors": tensors, "orders": orders,
        }  # fmt: skip
        (folder / PLACES_FILE).write_text(json.dumps(said) + "\n", encoding="utf-8")


def load_places(folder: Path) -> AdapterPlaces | None:
    """What `AdapterPlaces.save` wrote; None where a bundle has no room for adapters."""
    if not (folder / PLACES_FILE).is_file():
        return None
    said = read_json_object(folder / PLACES_FILE, _MAX_BYTES)
    try:
        orders = {name: np.asarray(order, np.int64) for name, order in said["orders"].items()}

        def order_of(key: Any) -> NDArray[np.int64] | None:
            if isinstance(key, list):
                return np.arange(key[0], key[0] + key[1], dtype=np.int64)
            return None if key is None else orders[key]

        return AdapterPlaces(
            {name: (shape[0], shape[1]) for name, shape in said["shapes"].items()},
            {
                kind: {
                    tensor: tuple(Place(name, stored, order_of(key)) for name, stored, key in places)
                    for tensor, places in known.items()
                }
                for kind, known in said["tensors"].items()
            },
            tuple(said["architectures"]),
            tuple((old, new) for old, new in said["prefixes"]),
            tuple(said["targets"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise CorruptFile(
            f"{PLACES_FILE} of the bundle is damaged.", why=f"({error!r})", hint="Compile the model again."
        ) from error


def targets_of(parameters: Collection[str]) -> set[str]:
    """The last names of parameters, beside which a model needs room."""
    return {name.rpartition(".")[2] for name in parameters}


def adapter_places(model: LoadedModel, room: AdapterRoom | None = None) -> AdapterPlaces:
    """The places of a decoder, and with `room` of those of a compiled one alone."""
    assert model.family is not None
    family, config = model.family, model.config
    every, shapes, counts = parameter_shapes(config), adaptable(config), counts_of(config)
    kinds = {"safetensors": family.hf_tensors, "gguf": family.gguf_tensors}
    tensors: dict[str, dict[str, list[Place]]] = {kind: {} for kind in kinds}
    for kind, rules in kinds.items():
        order_in_file = stored_order(family, kind, config)
        for parameter, shape in shapes.items():
            last = parameter.rpartition(".")[2]
            # What such a model's numbers are multiplied by is not said of adapters.
            if f"layers.N.{last}" not in rules or (kind == "safetensors" and family.factors):
                continue
            for rule in alternatives_of(parameter, rules):
                fused = Fused(rule, (last,)) if isinstance(rule, str) else rule
                order = order_in_file(parameter)
                if (
                    not isinstance(fused, Fused)
                    or ".E." in fused.tensor
                    or (order is not None and len(order) != shape[0])
                ):
                    continue
                rows, stored = rows_of(parameter, fused, every, counts)
                count = stored[1] if fused.transposed else stored[0]
                chosen = np.arange(rows.start, rows.stop, dtype=np.int64) if isinstance(rows, slice) else rows
                chosen = chosen if order is None else chosen[order]
                whole = len(chosen) == count and np.array_equal(chosen, np.arange(count))
                place = Place(parameter, count, None if whole else chosen)
                tensors[kind].setdefault(fused.tensor, []).append(place)
    found = {
        # Of a tensor some of whose rows are of something else an adapter would be read in part.
        kind: {name: tuple(places) for name, places in known.items() if _covers(places, shapes)}
        for kind, known in tensors.items()
    }
    targets = room.targets if room else ()
    assert adapted(config, room).keys() <= shapes.keys()
    return AdapterPlaces(shapes, found, family.architectures, family.hf_prefixes, targets)


def _scaled(adapter: Adapter, a: NDArray[np.float32], b: NDArray[np.float32], scale: float) -> NDArray[np.float32]:
    """B times the scale. Raises Unsupported where not all types that units have could hold A and B then."""
    largest = float(np.abs(a).max(initial=0.0)) * float(np.abs(b).max(initial=0.0)) * abs(scale)
    with np.errstate(over="ignore", invalid="ignore"):
        scaled: NDArray[np.float32] = b * np.float32(scale)
    if not largest < _LARGEST or not np.isfinite(scaled).all():
        raise Unsupported(
            f"The adapter {adapter.name} has numbers that are too large, {scale:g} times.",
            why="Nothing would be left of what the model computes.",
            hint="Give a smaller scale (--lora NAME=PATH:SCALE); if that is 1, the file is damaged.",
        )
    return scaled


def _covers(places: list[Place], shapes: Mapping[str, tuple[int, int]]) -> bool:
    """Whether parameters are all rows of their tensor."""
    return sum(shapes[place.parameter][0] for place in places) == places[0].stored


_NO_PLACES = (
    ("kv_b", "It makes keys and values of latent vectors, head by head, which adapters cannot change here."),
    ("embed", "It is an embedding, which adapters cannot change here."),
    ("token_embd", "It is an embedding, which adapters cannot change here."),
    ("lm_head", "It is the head, which adapters cannot change here."),
    ("output.weight", "It is the head, which adapters cannot change here."),
    ("expert", "It is a matrix of experts, which adapters cannot change here."),
    ("_exps", "It is a matrix of experts, which adapters cannot change here."),
    ("vision", "It is of what sees, which adapters cannot change here."),
    ("visual", "It is of what sees, which adapters cannot change here."),
)


def _no_place(adapter: Adapter, tensor: str, why: str) -> Unsupported:
    why = why or next(
        (why for part, why in _NO_PLACES if part in tensor), "The model has no such matrix, or it is no product."
    )
    hint = "Merge the adapter into its model (peft: merge_and_unload) and open that."
    return Unsupported(f"The adapter {adapter.name} changes {shown(tensor)}.", why=why, hint=hint)
