"""A DALI pipeline as a `tf.data` dataset: by DALI's TensorFlow plugin where it is, else through NumPy."""

from collections.abc import Iterator, Mapping
from importlib.util import find_spec

import numpy as np
import tensorflow as tf
from nvidia.dali import Pipeline

Batch = tuple[tf.Tensor, tf.Tensor]
BATCHES_AHEAD = 2


def has_plugin() -> bool:
    """Returns whether DALI's TensorFlow plugin is installed, which is compiled on the machine."""
    return find_spec("nvidia.dali_tf_plugin") is not None


def plugin_batches(
    pipeline: Pipeline,
    inputs: Mapping[str, np.ndarray],
    shapes: tuple[tuple[int, ...], tuple[int, ...]],
    batch_size: int,
    threads: int,
    gpu: int | None,
) -> Iterator[Batch]:
    """Yields what `pipeline` makes of `inputs`, `(steps, batch_size, ...)` each, in the memory of the device.

    `shapes` are those of a batch of images, float32, and of labels, int32. `gpu` is CUDA's number of the GPU.
    """
    from nvidia.dali.plugin.tf.experimental import DALIDatasetWithInputs, Input

    def dataset_of(values: np.ndarray) -> Input:
        with tf.device("/cpu:0"):
            dataset = tf.data.Dataset.from_tensor_slices(values)
        if gpu is not None:  # inputs must be where the dataset is
            dataset = dataset.apply(tf.data.experimental.copy_to_device("/gpu:0"))
        return Input(dataset, batch=True)

    with tf.device("/cpu:0" if gpu is None else "/gpu:0"):
        dataset = DALIDatasetWithInputs(
            pipeline,
            input_datasets={name: dataset_of(values) for name, values in inputs.items()},
            output_shapes=shapes,
            output_dtypes=(tf.float32, tf.int32),
            batch_size=batch_size,  # DALI wants what the executor is made of twice: of the pipeline, and here
            num_threads=threads,
            device_id=gpu,
        )
        return iter(dataset)


def numpy_batches(
    pipeline: Pipeline, inputs: Mapping[str, np.ndarray], shapes: tuple[tuple[int, ...], tuple[int, ...]]
) -> Iterator[Batch]:
    """Yields the same batches as `plugin_batches`, each copied to and from the processor's memory on its way."""
    steps = len(next(iter(inputs.values())))

    def run() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        pipeline.build()
        for step in range(steps):
            for name, values in inputs.items():
                pipeline.feed_input(name, np.ascontiguousarray(values[step]))
            image, label = pipeline.run()
            yield np.array(image.as_cpu().as_array()), np.array(label.as_cpu().as_array())  # DALI uses its memory again

    image, label = shapes
    signature = (tf.TensorSpec(image, tf.float32), tf.TensorSpec(label, tf.int32))
    return iter(tf.data.Dataset.from_generator(run, output_signature=signature).prefetch(BATCHES_AHEAD))
