"""The engines that are installed here beside TensorFlow."""

import pytest

from nnunet_tf.inference.engines.choice import is_installed

ENGINES = [
    pytest.param(name, marks=pytest.mark.skipif(not is_installed(name), reason=f"{name} is not installed"))
    for name in ("openvino", "onnxruntime")
]
