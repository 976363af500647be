"""The cache of stores: built once, rebuilt when damaged, clear when it cannot be written."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError
from torch_geometric.data import Data

from gnnlab.data import GraphStore, _storage
from gnnlab.data.cache import cached_store, content_key
from gnnlab.errors import SourceError


def tiny() -> GraphStore:
    return GraphStore.from_data_list([Data(x=torch.ones(2, 1), edge_index=torch.tensor([[0], [1]]))])


def test_built_once(tmp_path: Path) -> None:
    calls = []

    def build() -> GraphStore:
        calls.append(1)
        return tiny()

    for _ in range(2):
        assert len(cached_store("k", build, tmp_path)) == 1
    assert len(calls) == 1


def test_damaged_store_is_rebuilt(tmp_path: Path) -> None:
    cached_store("k", tiny, tmp_path)
    columns = tmp_path / "stores" / "k" / "columns.safetensors"
    columns.write_bytes(columns.read_bytes()[:-1])
    with pytest.warns(UserWarning, match="rebuilding"):
        assert len(cached_store("k", tiny, tmp_path)) == 1
    assert len(GraphStore.load(tmp_path / "stores" / "k")) == 1


def test_a_build_that_dies_leaves_nothing_behind(tmp_path: Path) -> None:
    def killed() -> GraphStore:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cached_store("k", killed, tmp_path)
    assert not (tmp_path / "stores" / "k").exists()
    assert len(cached_store("k", tiny, tmp_path)) == 1


def _killed_while_saving(root: Path) -> None:
    def die(*args: object, **kwargs: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    _storage._manifest = die
    cached_store("k", tiny, root)


def test_a_process_killed_while_saving_leaves_nothing_to_trust(tmp_path: Path) -> None:
    worker = multiprocessing.get_context("fork").Process(target=_killed_while_saving, args=(tmp_path,))
    worker.start()
    worker.join(60)
    assert worker.exitcode == -signal.SIGKILL
    assert list((tmp_path / "stores").glob(".k-*"))
    assert len(cached_store("k", tiny, tmp_path)) == 1
    assert not list((tmp_path / "stores").glob(".k-*"))


def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object) -> None:
        raise SafetensorError("Error while serializing: No space left on device")

    monkeypatch.setattr(_storage, "save_file", full)
    with pytest.raises(SourceError, match="No space left"):
        cached_store("k", tiny, tmp_path)
    assert [path.name for path in (tmp_path / "stores").iterdir() if path.is_dir()] == []


def test_errors_of_the_build_are_not_blamed_on_the_cache(tmp_path: Path) -> None:
    def build() -> GraphStore:
        raise FileNotFoundError("raw.csv")

    with pytest.raises(FileNotFoundError, match="raw"):
        cached_store("k", build, tmp_path)


def _slow_build(root: Path) -> None:
    def build() -> GraphStore:
        with (root / "builds").open("a") as log:
            log.write("x")
        time.sleep(0.3)
        return tiny()

    cached_store("k", build, root)


def test_two_processes_build_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_slow_build, args=(tmp_path,)) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0, 0]
    assert (tmp_path / "builds").read_text() == "x"


def test_unwritable_cache(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SourceError, match="GNNLAB_CACHE"):
        cached_store("k", tiny, tmp_path / "file")


def test_content_key_depends_on_every_part() -> None:
    keys = {content_key("a", 1), content_key("a", 2), content_key("b", 1), content_key("a", 1, None)}
    assert len(keys) == 4
    assert content_key("a", {"x": 1, "y": 2}) == content_key("a", {"y": 2, "x": 1})
