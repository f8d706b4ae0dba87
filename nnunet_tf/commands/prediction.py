"""Run a prediction locally or on a cluster, and keep its record."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from data_preprocessing.common.script import USER_ERROR_STATUS, program
from data_preprocessing.common.stopping import INTERRUPTED_STATUS, TERMINATED_STATUS
from nnunet_tf.choices import FoldName
from nnunet_tf.commands.options.answers import summarize_statistics
from nnunet_tf.commands.start import FAILURE_STATUS

if TYPE_CHECKING:
    from data_preprocessing.dataset.dataset import Case
    from data_preprocessing.planning.plan import Plan
    from nnunet_tf.answers.run_record import DeviceRecord, Recorder
    from nnunet_tf.inference.cases.outputs import Outputs
    from nnunet_tf.inference.models.folder import ModelFiles


def predict_recorded(
    options: argparse.Namespace,
    models: "list[ModelFiles]",
    cases: "list[Case]",
    outputs: "Outputs",
    warned: list[str],
) -> None:
    """Predicts, and keeps the record of the run; raises UserError where cases failed."""
    from data_preprocessing.common.errors import UserError
    from nnunet_tf.answers.run_record import Recorder
    from nnunet_tf.inference.cases.outputs import prediction_names
    from nnunet_tf.runtime.stopping import Terminated

    recorder = Recorder(outputs, models, prediction_names(models[0].plan), vars(options), options.part, options.go_on)
    predict = _predict if options.backend == "processes" else _predict_on_cluster
    try:
        failures = predict(options, models, cases, outputs, recorder)
    except KeyboardInterrupt as stopped:
        status = TERMINATED_STATUS if isinstance(stopped, Terminated) else INTERRUPTED_STATUS
        recorder.close("stopped", status, warned)
        raise
    except BaseException as error:
        recorder.close("failed", USER_ERROR_STATUS if isinstance(error, UserError) else FAILURE_STATUS, warned)
        raise
    recorder.close("failed" if failures else "complete", USER_ERROR_STATUS if failures else 0, warned)
    if failures and options.statistics:
        summarize_statistics(outputs.folder, [case.name for case in cases])
    if len(failures) == 1:
        raise UserError(failures[0])
    if failures:
        raise UserError(f"{len(failures)} of {len(cases)} scans failed: {' | '.join(failures)}")


def _predict(
    options: argparse.Namespace,
    models: "list[ModelFiles]",
    cases: "list[Case]",
    outputs: "Outputs",
    recorder: "Recorder",
) -> list[str]:
    """Returns why cases failed, a line each."""
    from nnunet_tf.answers.run_record import device_record
    from nnunet_tf.inference.cases.local import predict_cases
    from nnunet_tf.inference.predictor import Predictor

    predictor = Predictor(
        models,
        tta=options.tta,
        tta_axes=options.tta_axes,
        overlap=options.overlap,
        blend_mode=options.blend_mode,
        window_batch=options.sw_batch_size,
        device=options.device,
        amp=options.amp,
        postprocessing=not options.no_postprocessing,
        roi_subset=options.roi_subset,
        min_volume=options.min_volume,
        engine=options.engine,
        precision=options.precision,
    )
    _begin(options, models, outputs, recorder, device_record(predictor.choice))
    try:
        return predict_cases(predictor, cases, outputs, recorder)
    except KeyboardInterrupt as stopped:
        raise _stopped(stopped, outputs) from None


def _predict_on_cluster(
    options: argparse.Namespace,
    models: "list[ModelFiles]",
    cases: "list[Case]",
    outputs: "Outputs",
    recorder: "Recorder",
) -> list[str]:
    """Returns why cases failed, a line each; exits with status 1 where that is no fault of the files'."""
    from dataclasses import replace
    from uuid import uuid4

    from nnunet_tf.answers.run_record import CLUSTER
    from nnunet_tf.inference.cases.cluster import PredictorOptions, predict_on_cluster
    from nnunet_tf.inference.models.grouping import common_postprocessing, configurations, learnt_flips
    from nnunet_tf.runtime.backend import chosen_backend

    paths, folds = sources(options)
    chosen = PredictorOptions(
        run=uuid4().hex, model=tuple(paths), folds=tuple(folds) if folds else None, checkpoint=options.checkpoint,
        tta=options.tta, tta_axes=options.tta_axes, overlap=options.overlap, blend_mode=options.blend_mode,
        window_batch=options.sw_batch_size, device=options.device, amp=options.amp,
        postprocessing=not options.no_postprocessing,
        roi_subset=tuple(options.roi_subset) if options.roi_subset else None, min_volume=tuple(options.min_volume),
        engine=options.engine, precision=options.precision,
    )  # fmt: skip
    if chosen.postprocessing:
        common_postprocessing(models)  # warns here, not in a worker's log
    if chosen.tta and not chosen.tta_axes:
        learnt_flips(models)  # likewise
    there = [replace(case, images=tuple(path.absolute() for path in case.images)) for case in cases]
    plans = [group[0].plan for group in configurations(models)]
    _begin(options, models, outputs, recorder, CLUSTER)
    try:
        failed = predict_on_cluster(chosen_backend(options), chosen, plans, there, outputs, recorder)
    except KeyboardInterrupt as stopped:
        raise _stopped(stopped, outputs) from None
    if not all(outcome.user_error for outcome in failed):
        for outcome in failed:
            print(f"{outcome.name}: {outcome.failure}", file=sys.stderr)
        print(f"{program()}: {len(failed)} of {len(cases)} scans failed, see above", file=sys.stderr)
        sys.exit(1)
    return [str(outcome.failure) for outcome in failed]


