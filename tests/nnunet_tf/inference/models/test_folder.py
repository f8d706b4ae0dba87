import json

import pytest

from data_preprocessing.common.errors import UserError
from data_preprocessing.planning.plan import PLAN_NAME
from nnunet_tf.inference.models.folder import LAST_WEIGHTS_NAME, NETWORK_NAME, WEIGHTS_NAME, open_models
from nnunet_tf.inference.models.packaging import package
from nnunet_tf.inference.postprocessing.settings import POSTPROCESSING_NAME, Postprocessing, write_postprocessing
from nnunet_tf.networks.settings import NetworkSettings
from tests.nnunet_tf.inference.model_samples import make_plan_of_one_class, write_fold


@pytest.fixture
def home(tmp_path):
    """A folder of three folds and the model of all cases."""
    for fold in (0, 1, 10, "all"):
        write_fold(tmp_path / "task90_3d", fold)
    return tmp_path / "task90_3d"


def folders(models):
    return [model.folder.name for model in models]


def test_a_fold_folder_is_one_model(home):
    (model,) = open_models(home / "fold_1")
    assert model.plan == make_plan_of_one_class()
    assert model.network == NetworkSettings(negative_slope=0.2)
    assert model.weights == home / "fold_1" / WEIGHTS_NAME
    assert model.postprocessing is None


def test_a_folder_of_folds_is_all_that_are_numbered_or_those_that_are_named(home):
    assert folders(open_models(home)) == ["fold_0", "fold_1", "fold_10"]
    assert folders(open_models(home, [10, 0, 10])) == ["fold_10", "fold_0"]
    assert folders(open_models(home, ["all"])) == ["fold_all"]


def test_the_model_of_all_cases_is_taken_where_it_is_the_only_one(tmp_path):
    write_fold(tmp_path, "all")
    assert folders(open_models(tmp_path)) == ["fold_all"]


def test_the_last_weights_are_taken_on_request(home):
    assert open_models(home, [1], "last")[0].weights == home / "fold_1" / LAST_WEIGHTS_NAME
    (home / "fold_1" / LAST_WEIGHTS_NAME).unlink()
    with pytest.raises(UserError, match=f"fold_1/{LAST_WEIGHTS_NAME}: there is no trained model"):
        open_models(home, [1], "last")


def test_several_folds_share_the_postprocessing_beside_them_and_one_prefers_its_own(home):
    shared, own = Postprocessing(keep_largest=(1,)), Postprocessing(keep_largest_foreground=True)
    write_postprocessing(home, shared)
    write_postprocessing(home / "fold_0", own)
    assert [model.postprocessing for model in open_models(home)] == [shared] * 3
    assert open_models(home, [0])[0].postprocessing == open_models(home / "fold_0")[0].postprocessing == own
    assert open_models(home, [1])[0].postprocessing == open_models(home / "fold_1")[0].postprocessing == shared


def test_a_model_whose_folder_is_no_fold_has_only_its_own_postprocessing(home):
    (home / "fold_0").rename(home.parent / "mine")
    write_postprocessing(home.parent, Postprocessing(keep_largest=(1,)))
    assert open_models(home.parent / "mine")[0].postprocessing is None


@pytest.mark.parametrize("name", [PLAN_NAME, NETWORK_NAME, WEIGHTS_NAME])
def test_an_incomplete_fold_is_refused_by_the_missing_file(home, name):
    (home / "fold_1" / name).unlink()
    with pytest.raises(UserError, match=f"fold_1/{name}: .*train one"):
        open_models(home)


@pytest.mark.parametrize("name", [PLAN_NAME, NETWORK_NAME])
def test_a_damaged_description_is_to_be_copied_again(home, name):
    (home / "fold_1" / name).write_text("{")
    with pytest.raises(UserError, match=f"fold_1/{name}: .*copy the model again"):
        open_models(home / "fold_1")


@pytest.mark.parametrize(("name", "said"), [("scan.nii.gz", "--input is for"), ("notes.txt", "no model package")])
def test_a_file_that_is_no_package_is_refused(tmp_path, name, said):
    (tmp_path / name).write_bytes(b"anything")
    with pytest.raises(UserError, match=f"{name}: .*{said}"):
        open_models(tmp_path / name)


