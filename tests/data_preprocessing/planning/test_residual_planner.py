"""Patch and batch for the residual encoder, against numbers counted by the rule of nnU-Net's ResEnc planners."""

import math

import pytest

from data_preprocessing.planning.config_writer import render_config
from data_preprocessing.planning.network_planner import feature_values, fit_topology, plan_for_dataset, plan_network
from data_preprocessing.planning.planner import plan_config
from data_preprocessing.planning.planner_presets import preset_of
from tests.data_preprocessing.fingerprints import same_cases
from tests.data_preprocessing.samples import make_dataset

MANY = 1e15  # voxels of a data set so large that it never limits the batch
BRAIN = ((1, 1, 1), (140, 171, 137))  # BraTS 2021, four classes


@pytest.mark.parametrize(("side", "dim", "with_all_heads"), [(128, 3, 558_319_104), (512, 2, 129_793_792)])
def test_the_memory_measure_is_the_figure_that_nnunet_writes_down(side, dim, with_all_heads):
    # At the end of `residual_encoder_unet_planners.py`; its planner counts one head, these figures all of them.
    patch, topology = fit_topology((side,) * dim, (1,) * dim)
    stages = 6 if dim == 3 else 7  # the 2D network of the figure stops one stage before the rule does
    topology = topology.model_copy(
        update={name: getattr(topology, name)[:stages] for name in ("strides", "kernels", "features")}
    )
    lower_heads = 3 * sum((side // 2**level) ** dim for level in range(1, stages - 1))
    assert feature_values(patch, topology, 3, "residual") == with_all_heads - lower_heads


@pytest.mark.parametrize(
    ("memory", "patch", "batch"),
    [
        # 559,517,696 values; 160 x 192 x 160 and its next three smaller ones have more than M's 680 million.
        (8, (128, 128, 128), 2),  # 2 x 680e6 / 559,517,696 = 2.43
        # 160 x 192 x 160, the whole median case: 160 x 4,915,200 + 576 x 614,400 + 1408 x 76,800 + 3840 x 9600
        # + 4800 x 1200 + 4160 x 150 in the stages and 4 x 4,915,200 in the head are 1,311,369,600.
        (24, (160, 192, 160), 3),  # 2 x 2.1e9 / 1,311,369,600 = 3.20
        (40, (160, 192, 160), 5),  # 2 x 3.6e9 / 1,311,369,600 = 5.49
    ],
)
def test_brains_get_the_patch_and_batch_of_the_three_presets(memory, patch, batch):
    network = plan_network(*BRAIN, MANY, 4, memory, "residual")
    assert (network.patch_size, network.batch_size) == (patch, batch)


def test_the_hippocampus_fills_the_memory_as_the_whole_data_set_may_be_one_batch():
    # 23,609,600 values: 2 x 680e6 / that = 57.6; in 2D 1,001,280: 12 x 135e6 / that = 1617.9.
    fingerprint = same_cases(200, (36, 50, 35), (1.0, 1.0, 1.0))
    volumetric, planar = (
        plan_for_dataset(fingerprint, 3, dim, (0, 1, 2), (1.0, 1.0, 1.0), encoder="residual") for dim in (3, 2)
    )
    assert (volumetric.patch_size, volumetric.batch_size) == ((40, 56, 40), 58)
    assert (planar.patch_size, planar.batch_size) == ((56, 40), 1618)
    assert volumetric.dataset_batch == round(200 * 36 * 50 * 35 / (40 * 56 * 40))


def test_in_2d_the_patch_shrinks_until_twelve_fit():
    network = plan_network((1, 1), (2848, 4288), MANY, 2, 8, "residual")
    assert feature_values(network.patch_size, network.topology, 2, "residual") <= 135e6
    assert network.batch_size >= 12
    assert math.prod(plan_network((1, 1), (2848, 4288), MANY, 2).patch_size) > 4 * math.prod(network.patch_size)


@pytest.mark.parametrize(
    ("memory", "name", "values"),
    [
        (4, "ResEnc M", 340e6),
        (8, "ResEnc M", 680e6),
        (24, "ResEnc L", 2.1e9),
        (30, "ResEnc L", 2.625e9),
        (40, "ResEnc XL", 3.6e9),
        (80, "ResEnc XL", 7.2e9),
    ],
)
def test_the_preset_is_the_largest_that_the_memory_reaches_and_grows_with_it(memory, name, values):
    preset = preset_of("residual", memory)
    assert (preset.name, preset.budget(3, memory)) == (name, values)


def test_the_config_says_how_to_train_what_was_planned():
    planned = plan_config(make_dataset(), same_cases(200, BRAIN[1], BRAIN[0]), "91", 24, "residual")
    head = render_config(planned).split("task:")[0]
    assert "for the residual encoder by the preset ResEnc L: train with --encoder residual" in head
    assert "#     python train.py --task 91 --encoder residual\n" in head
    assert planned.training_options == ["--encoder", "residual"]
    assert "rule: 100% of the data set's voxels" in render_config(planned)
