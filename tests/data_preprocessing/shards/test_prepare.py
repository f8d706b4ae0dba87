import nibabel as nib
import numpy as np
import pytest
from skimage.transform import resize

from data_preprocessing.common.task import CTIntensities
from data_preprocessing.dataset.dataset import Case
from data_preprocessing.dataset.training_case import read_case
from data_preprocessing.images.volume_io import Volume
from data_preprocessing.planning.plan import make_plan
from data_preprocessing.shards.prepare import cropped_view, place, prepare_image, prepare_label
from tests.data_preprocessing.samples import make_config, make_dataset, refused, save

MARGIN = (2, 3, 1)  # zero voxels on every side
INSIDE = (6, 8, 10)


def make_volume(spacing=(1.0, 1.0, 1.0), inside=INSIDE, margin=MARGIN, channels=1, seed=0) -> Volume:
    """Random voxels between 1 and 100 within a margin of zeros; all in `(z, y, x)`."""
    values = np.random.default_rng(seed).uniform(1, 100, (*inside, channels)).astype(np.float32)
    array = np.pad(values, [*((width, width) for width in margin), (0, 0)])
    affine = np.diag([*spacing[::-1], 1.0])
    return Volume(array, spacing, nib.Nifti1Image(np.zeros(array.shape[2::-1], np.uint8), affine))


def plan_of(dim=3, channels=("MRI",), **changes):
    return make_plan(make_config(**changes), make_dataset(channels), dim)


def random_classes(volume, plan, seed=0):
    """Class indices that are 0 in the margin, as the foreground of a real case is."""
    classes = np.random.default_rng(seed).integers(0, 3, volume.array.shape[:3], np.uint8)
    return classes * (volume.array[..., 0] != 0)


SPACINGS = {(0, 1, 2): (3.0, 1.0, 2.0), (1, 0, 2): (1.0, 3.0, 2.0), (2, 0, 1): (1.0, 2.0, 3.0)}  # by axis order


@pytest.mark.parametrize("order", SPACINGS)
def test_everything_in_a_placement_is_in_network_axis_order(order):
    volume = make_volume(spacing=(1.0, 1.5, 2.0))
    placement = place(volume, plan_of(spacing_3d=SPACINGS[order]))
    box = [(width, width + size) for width, size in zip(MARGIN, INSIDE, strict=True)]
    assert placement.shape == tuple(volume.array.shape[axis] for axis in order)
    assert placement.spacing == tuple((1.0, 1.5, 2.0)[axis] for axis in order)
    assert placement.box == tuple(box[axis] for axis in order)
    assert placement.cropped_shape == tuple(INSIDE[axis] for axis in order)
    assert placement.prepared_spacing == tuple(SPACINGS[order][axis] for axis in order)


def test_the_prepared_shape_is_the_cropped_one_on_the_spacing_of_the_plan():
    placement = place(make_volume(spacing=(1.0, 1.5, 2.0)), plan_of(spacing_3d=(1.6, 1.0, 0.9)))
    assert placement.prepared_shape == (4, 12, 22)  # 6 * 1 / 1.6 = 3.75, 8 * 1.5, 10 * 2 / 0.9 = 22.2


@pytest.mark.parametrize("dim", [2, 3])
@pytest.mark.parametrize("order", SPACINGS)
def test_restoring_a_prepared_label_gives_the_label_exactly(order, dim):
    # The volume has the plan's spacing, so nothing is resampled: crop, axis order and their inverses remain.
    spacing = SPACINGS[order]
    plan = plan_of(dim, spacing_3d=spacing, spacing_2d=tuple(spacing[axis] for axis in order[1:]))
    volume = make_volume(spacing=spacing)
    placement = place(volume, plan)
    classes = random_classes(volume, plan)
    restored = np.zeros_like(classes)
    cropped_view(restored, placement, plan)[:] = prepare_label(classes, placement, plan)
    np.testing.assert_array_equal(restored, classes)
    assert restored.dtype == classes.dtype


def test_what_is_written_into_the_cropped_view_stays_inside_the_box():
    volume, plan = make_volume(), plan_of(spacing_3d=(1.0, 1.0, 3.0))
    placement = place(volume, plan)
    restored = np.zeros(volume.array.shape[:3], np.uint8)
    cropped_view(restored, placement, plan)[:] = 1
    np.testing.assert_array_equal(restored, volume.array[..., 0] != 0)


@pytest.mark.parametrize("order", SPACINGS)
@pytest.mark.parametrize("dim", [2, 3])
def test_image_and_label_have_one_shape(order, dim):
    volume, plan = make_volume(spacing=(1.0, 1.5, 2.0)), plan_of(dim, spacing_3d=SPACINGS[order])
    placement = place(volume, plan)
    image = prepare_image(volume, placement, plan)
    label = prepare_label(random_classes(volume, plan), placement, plan)
    assert image.shape == (*label.shape, 1) == (*placement.prepared_shape, 1)
    assert (image.dtype, label.dtype) == (np.float32, np.uint8)


def test_image_and_label_show_the_same_voxels():
    volume, plan = make_volume(spacing=(1.0, 1.0, 3.0)), plan_of(spacing_3d=(1.0, 1.0, 3.0), normalization="none")
    placement = place(volume, plan)
    bright = (volume.array[..., 0] > 50).astype(np.uint8)
    image = prepare_image(volume, placement, plan)[..., 0]
    np.testing.assert_array_equal(prepare_label(bright, placement, plan), image > 50)


