"""The hot path: fused gather and reduce over graphs, segments and edges, on torch alone.

Every function takes a :class:`CSR` or a plain ``edge_index``, is differentiable any number of times, runs
under ``torch.compile``, and gives the same bits in every run. Empty rows give 0.
"""

from gnnlab.ops._aggregate import aggregate, aggregate_edges, gather_source, gather_target, sddmm
from gnnlab.ops._attention import attention_aggregate
from gnnlab.ops._batch_norm import batch_norm
from gnnlab.ops._dispatch import BackendStatus, backend_report, use_backend
from gnnlab.ops._dropout import dropout
from gnnlab.ops._gated import gated_aggregate
from gnnlab.ops._gated_gcn import gated_gcn_aggregate
from gnnlab.ops._gine import gine_aggregate
from gnnlab.ops._linear import linear
from gnnlab.ops._ragged import complete_edge_index, expand_ptr, ragged_arange
from gnnlab.ops._segment import gather, scatter_reduce, segment_expand, segment_reduce
from gnnlab.ops._softmax import edge_softmax
from gnnlab.ops.csr import CSR, as_csr

__all__ = [
    "CSR",
    "BackendStatus",
    "aggregate",
    "aggregate_edges",
    "as_csr",
    "attention_aggregate",
    "backend_report",
    "batch_norm",
    "complete_edge_index",
    "dropout",
    "edge_softmax",
    "expand_ptr",
    "gated_aggregate",
    "gated_gcn_aggregate",
    "gather",
    "gather_source",
    "gather_target",
    "gine_aggregate",
    "linear",
    "ragged_arange",
    "scatter_reduce",
    "sddmm",
    "segment_expand",
    "segment_reduce",
    "use_backend",
]
