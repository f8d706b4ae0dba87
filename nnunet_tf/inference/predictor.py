"""Trained models, ready to segment scans. Import this module freely: TensorFlow is imported when a model is loaded."""

import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, cast, overload

import nibabel as nib
import numpy as np
from nibabel.spatialimages import HeaderDataError, SpatialImage

from data_preprocessing.common.defaults import AXES, axis_numbers
from data_preprocessing.common.errors import UserError
from data_preprocessing.dataset.dataset import Case
from data_preprocessing.dataset.scans import find_images
from data_preprocessing.images.formats.registry import case_name
from data_preprocessing.images.nifti_file import NiftiImage
from data_preprocessing.images.volume_io import Volume, label_image
from data_preprocessing.planning.plan import Plan
from nnunet_tf.choices import LARGEST_OVERLAP, EngineName, FoldName, PrecisionName
from nnunet_tf.inference.cases.outputs import prediction_names
from nnunet_tf.inference.engines.choice import EngineChoice, choose_engine, load_networks
from nnunet_tf.inference.engines.weights import UnknownWeights
from nnunet_tf.inference.models.folder import DAMAGED, WEIGHTS_NAME, Checkpoint, ModelFiles, read_network_settings
from nnunet_tf.inference.models.grouping import ModelSource, common_postprocessing, configurations, gather, learnt_flips
from nnunet_tf.inference.models.weights_file import load_weights
from nnunet_tf.inference.postprocessing.selection import Selection, select
from nnunet_tf.inference.postprocessing.settings import Postprocessing, apply
from nnunet_tf.inference.volume.inputs import read_scan, scan_of, sentence
from nnunet_tf.inference.windows.sliding_window import BlendMode, WindowOptions
from nnunet_tf.networks.settings import NetworkSettings
from nnunet_tf.runtime.device import Device, start_tensorflow

if TYPE_CHECKING:
    import keras

    from nnunet_tf.inference.engines.engine import EngineNetwork
    from nnunet_tf.inference.volume.ensemble import Prediction, Wanted

    Networks = Sequence[keras.Model] | Sequence[EngineNetwork]

SomePredictor = TypeVar("SomePredictor", bound="Predictor")