def test_a_damaged_postprocessing_is_refused(home):
    (home / POSTPROCESSING_NAME).write_text("{")
    with pytest.raises(UserError, match=f"task90_3d/{POSTPROCESSING_NAME}"):
        open_models(home)


@pytest.mark.parametrize(
    ("name", "changes", "field"),
    [
        (NETWORK_NAME, {"network": "vnet"}, "network"),
        (NETWORK_NAME, {"network": "unet"}, "network"),  # of a 3D plan
        (NETWORK_NAME, {"norm": "layer"}, "norm"),
        (NETWORK_NAME, {"negative_slope": float("nan")}, "negative_slope"),
        (NETWORK_NAME, {"negative_slope": -1}, "negative_slope"),
        (NETWORK_NAME, {"width": 0}, "width"),
        (NETWORK_NAME, {"mirror_axes": "xx"}, None),
        (NETWORK_NAME, {"mirror_axes": "q"}, "mirror_axes"),
        (NETWORK_NAME, {"depth": 3}, "depth"),
        (POSTPROCESSING_NAME, {"format": 2}, "format"),
        (POSTPROCESSING_NAME, {"keep_largest": [7]}, "keep_largest"),
        (POSTPROCESSING_NAME, {"keep_largest": [0]}, "keep_largest"),
        (POSTPROCESSING_NAME, {"keep_largest": [-1]}, "keep_largest"),
        (POSTPROCESSING_NAME, {"cases": -1}, "cases"),
        (POSTPROCESSING_NAME, {"dice_before": 1.5}, "dice_before"),
        (POSTPROCESSING_NAME, {"keep": [1]}, "keep"),
    ],
)
def test_what_a_model_folder_holds_is_checked_field_by_field(home, name, changes, field):
    folder = home / "fold_0"
    write_postprocessing(folder, Postprocessing(keep_largest=(1,)))
    open_models(folder)
    (folder / name).write_text(json.dumps(json.loads((folder / name).read_text()) | changes))
    if field is None:
        open_models(folder)
        return
    with pytest.raises(UserError, match=rf"^{folder / name}: {field}\b.*; ") as refusal:
        open_models(folder)
    assert len(str(refusal.value).splitlines()) == 1


def test_a_missing_model_or_fold_is_refused(home):
    with pytest.raises(UserError, match=r"nothing: there is no trained model; train one"):
        open_models(home / "nothing")
    with pytest.raises(UserError, match=r"fold_3: there is no trained model, only of fold 0, 1, 10, all"):
        open_models(home, [0, 3])


def test_a_fold_of_a_single_model_can_only_be_that_model(home):
    assert folders(open_models(home / "fold_1", [1])) == ["fold_1"]
    with pytest.raises(UserError, match=r"fold_1: holds one model and no folds; leave out --fold"):
        open_models(home / "fold_1", [0])


def test_a_package_of_folds_opens_like_their_folder(home):
    write_postprocessing(home, Postprocessing(keep_largest=(1,)))
    write_postprocessing(home / "fold_1", Postprocessing(keep_largest_foreground=True))
    packed = home.parent / "model.zip"
    package(home, packed)
    for folds in (None, [0], [10, 1], [1]):
        unpacked, original = open_models(packed, folds), open_models(home, folds)
        assert folders(unpacked) == folders(original)
        for one, other in zip(unpacked, original, strict=True):
            assert (one.plan, one.network, one.postprocessing) == (other.plan, other.network, other.postprocessing)
            assert one.weights.read_bytes() == other.weights.read_bytes()
    with pytest.raises(UserError, match=r"model.zip/fold_2: there is no trained model, only of fold 0, 1, 10"):
        open_models(packed, [2])


def test_a_package_has_no_last_weights(home):
    package(home, home.parent / "model.zip")
    with pytest.raises(UserError, match=r"model.zip: packages hold the weights of the best epoch alone"):
        open_models(home.parent / "model.zip", checkpoint="last")
