"""The front door for pictures: `Vision` opens a model by name and says what it sees.

from hearth import Vision
with Vision("google/vit-base-patch16-224") as model:
    print(model.classify("cat.jpg")[0].label)
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hearth.arguments import share, whole_number
from hearth.arguments import texts as text_list
from hearth.bundle import Manifest
from hearth.calibrate import check_calibration
from hearth.chat.tokenizer import Tokenizer
from hearth.checkpoint.tokenizer_files import load_tokenizer
from hearth.errors import TokenizerMissing, UsageError
from hearth.image import ImageSource, read_image
from hearth.image.preprocess import Exactly, Preprocess
from hearth.model.vision import Task
from hearth.opening import check_opening
from hearth.prepare import ProgressCallback
from hearth.progress import displayed
from hearth.quant.policy import Precision
from hearth.vision.networks import Networks, Opening
from hearth.vision.postprocess import boxes_of, depth_of, match, objects_of, segmentation_of, top_labels
from hearth.vision.results import Box, Depth, Label, Segmentation
from hearth.vision.texts import DEFAULT_TEMPLATE, sentences, text_inputs

T = TypeVar("T")
Many = list[ImageSource] | tuple[ImageSource, ...]
Images = ImageSource | Many
F32 = NDArray[np.float32]

DEFAULT_THRESHOLD = 0.5
DEFAULT_TOP = 5
# Task -> what such a model does, and the method that asks for it.
_DOES: dict[Task, tuple[str, str]] = {
    "classify": ("says what a picture shows", "classify"),
    "embed": ("makes vectors of pictures", "embed"),
    "detect": ("finds objects", "detect"),
    "segment": ("divides pictures into regions", "segment"),
    "depth": ("tells how far away things are", "depth"),
    "zero_shot": ("chooses among labels that you name", "zero_shot"),
}


@dataclass(frozen=True)
class VisionInfo:
    """What an open model is.

    Attributes:
        task: what it does with a picture.
        labels: what it can tell apart; none where that is asked for in words, or nothing of it.
        size: height and width of what the first network takes.
        notices: what its user should know.
    """

    name: str
    task: Task
    labels: tuple[str, ...]
    size: tuple[int, int]
    manifest: Manifest
    notices: tuple[str, ...]


class Vision:
    """A model on this machine that looks at pictures. Compiled on first use, then opened from the cache.

    Pictures are files, their bytes, or arrays u8 (height, width, 3). Each method takes one and gives what it says of
    it, or several and gives a list. Any number of threads may ask.

    Args:
        model: `owner/name` on the hub, a folder, or a bundle.
        size: height and width that all pictures are brought to, out of shape if need be. None: as the model's authors
            do it; where that keeps the shapes of pictures (DETR, YOLOS, DepthAnything), each new size is compiled once.
        quant: number format of the weights (`f32 f16 q8 int8`, `w4a8` with `calibrate`; for large models `q4 q4a`);
            None: int8.
        calibrate: folder of pictures like those that it is to look at, for `w4a8`: matrices have 4 bits where these
            show that it costs little, 8 elsewhere.
        precision: "default" computes with 8-bit activations, "high" with 32-bit floats; "fast" is the format int8.
        threads: None: the physical cores this process may use.
        mmap: map the weights instead of copying them.
        progress: told of download, compilation and loading; True: shows them on standard error.
        offline: never use the network.
        trust_bundle: run `model` where it is a bundle that was not compiled here: it is a program.

    Raises:
        HearthError: one of its kinds, each saying what happened, why and what to do.
    """

    def __init__(
        self,
        model: str | os.PathLike[str],
        *,
        size: tuple[int, int] | None = None,
        quant: str | None = None,
        calibrate: str | os.PathLike[str] | None = None,
        precision: Precision = "default",
        threads: int | None = None,
        mmap: bool = False,
        progress: ProgressCallback | bool | None = None,
        offline: bool = False,
        trust_bundle: bool = False,
    ) -> None:
        check_opening(mixtures=True, quant=quant, precision=precision, threads=threads, size=size)
        check_calibration(quant, calibrate)
        folder = None if calibrate is None else str(Path(calibrate).resolve())
        opening = Opening(os.fspath(model), quant, folder, precision, threads, mmap, offline, trust_bundle)
        with displayed() if progress is True else nullcontext(progress or None) as report:
            self._networks = Networks(opening, size, report)
        first = self._networks.first
        self._spec = first.spec
        self._preprocess = _fixed(first.spec.preprocess, size)
        self._tokenizer: Tokenizer | None = None
        self._texts: dict[tuple[str, ...], F32] = {}
        self.info = VisionInfo(
            name=opening.model,
            task=first.spec.task,
            labels=first.spec.labels,
            size=first.spec.size,
            manifest=first.opened.bundle.manifest,
            notices=first.opened.notices,
        )

    # -- what it sees --------------------------------------------------------------------------------------------

    @overload
    def classify(self, images: ImageSource, *, top: int = ...) -> list[Label]: ...

    @overload
    def classify(self, images: Many, *, top: int = ...) -> list[list[Label]]: ...

    def classify(self, images: Images, *, top: int = DEFAULT_TOP) -> list[Label] | list[list[Label]]:
        """What a picture shows: its `top` most probable labels, `Label`s, the first the best."""
        self._require("classify")
        whole_number("top", top, 1)
        labels, head = self.info.labels, self._spec.head

        def found(out: dict[str, F32], size: tuple[int, int]) -> list[Label]:
            return top_labels(out["logits"], labels, head, top)

        every = self._each(images, found)
        return _single_or_all(images, every)

    @overload
    def detect(self, images: ImageSource, *, threshold: float = ...) -> list[Box]: ...

    @overload
    def detect(self, images: Many, *, threshold: float = ...) -> list[list[Box]]: ...

    def detect(self, images: Images, *, threshold: float = DEFAULT_THRESHOLD) -> list[Box] | list[list[Box]]:
        """The objects in a picture that are surer than a threshold from 0 to 1: `Box`es, the surest first."""
        self._require("detect")
        share("threshold", threshold)
        labels, head = self.info.labels, self._spec.head

        def found(out: dict[str, F32], size: tuple[int, int]) -> list[Box]:
            return boxes_of(out["logits"], out["boxes"], labels, head, threshold, size)

        every = self._each(images, found)
        return _single_or_all(images, every)

    @overload
    def segment(self, images: ImageSource) -> Segmentation: ...

    @overload
    def segment(self, images: Many) -> list[Segmentation]: ...

    def segment(self, images: Images) -> Segmentation | list[Segmentation]:
        """Which label each pixel has, or which object it is of: a `Segmentation`."""
        self._require("segment")
        labels, head = self.info.labels, self._spec.head

        def found(out: dict[str, F32], size: tuple[int, int]) -> Segmentation:
            if head.objects:
                return objects_of(out["logits"], out["masks"], labels, size)
            return segmentation_of(out["logits"], labels, size)

        every = self._each(images, found)
        return _single_or_all(images, every)

    @overload
    def depth(self, images: ImageSource) -> Depth: ...

    @overload
    def depth(self, images: Many) -> list[Depth]: ...

    def depth(self, images: Images) -> Depth | list[Depth]:
        """How far away each pixel is: a `Depth`."""
        self._require("depth")
        head = self._spec.head

        def found(out: dict[str, F32], size: tuple[int, int]) -> Depth:
            return depth_of(out["depth"], head, size)

        every = self._each(images, found)
        return _single_or_all(images, every)

    def embed(self, images: Images) -> F32:
        """Vectors of pictures, f32 (n, d); of a single picture (d,). Those of zero-shot models have length 1."""
        self._require("embed", "zero_shot")
        vectors = self._each(images, lambda out, size: out["embedding"])
        return np.stack(vectors) if isinstance(images, list | tuple) else vectors[0]

    def embed_texts(self, texts: Sequence[str]) -> F32:
        """Vectors of texts, f32 (n, d), comparable with those of pictures; zero-shot models only."""
        self._require("zero_shot")
        given = tuple(text_list("texts", texts, "embed_texts([text])"))
        if not given:
            raise UsageError("There are no texts.", hint="Give at least one: embed_texts([text]).")
        return self._text_vectors(given)

    @overload
    def zero_shot(
        self, images: ImageSource, labels: Sequence[str], *, template: str = ..., top: int | None = ...
    ) -> list[Label]: ...

    @overload
    def zero_shot(
        self, images: Many, labels: Sequence[str], *, template: str = ..., top: int | None = ...
    ) -> list[list[Label]]: ...

    def zero_shot(
        self, images: Images, labels: Sequence[str], *, template: str = DEFAULT_TEMPLATE, top: int | None = None
    ) -> list[Label] | list[list[Label]]:
        """Which of these labels a picture shows: all of them, or the `top` best, as `Label`s, the first the best.

        Args:
            template: a sentence with `{}` where the label goes.
        """
        self._require("zero_shot")
        if top is not None:
            whole_number("top", top, 1)
        vectors = self._text_vectors(tuple(sentences(labels, template)))
        spec, names = self._spec, [label.strip() for label in labels]

        def found(out: dict[str, F32], size: tuple[int, int]) -> list[Label]:
            logits = match(out["embedding"], vectors, spec.head, spec.logit_scale, spec.logit_bias)
            return top_labels(logits, names, spec.head, top or len(names))

        every = self._each(images, found)
        return _single_or_all(images, every)

    @overload
    def outputs(self, images: ImageSource) -> dict[str, F32]: ...

    @overload
    def outputs(self, images: Many) -> list[dict[str, F32]]: ...

    def outputs(self, images: Images) -> dict[str, F32] | list[dict[str, F32]]:
        """What the network itself gives for a picture, by name: what all answers are made of (`model.vision.Task`)."""
        return _single_or_all(images, self._each(images, lambda out, size: out))

    # -- how -----------------------------------------------------------------------------------------------------

    def _require(self, *tasks: Task) -> None:
        does, method = _DOES[self.info.task]
        if self.info.task not in tasks:
            raise UsageError(
                f"{self.info.name} does nothing of the kind: it {does}.", hint=f"Ask it for that: {method}."
            )

    def _each(self, images: Images, read: Callable[[dict[str, F32], tuple[int, int]], T]) -> list[T]:
        """What `read` makes of the outputs for each picture and of its size."""
        given: Many = images if isinstance(images, list | tuple) else [images]
        found: list[T] = []
        for begin in range(0, len(given), self._networks.first.most):
            pictures = [read_image(source) for source in given[begin : begin + self._networks.first.most]]
            outputs = self._outputs([self._prepared(pixels) for pixels in pictures])
            found += [read(out, p.shape[:2]) for out, p in zip(outputs, pictures, strict=True)]
        return found

    def _prepared(self, pixels: NDArray[np.uint8]) -> F32:
        """What the network takes of a picture u8 (h, w, 3): f32 (height, width, 3)."""
        size = (pixels.shape[0], pixels.shape[1])
        place = self._preprocess.placement(*size)
        inputs: dict[str, ArrayLike] = {
            "picture": np.ascontiguousarray(pixels).reshape(-1, 3),
            "size": size,
            "resized": place.resized or size,
            "offset": place.offset,
        }
        prepared: F32 = self._networks.run(place.size, "prepare", inputs)["pixels"][0]
        return prepared

    def _outputs(self, prepared: Sequence[F32]) -> list[dict[str, F32]]:
        """What the network says of prepared pictures; those of one size are computed together."""
        outputs: list[dict[str, F32]] = [{} for _ in prepared]
        for size in dict.fromkeys(pixels.shape[:2] for pixels in prepared):
            which = [i for i, pixels in enumerate(prepared) if pixels.shape[:2] == size]
            together = np.stack([prepared[i] for i in which])
            results = self._networks.run((size[0], size[1]), "image", {"pixels": together})
            for row, i in enumerate(which):
                outputs[i] = {name: value[row] for name, value in results.items()}
        return outputs

    def _text_vectors(self, texts: tuple[str, ...]) -> F32:
        if texts not in self._texts:
            spec, first = self._spec, self._networks.first
            assert spec.text is not None
            if self._tokenizer is None:
                tokenizer = load_tokenizer(first.opened.bundle.path)
                if tokenizer is None:
                    raise TokenizerMissing(f"{self.info.name} came without a tokenizer.")
                self._tokenizer = Tokenizer(tokenizer)
            inputs = text_inputs(texts, self._tokenizer, spec.text)
            parts = [
                self._networks.run(spec.size, "text", {n: v[i : i + first.most] for n, v in inputs.items()})
                for i in range(0, len(texts), first.most)
            ]
            self._texts = {texts: np.concatenate([part["embedding"] for part in parts])}
        return self._texts[texts]

    def with_labels(self, labels: Sequence[str]) -> Self:
        """Names instead of the model's own, as many and in its order; this very object.

        Raises:
            UsageError: another number of them.
        """
        own, labels = self.info.labels, text_list("labels", labels, "with_labels([label, ...])")
        if len(labels) != len(own):
            raise UsageError(
                f"There are {len(labels)} labels, and {self.info.name} tells {len(own)} things apart.",
                hint="Name as many, in its order." if own else "It has none: leave them out.",
            )
        self.info = replace(self.info, labels=tuple(labels))
        return self

    def close(self) -> None:
        """Gives memory and threads back."""
        self._networks.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _single_or_all(images: Images, found: list[T]) -> T | list[T]:
    """A list for several pictures, its one entry for a single one."""
    return found if isinstance(images, list | tuple) else found[0]


def _fixed(preprocess: Preprocess, size: tuple[int, int] | None) -> Preprocess:
    """The rules, or with a size of one's own: straight to it."""
    return preprocess if size is None else replace(preprocess, fit=Exactly(*size), crop=None, divisor=1)
