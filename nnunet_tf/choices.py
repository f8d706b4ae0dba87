"""What options may be. Imports nothing heavy, so that `--help` can list them at once."""

from typing import Literal

from data_preprocessing.common.defaults import Augmentation as Augmentation
from data_preprocessing.common.defaults import Encoder as Encoder
from data_preprocessing.common.defaults import NetworkName as NetworkName

Norm = Literal["instance", "batch", "group", "none"]
Padding = Literal["valid", "same"]
Loss = Literal["dice_ce", "dice_focal", "adaptive"]
OptimizerName = Literal["sgd", "adam", "adamw", "lion", "rmsprop"]
Scheduler = Literal["none", "poly", "cosine", "cosine_annealing", "step", "exponential"]
FoldName = int | Literal["all"]
BenchmarkMode = Literal["train", "predict"]
DataSource = Literal["synthetic", "shards"]
LARGEST_OVERLAP = 0.95  # of windows
EngineName = Literal["auto", "openvino", "onnxruntime", "tensorflow"]
PrecisionName = Literal["auto", "float32", "bfloat16"]
ExportFormat = Literal["onnx", "openvino", "savedmodel"]
