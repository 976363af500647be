"""Spectral quantities of graphs of a hundred thousand nodes, against closed forms and SciPy."""

from __future__ import annotations

import argparse
import math
import time

import networkx as nx
import numpy as np
import torch
from scipy.sparse import csr_array, diags_array, eye_array
from scipy.sparse.linalg import cg, eigsh
from torch import Tensor

from gnnlab.benchmark.speed.measure import Comparison, compare
from gnnlab.graph import LaplacianSolver, laplacian_eigh, total_effective_resistance_estimate

__all__ = ["rows"]

_SIDE, _NODES, _COLUMNS, _TOLERANCE = 316, 100_000, 16, 1e-6
_MINUTE = 60.0


def rows(options: argparse.Namespace) -> list[Comparison]:
    """Total resistance in a minute, systems against SciPy's conjugate gradients, the gap against its Lanczos.

    Args:
        options: ``rounds`` of every comparison.
    """
    scale_free = _edges(nx.barabasi_albert_graph(_NODES, 2, seed=0))
    mesh = _torus(_SIDE)
    return [
        _total(mesh),
        _systems("scale-free graph", *scale_free, options.rounds),
        _systems("torus", *mesh, options.rounds),
        _gap(mesh, options.rounds),
    ]


def _total(mesh: tuple[Tensor, Tensor]) -> Comparison:
    start = time.perf_counter()
    value, error = total_effective_resistance_estimate(*mesh)
    seconds = time.perf_counter() - start
    wave = 2 - 2 * np.cos(2 * math.pi * np.arange(_SIDE) / _SIDE)
    exact = _SIDE**2 * (1 / np.add.outer(wave, wave).ravel()[1:]).sum()
    detail = (
        f"torus of {_SIDE**2:,} nodes; {100 * abs(value.item() / exact - 1):.2f} % from the closed form, "
        f"standard error {100 * error.item() / exact:.2f} %"
    )
    return Comparison("total resistance", "a minute", seconds, _MINUTE, _MINUTE / seconds, goal=1.0, detail=detail)


def _systems(name: str, edge_index: Tensor, ptr: Tensor, rounds: int) -> Comparison:
    laplacian = _laplacian(edge_index, int(ptr[-1]))
    jacobi = diags_array(1 / laplacian.diagonal())
    b = np.random.default_rng(0).standard_normal((laplacian.shape[0], _COLUMNS))
    b -= b.mean(0)
    solver = LaplacianSolver(edge_index, ptr)
    right = torch.from_numpy(b)
    return compare(
        f"{_COLUMNS} Laplacian systems, {name}",
        lambda: solver.solve(right, _TOLERANCE),
        lambda: [cg(laplacian, column, rtol=_TOLERANCE, M=jacobi) for column in b.T],
        "scipy cg, Jacobi",
        rounds=rounds,
        detail=f"{laplacian.shape[0]:,} nodes, tolerance {_TOLERANCE:.0e}; gnnlab takes {solver.method}",
    )


def _gap(mesh: tuple[Tensor, Tensor], rounds: int) -> Comparison:
    n = int(mesh[1][-1])
    laplacian = _laplacian(mesh[0], n) + 1e-6 * eye_array(n)
    return compare(
        "smallest eigenvalue above zero",
        lambda: laplacian_eigh(*mesh, k=1, trivial=False),
        lambda: eigsh(laplacian.tocsc(), 2, sigma=0.0),
        "scipy eigsh, shift-invert",
        rounds=rounds,
        detail=f"torus of {n:,} nodes",
    )


def _torus(side: int) -> tuple[Tensor, Tensor]:
    node = torch.arange(side**2).view(side, side)
    pairs = torch.stack([node.repeat(2, 1), torch.cat([node.roll(-1, 0), node.roll(-1, 1)])]).view(2, -1)
    return torch.cat([pairs, pairs.flip(0)], 1), torch.tensor([0, side**2])


def _edges(graph: nx.Graph) -> tuple[Tensor, Tensor]:
    pairs = torch.from_numpy(np.array(graph.edges, dtype=np.int64).T.copy())
    return torch.cat([pairs, pairs.flip(0)], 1), torch.tensor([0, graph.number_of_nodes()])


def _laplacian(edge_index: Tensor, num_nodes: int) -> csr_array:
    adjacency = csr_array((np.ones(edge_index.size(1)), edge_index.numpy()), shape=(num_nodes, num_nodes))
    return (diags_array(adjacency.sum(1)) - adjacency).tocsr()
