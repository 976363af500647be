"""GraphLoader: mini-batches straight from a store, in an order fixed by seed and epoch."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch_geometric.data import Batch

from gnnlab.data.padding import Buckets, assemble_padded
from gnnlab.data.store import GraphStore
from gnnlab.errors import ConfigError
from gnnlab.transform import Transform

__all__ = ["GraphLoader"]


class GraphLoader:
    """Iterate over a store in mini-batches assembled on the store's device.

    The order of epoch ``e`` is a function of ``(seed, e)`` alone, so a resumed run sees the batches the
    uninterrupted one would have seen. With several replicas an unshuffled pass sees every graph exactly once:
    batches may differ in size, none is padded or repeated. A shuffled pass leaves out the few graphs (other ones
    every epoch) that would make one replica take a step more than another.

    Args:
        store: The graphs.
        batch_size: Graphs per batch.
        index: [M] graphs to iterate over; all by default.
        shuffle: Draw a new order every epoch.
        drop_last: Leave out a last batch that is not full.
        seed: Seed of the order.
        rank: This replica, of ``world_size``.
        world_size: Number of replicas.
        pad: Fill batches up to few static shapes with dummy graphs, see :mod:`gnnlab.data.padding`, so that a
            recorded training step can be replayed. A single graph has one shape and stays as it is.
        transform: Applied to every batch, for what would take too much memory if it were stored.

    Raises:
        ConfigError: no graphs to iterate over, ``batch_size`` below 1, or a transform of padded batches.

    Example:
        >>> from torch_geometric.data import Data
        >>> graph = Data(x=torch.ones(2, 1), edge_index=torch.tensor([[0], [1]]))
        >>> loader = GraphLoader(GraphStore.from_data_list([graph] * 5), batch_size=2)
        >>> [batch.num_graphs for batch in loader]
        [2, 2, 1]
    """

    def __init__(
        self,
        store: GraphStore,
        batch_size: int = 32,
        *,
        index: Tensor | None = None,
        shuffle: bool = False,
        drop_last: bool = False,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
        pad: bool = False,
        transform: Transform | None = None,
    ) -> None:
        self.store, self.batch_size, self.shuffle, self.drop_last = store, batch_size, shuffle, drop_last
        self.index = torch.arange(len(store)) if index is None else index.cpu()
        self.seed, self.rank, self.world_size, self.epoch = seed, rank, world_size, 0
        if batch_size < 1:
            raise ConfigError(f"batch_size must be at least 1, got {batch_size}")
        if not self.index.numel():
            raise ConfigError("there are no graphs to iterate over", where=store.name or None)
        if pad and transform is not None:
            raise ConfigError("a transformed batch has no static shape", hint="store the result: data.transforms")
        self.transform = transform
        self._whole: Batch | None = None
        self._buckets = Buckets.plan(store, self.index, batch_size) if pad else None

    def set_epoch(self, epoch: int) -> None:
        """Fix the epoch whose order comes next; iterating advances it by one."""
        self.epoch = epoch

    @property
    def sampler(self) -> GraphLoader:
        """Itself: Lightning sets the epoch of a loader's sampler before every epoch."""
        return self

    @property
    def batch_sampler(self) -> None:
        """Always ``None``: Lightning asks for it wherever there is a sampler."""

    def order(self) -> Tensor:
        """[m] graphs of this replica in the order of the current epoch."""
        index = self.index
        if self.shuffle:
            generator = torch.Generator().manual_seed(_mix(self.seed, self.epoch))
            index = index[torch.randperm(index.numel(), generator=generator)]
            index = index[: index.numel() - index.numel() % self.world_size]
        return index[self.rank :: self.world_size]

    def __len__(self) -> int:
        total = self.index.numel()
        mine = total // self.world_size if self.shuffle else len(range(self.rank, total, self.world_size))
        return mine // self.batch_size if self.drop_last else -(-mine // self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        chunks = self.order().split(self.batch_size)[: len(self)]
        self.epoch += 1
        if len(self.store) == 1:
            # A node task on one graph: the same union every step, assembled once.
            if self._whole is None:
                self._whole = self._transformed(self.store[chunks[0]])
            yield self._whole
            return
        for chunk in chunks:
            if self._buckets is None:
                yield self._transformed(self.store[chunk])
            else:
                yield assemble_padded(self.store, chunk, self._buckets)

    def _transformed(self, batch: Batch) -> Batch:
        return batch if self.transform is None else self.transform(batch)


def _mix(seed: int, epoch: int) -> int:
    """One seed out of two, so that (0, 1) and (1, 0) differ."""
    return (seed * 0x9E3779B97F4A7C15 + epoch) % 2**63
