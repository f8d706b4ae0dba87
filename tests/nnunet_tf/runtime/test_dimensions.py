import pytest

from data_preprocessing.common.errors import UserError
from nnunet_tf.commands.parser import CommandParser
from nnunet_tf.runtime.dimensions import set_dim
from tests.data_preprocessing.samples import make_config


def chosen(*words):
    parser = CommandParser("")
    parser.add_task()
    options = parser.parse_args(words)
    set_dim(options)
    return options.dim


def test_a_task_with_a_2d_network_only_is_2d_unless_said():
    assert chosen("--task", "21") == chosen("--task", "20") == 2
    assert chosen("--task", "04") == chosen() == 3
    assert chosen("--task", "21", "--dim", "3") == 3
    assert chosen("--task", "04", "--dim", "2") == 2


def test_a_config_that_leaves_all_patches_to_the_data_set_is_3d():
    assert make_config(patch_size_3d=None, patch_size_2d=None).default_dim == 3
    assert make_config(patch_size_3d=None).default_dim == 2
    assert make_config(patch_size_2d=None).default_dim == 3


def test_a_task_without_config_is_told():
    with pytest.raises(UserError, match="--task 98"):
        chosen("--task", "98")
