from pathlib import Path

import pytest

from data_preprocessing.common.errors import UserError
from nnunet_tf.inference.models.folder import ModelFiles
from nnunet_tf.inference.models.grouping import common_postprocessing, configurations, gather, learnt_flips
from nnunet_tf.inference.models.packaging import package
from nnunet_tf.inference.postprocessing.settings import Postprocessing
from nnunet_tf.networks.settings import NetworkSettings
from tests.nnunet_tf.inference.model_samples import write_fold
from tests.nnunet_tf.inference.samples import tiny_plan

KEEP = Postprocessing(keep_largest_foreground=True)


def model(name, plan=None, postprocessing=None, mirror_axes="zyx"):
    network = NetworkSettings(mirror_axes=mirror_axes)
    return ModelFiles(plan or tiny_plan(), network, Path(name) / "w.h5", postprocessing, Path(name))


def test_models_are_gathered_from_folders_packages_and_what_is_open_already(tmp_path):
    home = tmp_path / "task91_3d"
    folds = [write_fold(home, fold) for fold in (0, 1, 2)]
    package(folds[2], tmp_path / "model.zip")
    assert [each.folder for each in gather(home)] == folds
    assert [each.folder for each in gather(home, folds=[2, 0])] == [folds[2], folds[0]]
    opened = gather([str(folds[1]), tmp_path / "model.zip"])
    assert [each.weights.read_bytes() for each in opened] == [each.weights.read_bytes() for each in gather(home)[1:]]
    assert gather(opened) == opened
    assert gather(opened[0]) == opened[:1]


def test_no_model_at_all_is_refused():
    with pytest.raises(UserError, match="no model"):
        gather([])


def test_what_prepares_and_cuts_an_image_alike_is_one_configuration():
    wide = tiny_plan(topology=tiny_plan().topology.model_copy(update={"features": (8, 8)}))
    fine, large = tiny_plan(spacing=(0.5, 0.5, 0.5)), tiny_plan(patch_size=(16, 16, 16))
    files = [model(str(index), plan) for index, plan in enumerate([tiny_plan(), tiny_plan(2), fine, wide, large])]
    assert configurations(files) == [[files[0], files[3]], [files[1]], [files[2]], [files[4]]]


def test_postprocessing_holds_for_models_that_share_it():
    assert common_postprocessing([model("a", postprocessing=KEEP), model("b", postprocessing=KEEP)]) == KEEP
    assert common_postprocessing([model("a"), model("b")]) is None


def test_models_of_different_postprocessing_get_none_and_it_is_said():
    with pytest.warns(UserWarning, match="different postprocessing: none is applied"):
        assert common_postprocessing([model("a", postprocessing=KEEP), model("b")]) is None


def test_flips_are_along_what_every_model_was_mirrored():
    assert learnt_flips([model("a")]) == "zyx"
    assert learnt_flips([model("a"), model("b", mirror_axes="zy"), model("c", mirror_axes="zx")]) == "z"


@pytest.mark.parametrize("axes", [["none"], ["y", "zx"]], ids=str)
def test_flips_that_no_model_has_learnt_are_left_out_and_it_is_said(axes):
    with pytest.warns(UserWarning, match="0: trained without mirroring, .*--tta-axes$"):
        assert learnt_flips([model(str(index), mirror_axes=name) for index, name in enumerate(axes)]) == ""
