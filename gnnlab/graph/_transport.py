"""Exact transport of integer masses at small integer costs, many problems side by side."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["transport"]


def transport(cost: Tensor, supply: Tensor, demand: Tensor) -> Tensor:
    """Optimal plans of B transport problems: successive shortest paths, one path per problem and round.

    Distances to all columns come from Bellman-Ford over the arcs of the plan so far (rows to columns at their
    cost, back where something flows). All problems advance together; those that are done leave.

    Args:
        cost: [B, r, c], integers below 2^20 in any dtype.
        supply: [B, r] and
        demand: [B, c], non-negative integers in float64 (exact up to 2^53) of equal sums; 0 pads.

    Shapes:
        returns [B, r, c] float64, integers whose rows sum to ``supply`` and columns to ``demand``.
    """
    plan = torch.zeros(cost.shape, dtype=torch.float64, device=cost.device)
    index = torch.arange(cost.size(0), device=cost.device)
    cost, flow, supply, demand = cost.float(), plan.clone(), supply.clone(), demand.clone()
    while True:
        active = (supply > 0).any(1)
        busy = int(active.sum())
        if 2 * busy <= active.numel():
            plan[index] = flow
            cost, flow, supply, demand, index = (part[active] for part in (cost, flow, supply, demand, index))
        if busy == 0:
            return plan
        _augment(flow, supply, demand, *_shortest_paths(cost, flow, supply))


def _shortest_paths(cost: Tensor, flow: Tensor, supply: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Distances [B, c] of the columns from the rows with supply; the row before every column, the column before every
    row (-1 at the start). Only what becomes strictly shorter changes, so the predecessors form trees."""
    from_row = torch.where(supply > 0, 0.0, torch.inf).float()
    to_column = torch.full_like(cost[:, 0], torch.inf)
    row_before = torch.full(to_column.shape, -1, device=cost.device)
    column_before = torch.full(from_row.shape, -1, device=cost.device)
    back = torch.where(flow > 0, -cost, torch.inf)
    while True:
        reached, row = (from_row[:, :, None] + cost).min(1)
        row_before = torch.where(reached < to_column, row, row_before)
        to_column = torch.minimum(reached, to_column)
        reached, column = (to_column[:, None, :] + back).min(2)
        shorter = reached < from_row
        if not bool(shorter.any()):
            return to_column, row_before, column_before
        column_before = torch.where(shorter, column, column_before)
        from_row = torch.minimum(reached, from_row)


def _augment(
    flow: Tensor, supply: Tensor, demand: Tensor, to_column: Tensor, row_before: Tensor, column_before: Tensor
) -> None:
    """Send as much as fits along the shortest path to a column that still wants something, in place."""
    problem = torch.arange(flow.size(0), device=flow.device)
    end = torch.where(demand > 0, to_column, torch.inf).argmin(1)
    amount = demand[problem, end]  # 0 where a problem is done
    column, alive, steps = end, amount > 0, []
    while True:
        row = torch.where(alive, row_before[problem, column], 0)
        before = torch.where(alive, column_before[problem, row], -1)
        onwards = before >= 0
        amount = torch.where(
            onwards,
            torch.minimum(amount, flow[problem, row, before]),
            torch.where(alive, torch.minimum(amount, supply[problem, row]), amount),
        )
        steps.append((row, column, before, alive, onwards))
        if not bool(onwards.any()):
            break
        column, alive = torch.where(onwards, before, column), onwards
    demand[problem, end] -= amount
    for row, column, before, alive, onwards in steps:
        flow[problem, row, column] += amount * alive
        flow[problem, row, before] -= amount * onwards  # before is -1, the last column, where nothing is taken
        supply[problem, row] -= amount * (alive & ~onwards)
