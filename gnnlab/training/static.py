"""A program on static buffers: recorded once per shape on a GPU and then replayed, elsewhere simply called."""

from __future__ import annotations

import copy
from collections.abc import Callable, Hashable, Mapping
from typing import Protocol, TypeAlias

import torch
from torch import Tensor
from torch_geometric.data import Data

from gnnlab.errors import ConfigError
from gnnlab.ops import CSR

__all__ = ["CudaRecorder", "Program", "Recorder", "StaticStep"]

Program: TypeAlias = Callable[[], tuple[Tensor, ...]]
"""Reads static buffers, returns tensors; the same kernels in the same order at every call."""

_WARM_UP, _MAX_SHAPES = 2, 64
_CONSTANT = (bool, int, float, str)
_ADJACENCY = ("ptr", "src", "ptr_t", "dst", "eid_t", "eid")


class Recorder(Protocol):
    """What runs programs on a device that can replay them."""

    def warm_up(self, program: Program) -> tuple[Tensor, ...]:
        """Call the program once, in a way that prepares recording it."""

    def record(self, program: Program) -> Program:
        """Call the program without executing its kernels; the result executes them, and nothing else."""


class StaticStep:
    """Run a step on every batch as if it was called with it, through buffers whose addresses never change.

    A batch is copied into the buffers of its shape, and the step is called with a batch made of these. Where
    there is a recorder, the first two batches of a shape are ordinary calls, which load and tune the kernels; the
    third is recorded, and from then on a step is one replay. No call is ever made twice, so nothing has to be
    restored. What the step returns is overwritten by the next call for the same shape.

    Args:
        step: Takes a batch, returns tensors. Values cached on ``adj`` are not kept from one call to the next.
        recorder: By default a :class:`CudaRecorder` for batches on a GPU, and none for others.

    Raises:
        ConfigError: batches of too many shapes, or a step that cannot be recorded.

    Example:
        >>> step = StaticStep(lambda batch: (batch.x.sum(),))
        >>> [step(Data(x=torch.full((2, 1), value)))[0].item() for value in (1.0, 2.0)]
        [2.0, 4.0]
    """

    def __init__(self, step: Callable[[Data], tuple[Tensor, ...]], recorder: Recorder | None = None) -> None:
        self._step, self._recorder = step, recorder
        self._shapes: dict[tuple, _Shape] = {}

    def __call__(self, batch: Data) -> tuple[Tensor, ...]:
        tensors = _tensors(batch)
        key = _signature(batch, tensors)
        if key not in self._shapes:
            self._shapes[key] = self._new(batch, tensors)
        return self._shapes[key].run(list(tensors.values()))

    def _new(self, batch: Data, tensors: dict[Hashable, Tensor]) -> _Shape:
        if len(self._shapes) == _MAX_SHAPES:
            raise ConfigError(
                f"batches of more than {_MAX_SHAPES} shapes: a step recorded for each would never be replayed",
                where="model.capture",
                hint="set data.pad=true (GraphLoader(pad=True)), or model.capture=false",
            )
        device = next(iter(tensors.values())).device
        if self._recorder is None and device.type == "cuda":
            self._recorder = CudaRecorder(device)
        return _Shape(self._step, batch, tensors, self._recorder)


class CudaRecorder:
    """CUDA graphs that share one memory pool."""

    def __init__(self, device: torch.device) -> None:
        self._stream, self._pool = torch.cuda.Stream(device), torch.cuda.graph_pool_handle()

    def warm_up(self, program: Program) -> tuple[Tensor, ...]:
        # Not on the default stream: a recording must not wait for it, and autograd remembers streams.
        self._stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._stream):
            outputs = program()
        torch.cuda.current_stream().wait_stream(self._stream)
        return outputs

    def record(self, program: Program) -> Program:
        # Weights cast before the recording would be replayed as they were then.
        torch.clear_autocast_cache()
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph, pool=self._pool, stream=self._stream):
                outputs = program()
        except RuntimeError as error:
            raise ConfigError(
                f"the training step cannot be recorded: {str(error).splitlines()[0]}",
                where="model.capture",
                hint="a shape depends on data, or something waits for the device: set model.capture=false",
            ) from error

        def replay() -> tuple[Tensor, ...]:
            graph.replay()
            return outputs

        return replay


class _Shape:
    """Buffers for the batches of one shape, and the program that reads them."""

    def __init__(
        self,
        step: Callable[[Data], tuple[Tensor, ...]],
        batch: Data,
        tensors: dict[Hashable, Tensor],
        recorder: Recorder | None,
    ) -> None:
        buffers = {name: torch.empty_like(tensor) for name, tensor in tensors.items()}
        like = _with_tensors(batch, buffers)
        # A new batch for every call: what a model derives from one (and keeps in adj) must not outlive it.
        self._program: Program = lambda: step(_with_tensors(like, buffers))
        self._buffers, self._recorder, self._calls = list(buffers.values()), recorder, 0
        self._replay: Program | None = None

    def run(self, tensors: list[Tensor]) -> tuple[Tensor, ...]:
        torch._foreach_copy_(self._buffers, tensors, non_blocking=True)
        self._calls += 1
        if self._recorder is None:
            return self._program()
        if self._calls <= _WARM_UP:
            return self._recorder.warm_up(self._program)
        if self._replay is None:
            self._replay = self._recorder.record(self._program)
        return self._replay()


def _tensors(batch: Data) -> dict[Hashable, Tensor]:
    """Everything in a batch that differs between batches of one shape, by name."""
    found = {}
    for key, value in batch.to_dict().items():
        if isinstance(value, Tensor):
            found[key] = value
        elif isinstance(value, CSR):
            found |= {(key, name): getattr(value, name) for name in _ADJACENCY if getattr(value, name) is not None}
        elif isinstance(value, Mapping):
            found |= {(key, name): entry for name, entry in value.items() if isinstance(entry, Tensor)}
    return found


def _with_tensors(batch: Data, tensors: dict[Hashable, Tensor]) -> Data:
    """A shallow copy with other tensors, and an adjacency that remembers nothing."""
    fresh = copy.copy(batch)
    for key, value in batch.to_dict().items():
        if isinstance(value, Tensor):
            fresh[key] = tensors[key]
        elif isinstance(value, CSR):
            fresh[key] = CSR(**{name: tensors.get((key, name)) for name in _ADJACENCY})
        elif isinstance(value, Mapping):
            fresh[key] = {name: tensors.get((key, name), entry) for name, entry in value.items()}
        elif not isinstance(value, _CONSTANT):
            # Lists of names and the like: better missing than those of the first batch.
            del fresh[key]
    return fresh


def _signature(batch: Data, tensors: dict[Hashable, Tensor]) -> tuple:
    constants = tuple((key, value) for key, value in batch.to_dict().items() if isinstance(value, _CONSTANT))
    return constants, tuple((name, tensor.shape, tensor.dtype) for name, tensor in tensors.items())
