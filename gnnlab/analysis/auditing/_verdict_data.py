"""Findings on how graphs are stored and what they cost: whatever is to be known before a model is chosen."""

from __future__ import annotations

from collections.abc import Iterator

from gnnlab.analysis.auditing._facts import Facts, number, share
from gnnlab.analysis.auditing.report import Finding

__all__ = ["data_findings"]

_ISOLATED = 0.01
"""Share of nodes: below one in a hundred, what happens to nodes without neighbours hardly moves a score."""


def data_findings(facts: Facts) -> Iterator[Finding]:
    """On storage and cost, as far as they were looked at."""
    if "size" in facts.values:
        yield from _storage(facts)
        yield from _features(facts)
    yield from _cost(facts)


def _storage(facts: Facts) -> Iterator[Finding]:
    isolated, loops, copies = (facts.get("size", name) for name in ("isolated_share", "self_loops", "duplicate_edges"))
    if facts.get("size", "directed"):
        yield Finding(
            "look",
            "Edges go one way. A message travels from source to target only, so a node hears nothing from those it "
            "points to; resistance, spectral gap and curvature are those of the graph without directions.",
            "edges without their reverse were found",
            "Compare with both directions: `torch_geometric.transforms.ToUndirected`; rewirings take "
            "`symmetrise=True`.",
        )
    if isolated is not None and isolated >= _ISOLATED:
        yield Finding(
            "look",
            f"{share(isolated)} of the nodes have no neighbour. For them a network of any depth sees nothing but their "
            "own features.",
            f"isolated nodes: {share(isolated)}",
            f"Are edges missing? A virtual node reaches them: {facts.remedies.short_cut()}",
        )
    if loops or copies:
        found = [f"{number(n)} {what}" for n, what in ((loops, "self-loops"), (copies, "repeated edges")) if n]
        yield Finding(
            "look",
            f"There are {' and '.join(found)}. Layers that sum over edges count them like any other, and GCN adds one "
            "more self-loop to every node.",
            ", ".join(found),
            "If they mean nothing, drop them: `torch_geometric.utils.coalesce`, "
            "`torch_geometric.utils.remove_self_loops`.",
        )
    if not isolated and not loops and not copies and facts.get("size", "directed") is False:
        yield Finding(
            "fine",
            "The graphs are clean. No self-loops, no repeated edges, no isolated nodes, every edge in both directions.",
            "self-loops 0, repeated edges 0, isolated nodes 0, edges without their reverse 0",
        )


def _features(facts: Facts) -> Iterator[Finding]:
    if facts.get("size", "node_features") == 0:
        yield Finding(
            "look",
            "Nodes have no features. All a layer can learn comes from the shape of the graph, beginning with degrees.",
            "node features: 0",
            f"Give nodes something to begin with: degrees (`gnnlab.encodings.DegreePE`), or random walks: "
            f"{facts.remedies.encoded()}",
        )


def _cost(facts: Facts) -> Iterator[Finding]:
    rows = facts.get("cost", "rows") or []
    tight = [row for row in rows if row.get("fits") is False]
    if tight:
        yield Finding(
            "look",
            f"Not everything can be computed as it stands. Too large: {'; '.join(row['what'] for row in tight)}.",
            "; ".join(f"{row['what']}: {_size(row)}" for row in tight),
            "Restrict them (`gnnlab.lifting.NodePairs(policy='ego', hops=2)`, fewer hops, shorter paths), or compute "
            "them batch by batch (`data.batch_transforms`). What is too large is refused before anything is allocated.",
        )
    elif rows:
        widest = max(rows, key=lambda row: row.get("bytes") or 0)
        yield Finding(
            "fine",
            "Pairs, paths and encodings fit into memory.",
            f"the largest is {widest['what']}: {_size(widest)}",
        )


def _size(row: dict) -> str:
    parts = [f"{number(row['rows'])} rows"] if row.get("rows") is not None else []
    parts += [f"{row['bytes'] / 1e9:,.3g} GB"] if row.get("bytes") is not None else []
    parts += [f"limit: {row['limit']}"] if row.get("limit") and row.get("fits") is False else []
    return ", ".join(parts) or "no estimate"