class Predictor:
    """Segments scans with one model or several: folds average their logits, configurations their probabilities.

    ::

        from nnunet_tf import Predictor

        predictor = Predictor("results/task04_3d", tta=True)
        labels = predictor("scan.nii.gz")  # a nibabel image on the scan's grid
        labels.to_filename("labels.nii.gz")
        labels = predictor(voxels, affine=affine)  # NumPy in, NumPy out

    `model` is a fold's folder, a folder of folds (`folds` chooses among them), a package (model.zip), or a sequence of
    these. `tta` averages over all flips that training has shown every model (`--mirror-axes`), `tta_axes` over those
    along some axes: "zy" keeps left and right apart.
    `window_batch` is the number of windows at once, found by itself where None. `engine` "auto" is OpenVINO on a
    processor where it is installed, else TensorFlow; both compute in float32 unless told by `precision` or `amp`.
    Preprocessing is that of each model's own plan, postprocessing what validation decided on. `roi_subset` names the
    structures to keep, `min_volume` the smallest component (mm3) of a structure: pairs, "" standing for all.

    Raises UserError when a model is missing, incomplete or does not fit the others, or there is no such device or
    engine.
    """

    def __init__(
        self,
        model: ModelSource | Sequence[ModelSource],
        *,
        folds: Sequence[FoldName] | None = None,
        tta: bool = False,
        tta_axes: str | None = None,
        overlap: float = 0.5,
        blend_mode: BlendMode = "gaussian",
        window_batch: int | None = None,
        device: Device = "auto",
        amp: bool = False,
        checkpoint: Checkpoint = "best",
        postprocessing: bool = True,
        engine: EngineName = "auto",
        precision: PrecisionName = "auto",
        roi_subset: Sequence[str] | None = None,
        min_volume: Sequence[tuple[str, float]] = (),
    ) -> None:
        if not 0 <= overlap <= LARGEST_OVERLAP:
            raise UserError(f"overlap {overlap:g}: is to be a share from 0 to {LARGEST_OVERLAP:g}")
        files = gather(model, folds, checkpoint)
        selection = Selection.of_names(files[0].plan, roi_subset, min_volume)
        choice = choose_engine(engine, device, precision, amp)
        groups = configurations(files)
        try:
            members, notices = _load_all(groups, choice, device)
        except UnknownWeights:  # TensorFlow may know them, or says what is wrong
            choice = replace(choice, engine="tensorflow")
            members, notices = _load_all(groups, choice, device)
        self.choice = choice
        for notice in notices:
            warnings.warn(notice, stacklevel=2)
        chosen = common_postprocessing(files) if postprocessing else None
        flipped = tta_axes or (learnt_flips(files) if tta else "")
        self._assemble(members, flipped, overlap, blend_mode, window_batch, chosen, selection)

    @classmethod
    def of_network(
        cls: type[SomePredictor],
        network: "keras.Model",
        plan: Plan,
        *,
        tta: bool = False,
        overlap: float = 0.5,
        blend_mode: BlendMode = "gaussian",
        window_batch: int | None = None,
    ) -> SomePredictor:
        """Returns the predictor of a network in memory, whose weights may change between predictions."""
        predictor = cls.__new__(cls)
        predictor._assemble([(plan, [network])], AXES if tta else "", overlap, blend_mode, window_batch, None)
        return predictor

    def _assemble(
        self,
        members: "Sequence[tuple[Plan, Networks]]",
        tta_axes: str,
        overlap: float,
        blend_mode: BlendMode,
        window_batch: int | None,
        postprocessing: Postprocessing | None,
        selection: Selection = Selection(),
    ) -> None:
        from nnunet_tf.inference.volume.ensemble import Ensemble, Member

        self.plans = tuple(plan for plan, _ in members)
        self.postprocessing, self.selection = postprocessing, selection
        options = WindowOptions(overlap, blend_mode, window_batch)
        together = [Member(plan, tuple(networks)) for plan, networks in members]
        self.ensemble = Ensemble(together, options, _flipped_axes(tta_axes))

    @overload
    def __call__(self, image: np.ndarray, affine: np.ndarray) -> np.ndarray: ...

    @overload
    def __call__(self, image: str | Path | Sequence[str | Path] | SpatialImage) -> NiftiImage: ...

    def __call__(
        self, image: str | Path | Sequence[str | Path] | SpatialImage | np.ndarray, affine: np.ndarray | None = None
    ) -> NiftiImage | np.ndarray:
        """Returns the label numbers of a scan, on its own voxel grid, as the kind of thing that was given.

        A path, or one a channel, and a nibabel image give a nibabel image. An array is as nibabel has it, `(i, j, k)`
        or `(i, j, k, channel)`, with the `affine` (4, 4) to millimetres, RAS+; it gives an array `(i, j, k)`. What is
        odd about a scan is warned of (UserWarning). Raises UserError when it is damaged or has other channels, or when
        there is an `affine` with anything but an array.
        """
        volume = self._volume(image, affine)
        for finding in volume.findings:
            warnings.warn(sentence(finding), stacklevel=2)
        names = prediction_names(self.plans[0])
        labels = label_image(self.predict(volume).labels, volume.source, names)
        return np.asarray(labels.dataobj) if isinstance(image, np.ndarray) else labels

    def predict(
        self, volume: Volume, wanted: "Wanted | None" = None, progress: Callable[[int, int], None] | None = None
    ) -> "Prediction":
        """Returns what `Ensemble.predict` finds in a volume that was read by `read_scan`, postprocessed.

        Raises UserError where the device has too little memory for the windows.
        """
        from nnunet_tf.inference.volume.ensemble import Wanted

        try:
            prediction = self.ensemble.predict(volume, wanted or Wanted(), progress)
        except Exception as error:
            if not _fills_device(error):
                raise
            raise UserError(
                "the device has no memory left for the windows; use --sw-batch-size 1 (window_batch), or --device cpu"
            ) from None
        labels = prediction.labels
        if self.postprocessing is not None:
            labels = apply(labels, self.postprocessing)
        voxel_mm3 = abs(float(np.linalg.det(volume.source.affine[:3, :3])))
        return replace(prediction, labels=select(labels, self.selection, voxel_mm3))

    def logits(self, prepared: np.ndarray) -> np.ndarray:
        """Returns the logits `(D, H, W, outputs)`, float32, of an image `(D, H, W, C)` prepared as the first plan says.

        Those of the first configuration, averaged over its folds.
        """
        return self.ensemble.logits(prepared)

    def _volume(
        self, image: str | Path | Sequence[str | Path] | SpatialImage | np.ndarray, affine: np.ndarray | None
    ) -> Volume:
        if isinstance(image, np.ndarray):
            return scan_of(_as_nifti(image, affine), self.plans, "array")
        if affine is not None:
            raise UserError("affine: goes with a NumPy array; files and nibabel images have their own, so leave it out")
        if isinstance(image, SpatialImage):
            known = isinstance(image, nib.Nifti1Image | nib.Nifti2Image)
            nifti = cast(NiftiImage, image if known else nib.Nifti1Image.from_image(image))
            return scan_of(nifti, self.plans, image.get_filename() or "image")
        if not isinstance(image, str | Path):
            if not isinstance(image, Sequence) or not image or not all(isinstance(each, str | Path) for each in image):
                raise UserError("image: is to be a path, paths (one a channel), a nibabel image or a NumPy array")
            paths = tuple(map(Path, image))
            return read_scan(Case(case_name(paths[0]), paths), self.plans)
        cases = find_images(Path(image), len(self.plans[0].channels))
        if len(cases) != 1:
            raise UserError(f"{image}: holds {len(cases)} scans; give one at a time, or use predict.py")
        return read_scan(cases[0], self.plans)


