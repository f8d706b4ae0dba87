"""What only training needs, told in a line where it is missing."""

from importlib.util import find_spec

from data_preprocessing.common.errors import UserError


def check_dali() -> None:
    """Raises UserError where DALI is not installed."""
    if find_spec("nvidia") is None or find_spec("nvidia.dali") is None:
        raise UserError(
            "training reads its patches with NVIDIA DALI, which is not installed; install it: "
            "pip install 'nnunet-tf[train]' (Linux)"
        )
