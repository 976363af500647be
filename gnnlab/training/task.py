"""GraphTask: the one LightningModule, for graph-, node- and link-level tasks."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

import torch
from lightning.pytorch.callbacks import EarlyStopping
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau
from torch_geometric.data import Data
from torchmetrics import Metric

from gnnlab.data.task import TaskSpec
from gnnlab.errors import ConfigError, DataError
from gnnlab.metrics import MRR, build_metric
from gnnlab.nn.norm import real_rows
from gnnlab.training._fused import fused
from gnnlab.training._mean import WeightedMean
from gnnlab.training.captured import Capturable, CapturedStep
from gnnlab.training.links import candidate_pairs, dot_product, structured_negatives
from gnnlab.training.losses import loss_by_name
from gnnlab.training.target_scaling import TargetScaling
from gnnlab.transform import graph_ptr

__all__ = ["GraphTask", "OptimizerFactory", "ScheduleFactory"]

OptimizerFactory: TypeAlias = Callable[[Iterable], Optimizer]
"""Parameters in, optimiser out; in YAML the ``class_path`` of an optimiser."""

ScheduleFactory: TypeAlias = Callable[[Optimizer, int], LRScheduler]
"""Optimiser and number of epochs in, schedule out; in YAML the ``class_path`` of a schedule."""

_REGRESSION = ("l1", "mse")


class GraphTask(Capturable):
    r"""Trains and evaluates any ``model(batch) -> Tensor`` on the task a dataset states.

    * **graph**: predictions [G, C] against ``y``.
    * **node**: predictions [N, C] against ``y``; where the batch has ``train_mask`` (``val_mask``,
      ``test_mask``), nodes outside it count as unlabelled in that stage.
    * **link**: the model returns node embeddings [N, d]; a pair of ``edge_label_index`` [2, P] with label
      ``edge_label`` [P] (1 by default) is scored by ``decoder(z_head, z_tail)``. In training, ``negatives``
      random tails per positive are added; ranking metrics score every node of the graph, and draw the
      negatives of their loss from a fixed seed.

    A model with a method ``auxiliary_loss() -> Tensor | None`` is asked for it after every training batch, and what
    it returns, a 0-d tensor, is added to the loss.

    Unlabelled targets (NaN, or negative integers) take part in nothing. Logs ``train/loss``, ``val/loss``,
    ``val/<metric>``, ``test/loss``, ``test/<metric>`` and ``lr`` once per epoch; no step waits for the device.

    Training is a function of the seed and the checkpoint: random numbers are drawn from a stream that is
    restarted every epoch from (seed, epoch), and the schedule moves before a checkpoint is written, so a run
    resumed at the end of an epoch repeats the uninterrupted one bit for bit on a CPU.

    Args:
        model: The network.
        task: Level, loss and metric.
        optimizer: Called with the parameters.
        schedule: Called with the optimiser and the trainer's ``max_epochs``; constant rate by default.
        decoder: Scores [P] from two [P, d] embeddings (link level); inner product by default.
        negatives: Random negatives per positive (link level); 0 trusts ``edge_label`` alone.
        compile_backend: Backend for ``torch.compile`` (such as ``inductor``); ``None`` runs eagerly.
        capture: Make a whole training step one unit: on a GPU a CUDA graph per shape of batch, replayed, so that
            small batches are not bound by launches. Batches are padded to few shapes by :class:`GraphDataModule`;
            losses and checkpoints are those of the ordinary loop. Graph and node tasks, one device, an optimiser
            with the option ``capturable``, and a model whose shapes depend on those of the batch alone.
        standardise: Train on targets of mean 0 and variance 1 over the training split. The loss is in these units, the
            metric and predictions in those of the data (:class:`gnnlab.training.TargetScaling`). Graph-level
            regression only.

    Raises:
        ConfigError: unknown loss or metric, ``capture`` of a link task, ``standardise`` of another task than
            graph-level regression.

    Example:
        >>> task = TaskSpec("graph", out_channels=1, loss="l1", metric="mae", higher_is_better=False)
        >>> class MeanOfFeatures(nn.Module):
        ...     def forward(self, batch):
        ...         return batch.x.mean(dim=0, keepdim=True)
        >>> GraphTask(MeanOfFeatures(), task).predict_step(Data(x=torch.tensor([[1.0], [3.0]])))
        tensor([[2.]])
    """

    def __init__(
        self,
        model: nn.Module,
        task: TaskSpec,
        optimizer: OptimizerFactory = lambda params: torch.optim.AdamW(params, lr=1e-3, weight_decay=0.0),
        schedule: ScheduleFactory | None = None,
        decoder: nn.Module | None = None,
        negatives: int = 2,
        compile_backend: str | None = None,
        capture: bool = False,
        standardise: bool = False,
    ) -> None:
        super().__init__()
        self.model, self.task, self.decoder = model, task, decoder
        self.optimizer, self.schedule = optimizer, schedule
        self.negatives, self.compile_backend, self.capture = negatives, compile_backend, capture
        if capture and task.level == "link":
            raise ConfigError("the pairs of a link task have no static shape", where="model.capture", hint="set false")
        if standardise and (task.level != "graph" or task.loss not in _REGRESSION):
            raise ConfigError(
                f"only targets of graph-level regression can be standardised, not {task.level} with {task.loss}",
                where="model.standardise",
                hint="set false",
            )
        self.scaling = TargetScaling(task.out_channels) if standardise else None
        self.loss = loss_by_name(task.loss)
        losses = {f"{stage}/loss": WeightedMean() for stage in ("train", "val", "test")}
        metrics = {f"{stage}/{task.metric}": build_metric(task.metric) for stage in ("val", "test")}
        self.logged = nn.ModuleDict(losses | metrics)
        self._seed: int | None = None
        self._validated = False

    def forward(self, batch: Data) -> Tensor:
        """Outputs of the model in the units of the data."""
        return self.model(batch) if self.scaling is None else self.scaling.restored(_full_precision(self.model(batch)))

    def training_step(self, batch: Data, batch_idx: int) -> Tensor:
        if self.captured is not None:
            return self._logged(*self.captured(batch), batch_idx, "train")
        with real_rows(self, batch.get("padding")):
            return self._logged(*self._loss(batch, batch_idx, "train"), batch_idx, "train")

    def validation_step(self, batch: Data, batch_idx: int) -> None:
        self._logged(*self._loss(batch, batch_idx, "val"), batch_idx, "val")

    def test_step(self, batch: Data, batch_idx: int) -> None:
        self._logged(*self._loss(batch, batch_idx, "test"), batch_idx, "test")

    def predict_step(self, batch: Data, batch_idx: int = 0) -> Tensor:
        """[G, C] or [N, C] outputs of the model; for link tasks [P] scores of ``edge_label_index``."""
        out = _full_precision(self(batch))
        if self.task.level == "link":
            return self._score(out, batch.edge_label_index)
        return out

    def configure_optimizers(self) -> Any:
        optimizer = fused(self.optimizer(self.parameters()))
        if self.schedule is None:
            return optimizer
        epochs = self.trainer.max_epochs
        if epochs is None or epochs < 1:
            raise ConfigError(
                "a schedule needs the number of epochs", hint="set trainer.max_epochs instead of max_steps alone"
            )
        schedule = self.schedule(optimizer, epochs)
        interval = getattr(schedule, "interval", "epoch")
        if interval == "step":
            schedule.steps_per_epoch = self.trainer.estimated_stepping_batches / epochs
        monitor = getattr(schedule, "monitor", "val/loss")
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": interval, "monitor": monitor, "strict": False},
        }

    def lr_scheduler_step(self, scheduler: LRScheduler, metric: Any) -> None:
        # Lightning would move an epoch's schedule after its checkpoint is written, and a resumed run would lose
        # the step of a plateau: those move in on_train_epoch_end.
        if getattr(scheduler, "interval", "epoch") == "step":
            scheduler.step()

    def setup(self, stage: str) -> None:
        if self.compile_backend is not None:
            self.model.compile(backend=self.compile_backend, dynamic=True)

    def on_fit_start(self) -> None:
        if self._seed is None:
            self._seed = torch.initial_seed()
        if self.scaling is not None:
            self.scaling.fit(_training_targets(self.trainer.datamodule))

    def on_train_start(self) -> None:
        watched = [getattr(callback, "monitor", None) for callback in self.trainer.callbacks]
        selectors = sorted({name for name in watched if name and name.startswith("val/")})
        if selectors and not sum(self.trainer.num_val_batches) and not self.trainer.fast_dev_run:
            raise DataError(
                f"the validation split is empty, so nothing can be selected by {', '.join(selectors)}",
                hint="choose a split with validation data, or remove the callbacks that monitor it",
            )
        # A run resumed from the checkpoint of the epoch that ended it has nothing left to do.
        patient = [callback for callback in self.trainer.callbacks if isinstance(callback, EarlyStopping)]
        if getattr(self.lr_schedulers(), "finished", False) or any(c.wait_count >= c.patience for c in patient):
            self.trainer.should_stop = True
        if self.capture:
            self.captured = CapturedStep(self, lambda batch: self._loss(batch, 0, "train"))

    def on_train_epoch_start(self) -> None:
        self._validated = False
        self.log("lr", self.trainer.optimizers[0].param_groups[0]["lr"])

    def on_train_batch_start(self, batch: Data, batch_idx: int) -> None:
        # Not in on_train_epoch_start: a loader may draw numbers between the two, and not when resumed.
        if batch_idx == 0:
            seed = _stream(self._seed, self.current_epoch, self.global_rank)
            # torch.manual_seed leaves a note, with a stack trace, for every accelerator that is not in use.
            torch.default_generator.manual_seed(seed) if self.device.type == "cpu" else torch.manual_seed(seed)

    def on_validation_epoch_end(self) -> None:
        self._validated = not self.trainer.sanity_checking

    def on_train_epoch_end(self) -> None:
        schedule = self.lr_schedulers()
        if schedule is None or getattr(schedule, "interval", "epoch") == "step":
            return
        if not isinstance(schedule, ReduceLROnPlateau):
            schedule.step()
        elif self._validated:
            schedule.step(self._watched(schedule.monitor))
        if getattr(schedule, "finished", False):
            self.trainer.should_stop = True

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_save_checkpoint(checkpoint)
        checkpoint["seed"] = self._seed

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self._seed = checkpoint.get("seed")

    def _loss(self, batch: Data, batch_idx: int, stage: str) -> tuple[Tensor, Tensor]:
        """Loss of a batch and its weight in the mean of an epoch; evaluates the metric on the way."""
        out = _full_precision(self.model(batch))
        if self.task.level == "link":
            pred, target = self._links(out, batch, batch_idx, stage)
        else:
            pred, target = out, _targets(batch, stage, self.task.level)
            if stage != "train":
                self._metric(stage).update(pred if self.scaling is None else self.scaling.restored(pred), target)
            target = target if self.scaling is None else self.scaling.scaled(target)
        loss, weight = self.loss(pred, target)
        term = self._auxiliary() if stage == "train" else None
        return (loss if term is None else loss + term), weight

    def _auxiliary(self) -> Tensor | None:
        """What the model adds to the loss of the batch it has just seen."""
        auxiliary = getattr(self.model, "auxiliary_loss", None)
        return None if auxiliary is None else auxiliary()

    def _logged(self, loss: Tensor, weight: Tensor, batch_idx: int, stage: str) -> Tensor:
        self.logged[f"{stage}/loss"].update(loss.detach(), weight)
        if batch_idx == 0:
            # Once an epoch: Lightning keeps the metrics and asks them at its end.
            for name in (f"{stage}/loss", f"{stage}/{self.task.metric}"):
                if name in self.logged:
                    # They average by themselves; the size only keeps Lightning from searching the batch for one.
                    self.log(name, self.logged[name], on_step=False, on_epoch=True, prog_bar=True, batch_size=1)
        return loss

    def _metric(self, stage: str) -> Metric:
        return self.logged[f"{stage}/{self.task.metric}"]

    def _links(self, z: Tensor, batch: Data, batch_idx: int, stage: str) -> tuple[Tensor, Tensor]:
        """Scores and targets of the loss; evaluates the metric on the way."""
        pairs, ptr = batch.edge_label_index, graph_ptr(batch)
        label = batch.get("edge_label")
        label = pairs.new_ones(pairs.size(1)) if label is None else label
        score, target = self._score(z, pairs), label.to(z.dtype)
        ranks = stage != "train" and isinstance(self._metric(stage), MRR)
        if ranks:
            candidates, truth = candidate_pairs(pairs[:, label == 1], ptr)
            graph = torch.searchsorted(ptr, torch.arange(len(z), device=z.device), right=True) - 1
            self._metric(stage).update(self._score(z, candidates), candidates, truth, graph, len(ptr) - 1)
        elif stage != "train":
            self._metric(stage).update(score, target)
        if self.negatives and (ranks or stage == "train"):
            generator = None if stage == "train" else torch.Generator(z.device).manual_seed(batch_idx)
            drawn, usable = structured_negatives(pairs, label == 1, ptr, self.negatives, generator)
            score = torch.cat([score, self._score(z, drawn)])
            target = torch.cat([target, torch.where(usable, 0.0, torch.nan).to(z.dtype)])
        return score, target

    def _score(self, z: Tensor, pairs: Tensor) -> Tensor:
        score = self.decoder or dot_product
        return score(z[pairs[0]], z[pairs[1]]).reshape(-1)

    def _watched(self, name: str) -> Tensor:
        logged = self.trainer.callback_metrics
        if name not in logged:
            known = ", ".join(sorted(logged))
            raise ConfigError(f"the schedule monitors '{name}', which is not logged", hint=f"logged: {known}")
        return logged[name]


def _targets(batch: Data, stage: str, level: str) -> Tensor:
    target = batch.get("y")
    if target is None:
        raise DataError("the batch has no targets 'y'", hint="load the dataset with its labels")
    mask = batch.get(f"{stage}_mask") if level == "node" else None
    if mask is None:
        return target
    unlabelled = torch.nan if target.is_floating_point() else -1
    return target.masked_fill(~(mask if target.dim() == 1 else mask[:, None]), unlabelled)


def _training_targets(data: Any) -> Tensor:
    """[n, T] targets of the training split."""
    store = getattr(data, "store", None)
    if store is None:
        raise ConfigError(
            "the statistics of the training targets need a GraphDataModule",
            where="model.standardise",
            hint="pass datamodule= to the trainer, or set false",
        )
    return store.column("y")[store.splits["train"].to(store.column("y").device)]


def _full_precision(out: Tensor) -> Tensor:
    """Losses and metrics are computed in float32 at least, whatever the precision of the model."""
    return out.float() if out.dtype in (torch.float16, torch.bfloat16) else out


def _stream(seed: int | None, epoch: int, rank: int) -> int:
    """Seed of the random numbers of one epoch in one process."""
    digest = hashlib.sha256(f"{seed}/{epoch}/{rank}".encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1
