"""gnnlab: graph neural networks where message passing is hard.

Layers, rewiring, encodings, fused aggregation and reproducible benchmarks on PyTorch Geometric.
The rooms are ``gnnlab.ops``, ``graph``, ``rewiring``, ``encodings``, ``lifting``, ``nn``, ``data``,
``metrics``, ``training``, ``benchmark``, ``analysis``, ``testing``; importing this package opens none of
them, touches no network and reads no file.
"""

__all__ = ["__version__"]

__version__ = "0.1.0"
