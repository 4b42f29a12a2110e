"""A language model in two parts: its first layers on one device, the rest on another."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from functools import partial
from types import TracebackType
from typing import Any, NoReturn, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hearth.errors import UsageError
from hearth.runtime.info import LayersInfo, ModelInfo
from hearth.runtime.model import Loading, Model, ModelHandle
from hearth.runtime.text import OUTPUTS, ForwardResult, TextInfo, TextSession


class SplitModel:
    """Two models of one bundle that are opened for the layers of one, in their order.

    Attributes:
        info: of the whole: weights, states and workspaces of both, on the device of the first.

    Raises:
        UsageError: they are no two parts of a language model.
    """

    def __init__(self, first: Model, second: Model) -> None:
        a, b = first.info.layers, second.info.layers
        if (a.first, a.end, b.end, a.columns) != (0, b.first, b.count, b.columns) or a.count != b.count:
            raise UsageError(
                "These are no two parts of a model that make all of it.",
                why=f"They have layers {a.first} to {a.end} of {a.count}, and {b.first} to {b.end} of {b.count}.",
            )
        self.first, self.second = first, second
        self.info: ModelInfo = replace(
            second.info,
            functions={**second.info.functions, **first.info.functions},
            states=first.info.states + second.info.states,
            layers=LayersInfo(a.count, 0, a.count, 0),
            weights_bytes=first.info.weights_bytes + second.info.weights_bytes,
            arena_bytes=first.info.arena_bytes + second.info.arena_bytes,
            device=first.info.device,
        )

    @property
    def placed_bytes(self) -> int:
        """As `Model.placed_bytes`: of the first part, which was placed on a GPU."""
        return self.first.placed_bytes

    @property
    def weights_huge_bytes(self) -> int:
        """As `Model.weights_huge_bytes`, of both."""
        return self.first.weights_huge_bytes + self.second.weights_huge_bytes

    def handle(self) -> ModelHandle:
        """The second part as the C API knows it, for what concerns the processor and not the model."""
        return self.second.handle()

    def close(self) -> None:
        """Closes both parts and their sessions."""
        self.first.close()
        self.second.close()


class SplitLoading:
    """Two parts of a bundle that are being opened, as `Loading` opens one."""

    def __init__(self, first: Loading, second: Loading) -> None:
        self._first, self._second = first, second

    def model(self, progress: Callable[[int, int], None] | None = None) -> SplitModel:
        """Waits for both. Raises as `Model`."""
        try:
            first = self._first.model(progress)
        except BaseException:
            self._second.cancel()
            raise
        try:
            return SplitModel(first, self._second.model(progress))
        except BaseException:
            first.close()
            raise

    def cancel(self) -> None:
        """Ends the loading without waiting for it."""
        self._first.cancel()
        self._second.cancel()


class SplitTextSession:
    """Runs forwards through two models of one bundle, one after the other, as `TextSession` does through one.

    Args:
        model: the two.
        num_pages, num_slots, num_adapters: as `TextSession`; each part has the states of its own layers.
        threads: of the processor that compute, where a part runs on it.

    Raises:
        NotEnoughMemory: the memory of a part cannot be had.
        UsageError: a number is out of range, or the model is no language model.
        DeviceError: a GPU has too little memory, was lost or refuses the plan.
    """

    def __init__(
        self,
        model: SplitModel,
        *,
        num_pages: int,
        num_slots: int = 0,
        num_adapters: int = 0,
        threads: int | None = None,
    ) -> None:
        self.model = model
        made = partial(
            TextSession, num_pages=num_pages, num_slots=num_slots, num_adapters=num_adapters, threads=threads
        )
        self.first = made(model.first)
        try:
            self.second = made(model.second)
        except BaseException:
            self.first.close()
            raise
        self.num_pages, self.num_slots, self.num_adapters = num_pages, num_slots, self.first.num_adapters
        # Functions are the first part's, but what a forward gives the second has.
        ends = self.second.info
        both = TextInfo.of(model.info)
        self.info: TextInfo = replace(both, outputs=ends.outputs, likeliest=ends.likeliest, predicts=False)

    @property
    def threads(self) -> int:
        """Threads that compute on the processor."""
        return self.second.threads

    @property
    def closed(self) -> bool:
        """Whether the session, or one of its models, was closed."""
        return self.first.closed or self.second.closed

    @property
    def size_bytes(self) -> int:
        """Memory that both parts asked for, each on its device."""
        return self.first.size_bytes + self.second.size_bytes

    def forward(
        self,
        token_ids: ArrayLike,
        positions: ArrayLike,
        token_seq: ArrayLike,
        block_table: ArrayLike,
        logit_rows: ArrayLike = (),
        num_prompt_tokens: int = 0,
        embeddings: NDArray[np.float32] | None = None,
        embedded_tokens: ArrayLike = (),
        last_seen: ArrayLike | None = None,
        rope_positions: ArrayLike | None = None,
        wanted: Collection[str] = OUTPUTS,
        state_from: ArrayLike | None = None,
        state_to: ArrayLike | None = None,
        hidden: NDArray[np.float32] | None = None,
        adapters: ArrayLike | None = None,
    ) -> ForwardResult:
        """As `TextSession.forward`: the second part goes on with what the first has computed.

        Raises:
            UsageError: `hidden` is given; neither part has the block that predicts further tokens.
        """
        if hidden is not None:
            raise UsageError("A model whose layers are on two devices has no block that predicts further tokens.")
        batch = (token_ids, positions, token_seq, block_table)
        begun = self.first.forward(
            *batch,
            (),
            num_prompt_tokens,
            embeddings,
            embedded_tokens,
            last_seen,
            rope_positions,
            wanted=(),
            state_from=state_from,
            state_to=state_to,
            adapters=adapters,
        )
        return self.second.forward(
            *batch,
            logit_rows,
            num_prompt_tokens,
            last_seen=last_seen,
            rope_positions=rope_positions,
            wanted=wanted,
            layer_input=begun.layer_output,
            state_from=state_from,
            state_to=state_to,
            adapters=adapters,
        )

    def embed(self, inputs: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
        """As `TextSession.embed`."""
        return (self.first if self.first.info.embedder else self.second).embed(inputs)

    def apply_mask(self, logits: NDArray[np.float32], mask: NDArray[np.int32], out: NDArray[np.float32]) -> None:
        """As `TextSession.apply_mask`."""
        self.second.apply_mask(logits, mask, out)

    def write(self, state: str, first: int, units: NDArray[Any]) -> None:
        """As `Session.write`, in the part that has the state."""
        has = any(each.name == state for each in self.first.model.info.states)
        (self.first if has else self.second).write(state, first, units)

    def clear_states(self) -> None:
        """As `Session.clear_states`."""
        self.first.clear_states()
        self.second.clear_states()

    def profile(self, enable: bool) -> NoReturn:
        """Refused: the steps of two plans are no one list.

        Raises:
            UsageError.
        """
        raise UsageError(
            "The steps of a model whose layers are on two devices cannot be timed.",
            hint="Profile it on one: --device cpu, or --device gpu without --gpu-layers.",
        )

    def read_profile(self) -> NoReturn:
        """As `profile`."""
        self.profile(False)

    def close(self) -> None:
        """Closes both parts."""
        self.first.close()
        self.second.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def text_session(
    model: Model | SplitModel,
    *,
    num_pages: int,
    num_slots: int = 0,
    num_adapters: int = 0,
    threads: int | None = None,
) -> TextSession | SplitTextSession:
    """A session of a language model, be it whole or in two parts. Raises as these."""
    if isinstance(model, SplitModel):
        return SplitTextSession(
            model, num_pages=num_pages, num_slots=num_slots, num_adapters=num_adapters, threads=threads
        )
    return TextSession(model, num_pages=num_pages, num_slots=num_slots, num_adapters=num_adapters, threads=threads)