def _begin(
    options: argparse.Namespace,
    models: "list[ModelFiles]",
    outputs: "Outputs",
    recorder: "Recorder",
    device: "DeviceRecord",
) -> None:
    """Writes what explains the folder, once the models are known to be usable."""
    from nnunet_tf.answers.description import describe, write_description
    from nnunet_tf.inference.postprocessing.selection import Selection

    chosen = Selection.of_names(models[0].plan, options.roi_subset, options.min_volume).numbers
    write_description(outputs.folder, describe(models[0].plan, chosen))
    recorder.start(device)


def _stopped(stopped: KeyboardInterrupt, outputs: "Outputs") -> KeyboardInterrupt:
    return type(stopped)(f"{program()}: stopped; what is finished is in {outputs.folder}, go on with --continue")


def sources(options: argparse.Namespace) -> tuple[list[Path], list[FoldName] | None]:
    """Where the models asked for lie, and which folds of them."""
    from data_preprocessing.common.task import load_task
    from data_preprocessing.planning.plan import folder_name
    from nnunet_tf.inference.models.folder import model_folder

    if options.model:
        return options.model, options.fold
    folds = options.fold or [0]
    name = folder_name(load_task(options.task).task, options.dim)
    if len(folds) == 1:
        return [model_folder(options.results, name, folds[0])], None
    return [options.results / name], folds


def find_scans(options: argparse.Namespace, plan: "Plan") -> "list[Case]":
    """Returns the scans to segment: those of `--input`, else the data set's imagesTs, else what it lists under `test`.

    Raises UserError where there are none, or channels do not fit.
    """
    from data_preprocessing.dataset.listed_scans import list_test_cases
    from data_preprocessing.dataset.scans import find_images

    if options.channels:
        return _scans_by_patterns(options, plan)
    folder = options.data / plan.dataset
    unlabeled = folder / "imagesTs"
    if not options.input and not unlabeled.exists() and (folder / "dataset.json").is_file():
        cases = list_test_cases(folder / "dataset.json")
        if cases:
            return cases
    return find_images(options.input or [unlabeled], len(plan.channels), "name the images with --input")


def _scans_by_patterns(options: argparse.Namespace, plan: "Plan") -> "list[Case]":
    from data_preprocessing.common.errors import UserError
    from data_preprocessing.dataset.layouts.patterns import find_by_patterns

    names = [name for name, _ in options.channels]
    if sorted(names) != sorted(plan.channels):
        raise UserError(
            f"--channel {', '.join(names)}: the model has the channels {', '.join(plan.channels)}; give one --channel "
            "for each"
        )
    if not options.input or len(options.input) != 1:
        raise UserError("--channel: patterns of files in one folder; name it with --input")
    ordered = sorted(options.channels, key=lambda channel: plan.channels.index(channel[0]))
    return [case.as_case() for case in find_by_patterns(options.input[0], ordered).cases]
