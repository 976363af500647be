"""Pickles: data comes back as it went in, code never runs."""

from __future__ import annotations

import io
import lzma
import os
import pickle
from collections import OrderedDict, defaultdict
from pathlib import Path

import networkx as nx
import numpy as np
import pytest
import scipy.sparse as sp
import torch

from gnnlab.data._unpickle import Record, load_pickle, load_torch
from gnnlab.errors import IntegrityError


def through(value: object, protocol: int) -> object:
    return load_pickle(io.BytesIO(pickle.dumps(value, protocol)))


@pytest.mark.parametrize("protocol", range(6))
def test_numbers_containers_and_arrays_come_back(protocol: int) -> None:
    value = {
        "list": [1, 2.5, "x", b"bytes\xff", None, True, (1, (2,)), {3, 4}, 1 + 2j],
        "ordered": OrderedDict(a=1),
        "default": defaultdict(list, {1: [2]}),
    }
    assert through(value, protocol) == value
    for array in (np.arange(6).reshape(2, 3), np.array([0.5]), np.array(["a", "bc"]), np.zeros((0, 3), np.int8)):
        restored = through(array, protocol)
        np.testing.assert_array_equal(restored, array)
        assert restored.dtype == array.dtype
    assert through(np.float32(1.5), protocol) == np.float32(1.5)


@pytest.mark.parametrize("protocol", [2, 4])
def test_tensors_come_back(protocol: int) -> None:
    base = torch.arange(12.0).view(3, 4)
    restored = through([base, base.t(), torch.tensor([True]), torch.empty(0, 2, dtype=torch.long)], protocol)
    torch.testing.assert_close(restored[0], base)
    torch.testing.assert_close(restored[1], base.t())
    assert restored[2].dtype == torch.bool
    assert restored[3].shape == (0, 2)


def test_instances_become_records_without_code() -> None:
    graph = nx.Graph()
    graph.add_edge(0, 1, kind=7)
    record = through(graph, 4)
    assert isinstance(record, Record)
    assert record.kind == "networkx.classes.graph.Graph"
    assert not isinstance(record, nx.Graph)
    assert record._adj[0] == {1: {"kind": 7}}
    matrix = through(sp.csr_matrix(np.eye(3)), 4)
    assert matrix.indices.tolist() == [0, 1, 2]


class Malicious:
    def __init__(self, function: object, *arguments: object) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple:
        return self.call


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("function", [os.system, eval, exec, __import__, getattr, open, print, np.load, torch.load])
def test_code_is_refused_and_does_not_run(function: object, protocol: int, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    command = f"touch {trace}" if function is os.system else f"open({str(trace)!r}, 'w')"
    content = pickle.dumps([1, Malicious(function, command)], protocol)
    with pytest.raises(IntegrityError, match="which is no data"):
        load_pickle(io.BytesIO(content))
    assert not trace.exists()


def test_code_hidden_in_the_storage_of_a_tensor_does_not_run(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    inner = pickle.dumps(Malicious(os.system, f"touch {trace}"))
    outer = pickle.dumps(Malicious(torch.storage._load_from_bytes, inner))
    with pytest.raises(IntegrityError):
        load_pickle(io.BytesIO(outer))
    with pytest.raises(IntegrityError):
        load_torch(io.BytesIO(inner))
    assert not trace.exists()


def test_codecs_are_not_looked_up_by_name() -> None:
    content = b"c_codecs\nencode\n(Vabc\nVrot13\ntR."
    with pytest.raises(IntegrityError, match="which is no data"):
        load_pickle(io.BytesIO(content))


def test_persistent_ids_are_refused() -> None:
    with pytest.raises(IntegrityError, match="persistent id"):
        load_pickle(io.BytesIO(b"Pother-file\n."))


def test_a_truncated_pickle_names_its_file(tmp_path: Path) -> None:
    whole = pickle.dumps({"a": np.arange(1000)})
    for length in (0, 1, 20, len(whole) // 2, len(whole) - 1):
        path = tmp_path / f"{length}.pkl"
        path.write_bytes(whole[:length])
        with pytest.raises(IntegrityError, match=rf"{length}\.pkl: not a complete pickle"):
            load_pickle(path)


def test_torch_files_hold_tensors_and_arrays_only(tmp_path: Path) -> None:
    path = tmp_path / "part.pt"
    torch.save({"edge": np.arange(4).reshape(2, 2), "weight": torch.ones(2)}, path)
    content = load_torch(path)
    assert content["edge"].tolist() == [[0, 1], [2, 3]]
    torch.save({"graph": nx.path_graph(2)}, path)
    with pytest.raises(IntegrityError, match=r"part\.pt"):
        load_torch(path)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(IntegrityError, match="not a complete file of tensors"):
        load_torch(path)


@pytest.mark.mirror
def test_a_real_pickle_equals_what_pickle_itself_reads(mirror: Path) -> None:
    path = mirror / "zinc/subset12k/ZINC_Val.networkx.pkl.xz"
    with lzma.open(path) as file:
        records = load_pickle(file)
    with lzma.open(path) as file:
        graphs = pickle.load(file)
    assert len(records) == len(graphs) == 1000
    for record, graph in zip(records, graphs, strict=True):
        assert record._adj == graph._adj
        assert record._node == graph._node
