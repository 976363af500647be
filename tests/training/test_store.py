"""A run on the library's own store and loader, resumed."""

from __future__ import annotations

import signal

import pytest
import torch
from lightning import Callback, LightningDataModule, seed_everything

from gnnlab.data.loader import GraphLoader
from gnnlab.data.store import GraphStore
from gnnlab.training import GraphTask, Interrupted, train_and_evaluate


class Stored(LightningDataModule):
    def __init__(self, graphs):
        super().__init__()
        self.store = GraphStore.from_data_list(graphs, name="toy")
        self.parts = torch.arange(len(self.store)).split([16, 4, 4])

    def _loader(self, part, **options):
        return GraphLoader(self.store, 4, index=self.parts[part], **options)

    def train_dataloader(self):
        return self._loader(0, shuffle=True)

    def val_dataloader(self):
        return self._loader(1)

    def test_dataloader(self):
        return self._loader(2)


class Stop(Callback):
    def on_train_epoch_start(self, trainer, pl_module):
        if trainer.current_epoch == 1:
            signal.raise_signal(signal.SIGINT)


def test_resumed_equals_uninterrupted(toys, tmp_path):
    def run(folder, *callbacks):
        seed_everything(1, verbose=False)
        case = toys.graph()
        graphs = case.data.train + case.data.val + case.data.test
        task = GraphTask(case.model, case.task)
        data = Stored(graphs)
        return train_and_evaluate(task, data, tmp_path / folder, max_epochs=4, callbacks=callbacks, accelerator="cpu")

    whole = run("whole")
    with pytest.raises(Interrupted):
        run("part", Stop())
    resumed = run("part")
    assert (resumed.val, resumed.test) == (whole.val, whole.test)
    for name in set(whole.curves) - {"seconds"}:
        assert resumed.curves[name] == whole.curves[name], name