def test_the_image_is_cropped_before_it_is_normalised():
    volume, plan = make_volume(), plan_of()
    image = prepare_image(volume, place(volume, plan), plan)
    assert image.mean(dtype=np.float64) == pytest.approx(0, abs=1e-5)
    assert image.std(dtype=np.float64) == pytest.approx(1, abs=1e-5)


def test_the_image_is_normalised_before_it_is_resampled():
    volume, plan = make_volume(), plan_of(spacing_3d=(1.4, 1.3, 0.7))
    inside = volume.array[2:-2, 3:-3, 1:-1, 0].astype(np.float64)
    normalized = (inside - inside.mean()) / inside.std()
    expected = resize(normalized, (4, 6, 14), order=3, mode="edge", anti_aliasing=False, clip=False)
    image = prepare_image(volume, place(volume, plan), plan)[..., 0]
    np.testing.assert_allclose(image, np.clip(expected, normalized.min(), normalized.max()), atol=1e-4)


def test_negative_hounsfield_voxels_are_not_cropped_away():
    volume = make_volume()
    volume.array[0, 0, 0] = -1000
    ct = CTIntensities(low=-100, high=200, mean=50, std=25)
    placement = place(volume, plan_of(channels=("CT",), ct=ct))
    assert [start for start, _ in placement.box] == [0, 0, 0]


def test_an_all_zero_image_keeps_its_extent_and_stays_zero():
    volume, plan = make_volume(), plan_of()
    volume.array[:] = 0
    placement = place(volume, plan)
    assert placement.cropped_shape == volume.array.shape[:3]
    assert not prepare_image(volume, placement, plan).any()


@pytest.mark.parametrize("masked", [False, True])
def test_zero_outside_the_mask_stays_zero_only_with_a_nonzero_mask(masked):
    volume, plan = make_volume(margin=(0, 0, 0)), plan_of(nonzero_mask=masked)
    volume.array[:2, :2, :2] = 0  # a corner, so the box is whole and the corner is no hole
    image = prepare_image(volume, place(volume, plan), plan)[..., 0]
    assert image[:2, :2, :2].any() != masked
    rest = image[volume.array[..., 0] != 0] if masked else image
    assert rest.mean(dtype=np.float64) == pytest.approx(0, abs=1e-5)


def test_channels_are_normalised_each_in_its_own_way():
    ct = CTIntensities(low=10, high=90, mean=50, std=25)
    volume, plan = make_volume(channels=2), plan_of(channels=("CT", "PET"), ct=ct)
    image = prepare_image(volume, place(volume, plan), plan)
    inside = volume.array[2:-2, 3:-3, 1:-1].astype(np.float64)
    np.testing.assert_allclose(image[..., 0], (inside[..., 0].clip(10, 90) - 50) / 25, atol=1e-5)
    expected = (inside[..., 1] - inside[..., 1].mean()) / inside[..., 1].std()
    np.testing.assert_allclose(image[..., 1], expected, atol=1e-5)


@pytest.mark.parametrize("through", [0.7, 1.0, 2.5, 6.0])
def test_a_2d_plan_keeps_every_slice_and_resamples_it_in_plane(through):
    volume = make_volume(spacing=(through, 1.0, 1.0))
    plan = plan_of(2, spacing_3d=(3.0, 1.0, 1.0), spacing_2d=(0.8, 1.25), normalization="none")
    placement = place(volume, plan)
    assert placement.prepared_shape == (6, 10, 8)
    assert placement.prepared_spacing == (through, 0.8, 1.25)
    image = prepare_image(volume, placement, plan)[..., 0]
    inside = volume.array[2:-2, 3:-3, 1:-1, 0].astype(np.float64)
    expected = [resize(plane, (10, 8), order=3, mode="edge", anti_aliasing=False, clip=False) for plane in inside]
    np.testing.assert_allclose(image, np.clip(expected, inside.min(), inside.max()), atol=1e-3)


def test_a_2d_plan_slices_along_the_coarsest_axis_of_the_task():
    volume = make_volume(spacing=(1.0, 1.0, 4.0))
    plan = plan_of(2, spacing_3d=(1.0, 1.0, 3.0), spacing_2d=(2.0, 1.0))
    assert place(volume, plan).prepared_shape == (10, 3, 8)


@pytest.mark.parametrize(("files", "axes"), [(1, 0), (3, 0), (1, 3)])
def test_another_channel_count_than_the_plan_is_refused(tmp_path, files, axes):
    plan = plan_of(channels=("T2", "ADC"))
    shape = (4, 4, 4, axes) if axes else (4, 4, 4)
    paths = tuple(save(tmp_path / f"case_000{n}.nii.gz", np.ones(shape, np.int16)) for n in range(files))
    count = max(files, axes)
    with refused(paths[0], rf"{count} channels? where Task91_Tiny has 2 \(T2, ADC\)"):
        read_case(Case("case", paths), plan.channels, plan.dataset)


def test_a_case_of_the_right_channels_is_read(tmp_path):
    paths = tuple(save(tmp_path / f"case_000{n}.nii.gz", np.full((4, 5, 6), n + 1, np.int16)) for n in range(2))
    volume = read_case(Case("case", paths), ("T2", "ADC"), "phantom")
    assert volume.array.shape == (6, 5, 4, 2)
