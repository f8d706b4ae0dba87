"""A report for tests that only read one."""

import numpy as np

from nnunet_tf.benchmark.report import Machine, Part, Report, Result, Roofline, latency
from nnunet_tf.benchmark.settings import BenchmarkSettings
from nnunet_tf.networks.settings import NetworkSettings


def make_settings(**changed):
    """Returns the settings of a small training measurement, some of them changed."""
    settings = BenchmarkSettings(
        mode="train",
        dim=3,
        task="01",
        device="cpu",
        workers=1,
        batch_size=2,
        precision="float32",
        xla=False,
        data="synthetic",
        augmentation=None,
        patch_size=(8, 8, 8),
        channels=1,
        outputs=2,
        features=(4, 8),
        network=NetworkSettings(deep_supervision=True),
        warmup_steps=1,
        steps=2,
    )
    return settings.model_copy(update=changed)


def make_report(seconds=0.5, **changed):
    """Returns a report of steps that took so long; the rest of the settings may be changed."""
    settings = make_settings(**changed)
    return Report(
        measured_at="2026-01-02T03:04:05+00:00",
        settings=settings,
        machine=Machine(processor="A processor", cores=2, memory_bytes=2**34, gpu=None, driver=None),
        versions={"python": "3.11.7"},
        result=Result(
            images_per_second=settings.batch_size / seconds,
            latency_seconds=latency(np.full(4, seconds)),
            loader_wait=0.25,
            peak_memory_bytes=3 * 2**30,
            peak_gpu_memory_bytes=None,
        ),
        roofline=Roofline(
            parts=(Part(kind="convolution", flops=10**9, bytes=10**6, bound_seconds=0.1),),
            matrix_rate=2e10,
            convolution_rate=1e10,
            bandwidth=1e9,
            share=0.1 / seconds,
        ),
    )
