"""Walk probabilities of pairs, compiled: a few starts at a time, over the nodes around them. CPU, with numba.

The starts of a block are the columns of two small arrays that stay in the cache, and the nodes around them, nearest
first, are the rows. After t of K steps a walk is within t hops of its start, and it must be back within K - t hops of
an end that is asked for: all other rows are left out. Small graphs are one block.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from gnnlab.ops._numba._jit import bound, claim, compiled, index
from gnnlab.ops._numba._threads import run

__all__ = ["walk_pairs", "walk_returns"]

_STARTS = 16, 160  # fewest and most of a block
_CELLS = 1 << 17  # nodes of a graph times starts of a block, within these bounds
_LANES = 16  # columns are padded to whole vectors


def walk_returns(edge_index: Tensor, ptr: Tensor, weight: Tensor, steps: int) -> Tensor:
    """[N, steps], probability of being back after 1, 2, ... steps.

    Args:
        edge_index: [2, E] long.
        ptr: [G + 1] long, first node of every graph.
        weight: [E] float32 or float64, probability of every edge.
        steps: At least 1.
    """
    pointers = np.arange(int(ptr[-1]) + 1)
    return _walk(edge_index, ptr, weight, (pointers, pointers[:0], pointers[:-1]), steps, 1)


def walk_pairs(edge_index: Tensor, ptr: Tensor, weight: Tensor, pairs: Tensor, steps: int) -> Tensor:
    """[P, steps + 1], probability of being at the second node of a pair after 0, 1, ... steps from the first one."""
    start, end = _columns(pairs)
    return _walk(edge_index, ptr, weight, (*_group(start, int(ptr[-1])), end), steps, 0)


def _walk(edge_index: Tensor, ptr: Tensor, weight: Tensor, pairs: tuple, steps: int, first: int) -> Tensor:
    """Steps ``first`` to ``steps``; pairs by first node: pointers, order (empty if they lie so) and second nodes."""
    source, target = _columns(edge_index)
    (graphs,), entries = _columns(ptr[None]), weight.contiguous().numpy()
    num_nodes, sizes = int(graphs[-1]), np.diff(graphs)
    incoming, slots = _group(target, num_nodes)
    sources, entries = (source[slots], entries[slots]) if slots.size else (source, entries)
    counts = -(-sizes // np.clip(_CELLS // np.maximum(sizes, 1), *_STARTS))
    outgoing, targets, order = incoming, target[:0], np.arange(num_nodes)
    if (counts > 1).any():
        outgoing, slots = _group(source, num_nodes)
        targets = target[slots] if slots.size else target
        ways = incoming, sources, outgoing, targets
        run(_line_up, 4 * (num_nodes + target.size), graphs, counts, ways, order)
    graph = np.repeat(np.arange(sizes.size), counts)
    rank = np.arange(graph.size) - (np.cumsum(counts) - counts)[graph]
    begins = np.append(graphs[graph] + rank * sizes[graph] // counts[graph], num_nodes)
    edges = incoming[graphs[1:]] - incoming[graphs[:-1]]
    work = np.append(0, np.cumsum((edges + sizes)[graph] * np.diff(begins) * steps // 8))
    out = np.empty((pairs[2].size, steps + 1 - first), entries.dtype)
    ways = incoming, sources, outgoing, targets
    run(
        _walk_blocks,
        int(work[-1]) + out.size,
        work,
        graph,
        begins,
        graphs,
        order,
        ways,
        entries,
        pairs,
        steps,
        first,
        out,
    )
    return torch.from_numpy(out)


def _columns(index: Tensor) -> tuple[np.ndarray, ...]:
    return tuple(row.long().contiguous().numpy() for row in index)


def _group(key: np.ndarray, num_nodes: int) -> tuple[np.ndarray, np.ndarray]:
    """First slot of every node [N + 1], and the stable order of the slots, empty if they are in order already."""
    pointers = np.zeros(num_nodes + 1, np.int64)
    order = np.empty(key.size, np.int64)
    return pointers, order[: _sort(key, pointers, order)]


@compiled
def _sort(key, pointers, order):
    """Counting sort; returns the length of ``order`` that is filled: none if nothing has to move."""
    descends, before = False, 0
    for node in key:
        pointers[index(node) + index(1)] += 1
        descends |= node < before
        before = node
    for node in range(pointers.size - 1):
        pointers[node + 1] += pointers[node]
    if not descends:
        return 0
    free = pointers.copy()
    for slot in range(key.size):
        node = index(key[slot])
        order[index(free[node])] = slot
        free[node] += 1
    return key.size


@compiled
def _line_up(counter, chunks, ptr, counts, ways, order):
    """Number the nodes of graphs of several blocks breadth first, from a node far from the first one."""
    seen = np.empty(np.diff(ptr).max(), np.int64)
    chunk = claim(counter, 0)
    while chunk < chunks:
        for graph in range(bound(ptr, chunk, chunks), bound(ptr, chunk + 1, chunks)):
            if counts[graph] < 2:
                continue
            base, end = ptr[graph], ptr[graph + 1]
            queue = order[base:end]
            seen[: end - base] = 0
            filled = 0
            for root in range(base, end):
                if seen[root - base] == 0:
                    furthest = queue[_flood(root, base, 1, ways, seen, queue, filled) - 1]
                    filled = _flood(furthest, base, 2, ways, seen, queue, filled)
        chunk = claim(counter, 1)


@compiled
def _flood(root, base, stamp, ways, seen, queue, filled):
    """Append the component of ``root``, in breadth-first order, at ``filled``; returns where it ends."""
    incoming, sources, outgoing, targets = ways
    seen[root - base], queue[filled] = stamp, root
    place, end = filled, filled + 1
    while place < end:
        u = index(queue[place])
        place += 1
        for pointers, others in ((incoming, sources), (outgoing, targets)):
            for slot in range(index(pointers[u]), index(pointers[u + index(1)])):
                v = others[slot]
                if seen[v - base] != stamp:
                    seen[v - base], queue[end] = stamp, v
                    end += 1
    return end


@compiled
def _walk_blocks(counter, chunks, work, graphs, begins, ptr, order, ways, entries, pairs, steps, first, out):
    most_nodes, most_edges = 0, 0
    for graph in range(ptr.size - 1):
        most_nodes = max(most_nodes, ptr[graph + 1] - ptr[graph])
        most_edges = max(most_edges, ways[0][ptr[graph + 1]] - ways[0][ptr[graph]])
    # Of every node of a graph: its row in the block, and the last block that asks for it.
    local, goal = np.full(most_nodes, -1), np.full(most_nodes, -1)
    ball, ends = np.empty(most_nodes, np.int64), np.empty(steps + 1, np.int64)
    edge_ptr, edge_from = np.zeros(most_nodes + 1, np.int64), np.empty(most_edges, np.int64)
    edge_weight = np.empty(most_edges, entries.dtype)
    now, then = np.empty(0, entries.dtype), np.empty(0, entries.dtype)
    pair, cell = np.empty(0, np.int64), np.empty(0, np.int64)
    chunk = claim(counter, 0)
    while chunk < chunks:
        for block in range(bound(work, chunk, chunks), bound(work, chunk + 1, chunks)):
            base, end = ptr[graphs[block]], ptr[graphs[block] + 1]
            starts = order[begins[block] : begins[block + 1]]
            for column in range(starts.size):
                ball[column], local[starts[column] - base] = starts[column], column
            nodes, reach = starts.size, 0
            ends[:] = nodes
            if nodes < end - base:
                missing = _ask(starts, base, end, block, pairs, local, goal)
                nodes, reach = _explore(base, block, nodes, missing, steps, ways, local, goal, ball, ends)
            width = (starts.size + _LANES - 1) // _LANES * _LANES
            _gather(ball[:nodes], base, width, ways, entries, local, edge_ptr, edge_from, edge_weight)
            wanted = 0
            for start in starts:
                wanted += pairs[0][start + 1] - pairs[0][start]
            if pair.size < wanted:
                pair, cell = np.empty(wanted, np.int64), np.empty(wanted, np.int64)
            found = _place(starts, base, end, width, pairs, local, pair, cell, out)
            for node in ball[:nodes]:
                local[node - base] = -1
            cells = nodes * width
            if now.size < cells:
                now, then = np.empty(cells, entries.dtype), np.empty(cells, entries.dtype)
            now[:cells] = 0
            then[:cells] = 0
            for column in range(starts.size):
                now[column * width + column] = 1
            if first == 0:
                _read(now, pair[:found], cell[:found], out[:, 0])
            for step in range(1, steps + 1):
                rows = ends[min(step, steps - step + reach)]
                _step(rows, width, edge_ptr, edge_from, edge_weight, now, then)
                now, then = then, now
                _read(now, pair[:found], cell[:found], out[:, step - first])
        chunk = claim(counter, 1)


@compiled
def _ask(starts, base, end, block, pairs, local, goal):
    """Mark the ends of the pairs of a block that are no starts of it; returns how many nodes these are."""
    pair_ptr, pair_order, pair_end = pairs
    missing = 0
    for start in starts:
        for slot in range(pair_ptr[start], pair_ptr[start + 1]):
            v = pair_end[pair_order[slot] if pair_order.size else slot]
            if base <= v < end and local[v - base] < 0 and goal[v - base] != block:
                goal[v - base] = block
                missing += 1
    return missing


@compiled
def _explore(base, block, nodes, missing, steps, ways, local, goal, ball, ends):
    """Number the nodes around a block by distance; returns how many, and how far the furthest end of a pair is."""
    incoming, sources, outgoing, targets = ways
    begin, hops, reach = 0, 0, 0
    ends[0] = nodes
    while begin < nodes and hops < (steps if missing else (steps + reach) // 2):
        end = nodes
        hops += 1
        for place in range(begin, end):
            u = index(ball[place])
            for pointers, others in ((incoming, sources), (outgoing, targets)):
                for slot in range(index(pointers[u]), index(pointers[u + index(1)])):
                    v = others[slot]
                    if local[v - base] < 0:
                        local[v - base], ball[nodes] = nodes, v
                        nodes += 1
                        if goal[v - base] == block:
                            missing -= 1
                            reach = hops
        begin = end
        ends[hops] = nodes
    ends[hops + 1 :] = nodes
    return nodes, reach


@compiled
def _gather(ball, base, width, ways, entries, local, edge_ptr, edge_from, edge_weight):
    """The edges between the nodes of a block, by row; where they come from as a place in the state."""
    incoming, sources = ways[0], ways[1]
    edges = 0
    for row in range(ball.size):
        u = index(ball[row])
        for slot in range(index(incoming[u]), index(incoming[u + index(1)])):
            there = local[sources[slot] - base]
            if there >= 0:
                edge_from[edges], edge_weight[edges] = there * width, entries[slot]
                edges += 1
        edge_ptr[row + 1] = edges


@compiled
def _place(starts, base, end, width, pairs, local, pair, cell, out):
    """Pairs that a walk may connect and where the state has them; the others are zero. Returns how many."""
    pair_ptr, pair_order, pair_end = pairs
    found = 0
    for column in range(starts.size):
        for slot in range(pair_ptr[starts[column]], pair_ptr[starts[column] + 1]):
            this = pair_order[slot] if pair_order.size else slot
            v = pair_end[this]
            row = local[v - base] if base <= v < end else -1
            if row >= 0:
                pair[found], cell[found] = this, row * width + column
                found += 1
            else:
                out[this] = 0
    return found


@compiled
def _step(rows, width, edge_ptr, edge_from, edge_weight, now, then):
    for row in range(rows):
        to = then[row * width : row * width + width]
        to[:] = 0
        for slot in range(index(edge_ptr[row]), index(edge_ptr[row + 1])):
            there, factor = now[edge_from[slot] : edge_from[slot] + width], edge_weight[slot]
            for column in range(to.size):
                to[column] += factor * there[column]


@compiled
def _read(state, pair, cell, out):
    for slot in range(pair.size):
        out[pair[slot]] = state[index(cell[slot])]
