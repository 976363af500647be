"""A model with random encoders, averaged over several draws at evaluation."""

from __future__ import annotations

from torch import Tensor, nn
from torch_geometric.data import Data

from gnnlab.errors import ConfigError
from gnnlab.nn._reset import reset

__all__ = ["AverageOverDraws"]


class AverageOverDraws(nn.Module):
    r"""Mean prediction over draws of random features, :math:`\hat y = \frac{1}{K} \sum_i f(\mathrm{batch}; i)`.

    Random encoders (:class:`gnnlab.nn.RandomNodeInit`, :class:`gnnlab.nn.RFP`, any module with an integer attribute
    ``draw``) are one sample of a distribution in a forward pass. In evaluation the model runs ``num_draws`` times with
    ``draw`` = 0, 1, ... and its outputs (logits, before any threshold) are averaged, deterministically: the variance
    over draws falls by ``num_draws``. In training it runs once.

    Args:
        model: The model, called with a batch. In a configuration its ``out_channels`` has to be stated.
        num_draws: K, at least 1.

    Shapes:
        * **batch:** as the model
        * **output:** as the model

    Raises:
        ConfigError: ``num_draws`` below 1, or a model in which nothing is random.

    Example:
        >>> import torch
        >>> from gnnlab.nn import GNN, FeatureEncoder, LinearEncoder, RandomNodeInit
        >>> def encoder(channels):
        ...     return FeatureEncoder(channels, lambda c: LinearEncoder(c, 3), encodings=[RandomNodeInit])
        >>> model = AverageOverDraws(GNN(2, 64, 2, encoder=encoder, pool="max"), num_draws=4).eval()
        >>> model(Data(x=torch.randn(4, 3), edge_index=torch.tensor([[0, 1, 2], [1, 0, 3]]))).shape
        torch.Size([1, 2])
    """

    def __init__(self, model: nn.Module, num_draws: int = 8) -> None:
        super().__init__()
        self.model, self.num_draws = model, num_draws
        if num_draws < 1:
            raise ConfigError(f"num_draws must be at least 1, got {num_draws}", where="AverageOverDraws")
        if not self._random():
            raise ConfigError(
                "no module of the model has a draw to average over",
                where="AverageOverDraws",
                hint="encode with RandomNodeInit or RFP, or leave the wrapper out",
            )

    def reset_parameters(self) -> None:
        reset(self.model)

    @property
    def num_parameters(self) -> int:
        """Number of learned values."""
        return sum(parameter.numel() for parameter in self.parameters())

    def forward(self, batch: Data) -> Tensor:
        if self.training:
            return self.model(batch)
        try:
            return sum(self._run(batch, draw) for draw in range(self.num_draws)) / self.num_draws
        finally:
            self._set(0)

    def _run(self, batch: Data, draw: int) -> Tensor:
        self._set(draw)
        return self.model(batch)

    def _set(self, draw: int) -> None:
        for module in self._random():
            module.draw = draw

    def _random(self) -> list[nn.Module]:
        return [module for module in self.model.modules() if isinstance(getattr(module, "draw", None), int)]
