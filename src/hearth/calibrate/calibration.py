"""`ExampleCalibration`: which matrices of a network can have 4 bits, and which ones those are, by examples.

1. Examples go through the network in f32; the moments of what each matrix multiplies are kept.
2. Each matrix is rounded to 4 bits by GPTQ with these, its bias corrected.
3. A few other examples go through the network once for each matrix, with only the error of that one in it: its loss.
4. Those whose loss is worth it stay in 4 bits (`quant/mixed.py`); the others keep their 8.

Large networks go through this part by part, so that memory stays within bounds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hearth.calibrate.examples import Example, ToShow
from hearth.calibrate.moments import Moments
from hearth.calibrate.observer import Observer
from hearth.calibrate.rounding import Rounded, round_together
from hearth.compiler.compile import Job, Progress, one_at_a_time
from hearth.image.folder import spread
from hearth.model.weights import ComputedWeight, tensors_of
from hearth.quant.mixed import Candidate, Mixture, choose_coarse

F32 = NDArray[np.float32]

_TRIED = 2
"""Of the examples, those that say what a matrix's error costs."""
_MOST_PRODUCTS = 100
"""Watched at a time: each takes an input and perhaps an output of the function, of which a plan has at most 256."""
_MOST_MOMENT_BYTES = 512 << 20
"""Held at a time."""


@dataclass(frozen=True)
class ExampleCalibration:
    """A `compiler.compile.Calibration` by examples.

    Attributes:
        quant: the mixture's name, as users say it.
        mixture: what it is made of.
        examples: what goes through the network.
    """

    quant: str
    mixture: Mixture
    examples: ToShow

    @property
    def digest(self) -> str:
        return self.examples.digest

    def calibrated(self, job: Job, *, threads: int, report: Progress) -> Job:
        """The job with matrices in 4 bits where these cost little.

        Raises:
            Unsupported: the network takes no examples of this kind, or its inputs are not those of the examples.
            StorageError, CorruptFile: an example cannot be read. Else as `compile_job`.
        """
        shown = self.examples.of(job)
        function, examples = shown.function, shown.examples
        # What an error costs is seen by examples that nothing was fitted to.
        tried = spread(examples, _TRIED)
        fitted = [example for example in examples if example not in tried]
        from hearth.compiler.instrument import multiplied
        from hearth.compiler.passes.rotations import rotations

        with one_at_a_time():
            products = multiplied(job.network, function)
            rotated = rotations(job.network.build(), job.formats)
        fine = [name for name in products if _is_candidate(job, name)]
        rounded: dict[str, Rounded] = {}
        losses: dict[str, float] = {}
        for part in _parts(fine, products, job):
            with Observer(job, function, part, threads=threads, sizes=shown.sizes, report=report) as observer:
                moments = _seen(observer, fitted, report)
                made = _rounded(job, observer, moments, self.mixture, rotated, report)
                losses |= _losses(observer, made, tried, report)
            rounded |= {name: each for name, (each, _) in made.items()}
        candidates = {name: Candidate(losses[name], _saved_bytes(job, name, self.mixture)) for name in rounded}
        chosen = choose_coarse(candidates, self.mixture.most_loss)
        return _with(job, {name: rounded[name] for name in chosen}, self.quant, self.mixture)


def _is_candidate(job: Job, name: str) -> bool:
    """Whether a matrix has the bytes of which 4-bit products are a variety."""
    return job.network.role(name) == "body" and len(job.network.shapes[name]) == 2 and job.formats[name].is_row


def _parts(names: Sequence[str], products: Mapping[str, int], job: Job) -> Iterator[list[str]]:
    part: list[str] = []
    count = moment_bytes = 0
    for name in names:
        columns = job.network.shapes[name][1]
        if part and (count + products[name] > _MOST_PRODUCTS or moment_bytes + 4 * columns**2 > _MOST_MOMENT_BYTES):
            yield part
            part, count, moment_bytes = [], 0, 0
        part.append(name)
        count += products[name]
        moment_bytes += 4 * columns**2
    if part:
        yield part


def _seen(observer: Observer, examples: Sequence[Example], report: Progress) -> dict[str, Moments]:
    """By the matrix: what it multiplies. Matrices with the same activations share what is known of these."""
    by_taps: dict[frozenset[str], Moments] = {}
    taps: dict[str, set[str]] = {}
    for product in observer.products:
        taps.setdefault(product.weight, set()).add(product.activations)
    for number, example in enumerate(examples):
        report("watching examples", number, len(examples))
        found = observer.run(example())
        for names in {frozenset(each) for each in taps.values()}:
            for name in sorted(names):
                activations = found[name]
                if names not in by_taps:
                    by_taps[names] = Moments(activations.shape[-1], len(examples) * len(names))
                by_taps[names].see(activations)
    return {weight: by_taps[frozenset(names)] for weight, names in taps.items()}


