"""GraphDataModule: a dataset, its transforms and its split, as Lightning wants them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from lightning import LightningDataModule
from torch import Tensor

from gnnlab.data.load import load_dataset
from gnnlab.data.loader import GraphLoader
from gnnlab.data.store import GraphStore
from gnnlab.data.task import TaskSpec
from gnnlab.errors import ConfigError
from gnnlab.transform import Compose, Transform

__all__ = ["GraphDataModule"]

_EVAL_ROWS, _EVAL_GROWTH = 2**17, 8


class GraphDataModule(LightningDataModule):
    """Loaders over the splits of one dataset; batches are assembled on the trainer's device.

    A node task on a single graph yields that graph at every step; the masks tell the stages apart.

    Args:
        dataset: Name of a card (``gnnlab datasets list``).
        transforms: Applied in order, once, to the whole dataset, and cached.
        batch_transforms: Applied in order to every batch, every time: for what is too large to be kept, such as
            features of all pairs of nodes.
        batch_size: Graphs per training batch.
        eval_batch_size: Graphs per evaluation batch. By default up to eight times ``batch_size``, because nothing
            is kept for gradients, as long as they have 131,072 rows of all levels (nodes, edges, ...) on average;
            ``batch_size`` where a value depends on who shares a batch (link tasks, class weights of the batch).
        split: Split scheme of the card; its default by default.
        fold: Fold of the scheme.
        seed: Seed of the order of the training graphs.
        in_device_memory: Keep the store on the trainer's device; ``None`` does so if it takes less than a
            quarter of the free memory there.
        pad: Pad training batches to few static shapes, as ``model.capture`` needs them; ``None`` does so if the
            task that is trained is captured.
        root: Cache directory; see :func:`gnnlab.resources.cache_root`.
    """

    def __init__(
        self,
        dataset: str,
        transforms: Sequence[Transform] = (),
        batch_size: int = 32,
        eval_batch_size: int | None = None,
        split: str | None = None,
        fold: int = 0,
        seed: int = 0,
        in_device_memory: bool | None = None,
        pad: bool | None = None,
        root: str | None = None,
        batch_transforms: Sequence[Transform] = (),
    ) -> None:
        super().__init__()
        self.dataset = dataset
        self.transforms, self.batch_transforms = tuple(transforms), tuple(batch_transforms)
        self.batch_size, self.eval_batch_size, self.pad = batch_size, eval_batch_size, pad
        self.split, self.fold, self.seed = split, fold, seed
        self.in_device_memory, self.root = in_device_memory, root
        self._store: GraphStore | None = None

    @property
    def store(self) -> GraphStore:
        """The transformed dataset with the chosen split; loaded on first use."""
        if self._store is None:
            transform = Compose(self.transforms) if self.transforms else None
            self._store = load_dataset(
                self.dataset, split=self.split, fold=self.fold, transform=transform, root=self.root
            )
        return self._store

    @property
    def task(self) -> TaskSpec:
        task = self.store.task
        if task is None:
            raise ConfigError("the dataset states no task", where=self.dataset)
        return task

    def prepare_data(self) -> None:
        """Download, build and cache in one process before the others look."""
        _ = self.store

    def setup(self, stage: str | None = None) -> None:
        device = self.trainer.strategy.root_device if self.trainer is not None else torch.device("cpu")
        if device.type != "cpu" and self._belongs_on(device):
            self._store = self.store.to(device)

    def train_dataloader(self) -> GraphLoader:
        captured = self.trainer is not None and getattr(self.trainer.lightning_module, "capture", False)
        pad = captured if self.pad is None else self.pad
        return self._loader("train", self.batch_size, shuffle=True, pad=pad)

    def val_dataloader(self) -> GraphLoader | list:
        return self._loader("val", self._eval_batch_size)

    def test_dataloader(self) -> GraphLoader | list:
        return self._loader("test", self._eval_batch_size)

    def predict_dataloader(self) -> GraphLoader:
        return self._loader("test", self._eval_batch_size)

    @property
    def _eval_batch_size(self) -> int:
        if self.eval_batch_size is not None:
            return self.eval_batch_size
        task, store = self.store.task, self.store
        if task is not None and (task.level == "link" or task.loss == "weighted_cross_entropy"):
            return self.batch_size
        rows = sum(layout.total for layout in store.layouts.values())
        return max(self.batch_size, min(_EVAL_GROWTH * self.batch_size, _EVAL_ROWS * len(store) // rows))

    def _loader(self, stage: str, batch_size: int, **options: bool) -> GraphLoader | list:
        index = self._indices(stage)
        if index is not None and not index.numel():
            # Lightning skips a stage without loaders; training without graphs cannot mean anything.
            if stage == "train":
                raise ConfigError("the training split is empty", where=self.dataset)
            return []
        world = {"rank": self.trainer.global_rank, "world_size": self.trainer.world_size} if self.trainer else {}
        if len(self.store) == 1:
            world = {}
        transform = Compose(self.batch_transforms) if self.batch_transforms else None
        return GraphLoader(self.store, batch_size, index=index, seed=self.seed, transform=transform, **options, **world)

    def _indices(self, stage: str) -> Tensor | None:
        """Graphs of a stage; ``None`` for the whole of a single-graph dataset."""
        store = self.store
        if len(store) == 1 and f"{stage}_mask" in store.columns:
            return None
        return store.splits.get(stage, torch.empty(0, dtype=torch.long))

    def _belongs_on(self, device: torch.device) -> bool:
        if self.in_device_memory is not None or device.type != "cuda":
            return bool(self.in_device_memory)
        return 4 * self.store.nbytes < torch.cuda.mem_get_info(device)[0]
