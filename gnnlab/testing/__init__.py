"""The project's own checks, for anybody's layers, models and transforms."""

from gnnlab.testing.check_conv import check_conv
from gnnlab.testing.check_model import check_model
from gnnlab.testing.check_transform import check_transform

__all__ = ["check_conv", "check_model", "check_transform"]