def _rounded(
    job: Job,
    observer: Observer,
    moments: Mapping[str, Moments],
    mixture: Mixture,
    rotated: Mapping[str, int],
    report: Progress,
) -> dict[str, tuple[Rounded, F32]]:
    """Matrices in 4 bits, and their errors."""
    from hearth.compiler.pack import read_parameter

    biases = _biases(observer)
    groups: dict[tuple[int, bool, int], list[str]] = {}
    for weight in moments:
        groups.setdefault((id(moments[weight]), weight in biases, rotated.get(weight, 1)), []).append(weight)

    rounded: dict[str, tuple[Rounded, F32]] = {}
    # One after the other: numpy's linear algebra has threads of its own.
    for number, ((_, _, together), names) in enumerate(groups.items()):
        report("rounding to 4 bits", number, len(groups))
        matrices = [read_parameter(name, job.network.sources[name], job.checkpoint) for name in names]
        shared = moments[names[0]]
        fmt = mixture.coarse_format
        made = round_together(matrices, [biases.get(n) for n in names], fmt, shared, together, names[0])
        rounded |= dict(zip(names, made, strict=True))
    return rounded


def _biases(observer: Observer) -> dict[str, str]:
    """Matrix -> its bias, of those that have one in all of their products and share it with no other."""
    by_weight: dict[str, set[str | None]] = {}
    by_bias: dict[str | None, set[str]] = {}
    for product in observer.products:
        by_weight.setdefault(product.weight, set()).add(product.bias)
        by_bias.setdefault(product.bias, set()).add(product.weight)
    return {
        weight: bias
        for weight, (bias, *others) in by_weight.items()
        if bias is not None and not others and len(by_bias[bias]) == 1
    }


def _losses(
    observer: Observer, rounded: Mapping[str, tuple[Rounded, F32]], examples: Sequence[Example], report: Progress
) -> dict[str, float]:
    """By the matrix: how much the outputs change where only it is rounded, as part of their square."""
    weights = dict.fromkeys(product.weight for product in observer.products)
    losses = dict.fromkeys(weights, 0.0)
    for number, example in enumerate(examples):
        inputs = example()
        found = observer.run(inputs)
        exact = observer.outputs(inputs)
        activations = {p.activations: np.ascontiguousarray(found[p.activations]) for p in observer.products}
        for place, weight in enumerate(weights):
            report("trying 4 bits", number * len(weights) + place, len(examples) * len(weights))
            made, error = rounded[weight]
            disturbances = {
                p.disturbance: activations[p.activations] @ error.T + (0 if made.shift is None else made.shift)
                for p in observer.products
                if p.weight == weight
            }
            disturbed = observer.outputs(inputs, disturbances)
            losses[weight] += max(_difference(exact[name], disturbed[name]) for name in exact) / len(examples)
    return losses


def _difference(exact: F32, other: F32) -> float:
    size = float(np.square(exact, dtype=np.float64).sum())
    return float(np.square(other - exact, dtype=np.float64).sum()) / size if size else 0.0


def _saved_bytes(job: Job, name: str, mixture: Mixture) -> int:
    rows, columns = job.network.shapes[name]
    return job.formats[name].packed_size(rows, columns) - mixture.coarse_format.packed_size(rows, columns)


def _with(job: Job, chosen: Mapping[str, Rounded], quant: str, mixture: Mixture) -> Job:
    """The job with these matrices as they were rounded."""
    sources = dict(job.network.sources)
    for made in chosen.values():
        if made.bias is not None and made.shift is not None:
            sources[made.bias] = _shifted(made.bias, job, made.shift)
    return replace(
        job,
        network=replace(job.network, sources=sources),
        formats={**job.formats, **dict.fromkeys(chosen, mixture.coarse_format)},
        rounded={name: made.blocks for name, made in chosen.items()},
        quant=quant,
        calibration=None,
    )


def _shifted(bias: str, job: Job, shift: F32) -> ComputedWeight:
    from hearth.compiler.pack import read_parameter

    source = job.network.sources[bias]
    values = read_parameter(bias, source, job.checkpoint) + shift
    return ComputedWeight(tensors_of(source), lambda *_: values)
