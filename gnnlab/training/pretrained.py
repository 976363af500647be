"""What a trained network makes of a graph, as an encoding."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, ClassVar

import torch
from torch_geometric.data import Data

from gnnlab.errors import ConfigError
from gnnlab.nn import GPSE
from gnnlab.transform import Transform

__all__ = ["PretrainedPE"]


@dataclass(frozen=True, repr=False)
class PretrainedPE(Transform):
    """The states of a frozen :class:`gnnlab.nn.GPSE`, trained before on this or another dataset.

    Cost: one evaluation of the network per graph and draw, O(layers (N + E) channels^2); linear in the graph, so large
    graphs need no other route. Results are kept under the digest of the weights, not the path of their file.

    Args:
        checkpoint: File written by training (``.ckpt``), or the ``state_dict`` of a GPSE.
        num_draws: Draws of the noise that are averaged; as the network was configured by default.
        name: Written to ``pe_<name>``.

    Shapes:
        writes ``pe_<name>`` [N, hidden_channels of the network] float32.

    Raises:
        ConfigError: (when applied) no such file, or weights that are not those of a GPSE.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     torch.save(GPSE(2, hidden_channels=8, num_layers=2).state_dict(), f"{folder}/gpse.pt")
        ...     encoded = PretrainedPE(f"{folder}/gpse.pt")(Data(edge_index=torch.tensor([[0], [1]]), num_nodes=2))
        >>> encoded.pe_gpse.shape
        torch.Size([2, 8])
    """

    checkpoint: str
    num_draws: int | None = None
    name: str = "gpse"

    version: ClassVar[int] = 1
    equivariance: ClassVar[str] = "up to ties"

    def spec(self) -> dict[str, Any]:
        spec = super().spec()
        spec["fields"]["checkpoint"] = _loaded(self.checkpoint)[1]
        return spec

    @torch.no_grad()
    def forward(self, data: Data) -> Data:
        network, _ = _loaded(self.checkpoint)
        network.num_draws = self.num_draws or network.settings["num_draws"]
        data[f"pe_{self.name}"] = network.to(data.edge_index.device).embed(data).float()
        return data


def _loaded(path: str) -> tuple[GPSE, str]:
    """The network and a digest of its weights; read again only if the file changed."""
    try:
        changed = Path(path).stat().st_mtime_ns
    except OSError as error:
        raise ConfigError(
            f"the checkpoint cannot be read: {error.strerror}",
            where=f"PretrainedPE, {path}",
            hint="train one first: gnnlab fit -c encodings/gpse/zinc-12k",
        ) from error
    return _read(path, changed)


@lru_cache(maxsize=8)
def _read(path: str, changed: int) -> tuple[GPSE, str]:
    where = f"PretrainedPE, {path}"
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, UnpicklingError) as error:
        raise ConfigError(f"not a checkpoint of weights: {error}", where=where) from error
    weights = content.get("state_dict", content)
    weights = {key.removeprefix("model."): value for key, value in weights.items()}
    settings = weights.get("_extra_state")
    if not isinstance(settings, dict):
        raise ConfigError("the checkpoint is not one of gnnlab.nn.GPSE", where=where)
    with torch.random.fork_rng(devices=[]):  # the initial weights are drawn, and replaced
        network = GPSE(**settings)
    # A checkpoint of a whole task holds more than the network.
    network.load_state_dict({key: value for key, value in weights.items() if key in network.state_dict()})
    return network.eval(), _digest(network)


def _digest(network: GPSE) -> str:
    """Of settings and weights: a file has its own name among its bytes."""
    digest = hashlib.sha256(repr(sorted(network.settings.items())).encode())
    for name, value in network.named_parameters():
        digest.update(name.encode() + value.detach().numpy().tobytes())
    for name, value in network.named_buffers():
        digest.update(name.encode() + value.numpy().tobytes())
    return digest.hexdigest()