def load_network(folder: Path, plan: Plan, weights: str = WEIGHTS_NAME) -> "keras.Model":
    """Returns the network of a model folder with the weights of one of its files.

    Raises UserError when they are damaged or do not fit the plan.
    """
    return _load(plan, read_network_settings(folder, plan), folder / weights)


def _load(plan: Plan, settings: NetworkSettings, weights: Path) -> "keras.Model":
    from nnunet_tf.networks.build import build_network

    plain = settings.model_copy(update={"deep_supervision": False})
    network = build_network(plan.topology, plan.patch_size, len(plan.channels), plan.outputs, plain)
    load_weights(network, weights, DAMAGED)
    return network


def _load_all(
    groups: Sequence[Sequence[ModelFiles]], choice: EngineChoice, device: Device
) -> "tuple[list[tuple[Plan, Networks]], tuple[str, ...]]":
    """Each configuration's plan and networks, and lines for the user."""
    plans = [group[0].plan for group in groups]
    if choice.engine != "tensorflow":
        return list(zip(plans, [load_networks(group, choice) for group in groups], strict=True)), choice.notices
    runtime = start_tensorflow(device, amp=choice.precision == "bfloat16")
    networks = [[_load(each.plan, each.network, each.weights) for each in group] for group in groups]
    return list(zip(plans, networks, strict=True)), runtime.notices


def _fills_device(error: Exception) -> bool:
    """Whether TensorFlow has found no more memory on a device."""
    tf = sys.modules.get("tensorflow")
    return tf is not None and isinstance(error, tf.errors.ResourceExhaustedError)


def _as_nifti(voxels: np.ndarray, affine: np.ndarray | None) -> NiftiImage:
    if voxels.dtype.kind not in "biuf":
        raise UserError(f"array: holds {voxels.dtype}; give numbers, integer or float")
    remedy = "give affine=, the (4, 4) matrix from its voxels to millimetres, or a nibabel image"
    if affine is None or np.shape(affine) != (4, 4):
        raise UserError(f"array: has no place in space; {remedy}")
    try:
        with np.errstate(all="ignore"):
            return nib.Nifti1Image(voxels.astype(np.float32), affine)
    except (HeaderDataError, ValueError, TypeError):
        raise UserError(f"array: its affine is singular; {remedy}") from None


def _flipped_axes(names: str) -> tuple[int, ...]:
    """Axes of the volume `(z, y, x)` from letters such as "zy"."""
    unknown = set(names) - set(AXES)
    if unknown:
        raise UserError(f"tta_axes {names}: {', '.join(sorted(unknown))} is no axis; name some of z, y and x")
    return axis_numbers(names)
