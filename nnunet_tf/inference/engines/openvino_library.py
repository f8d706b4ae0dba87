"""OpenVINO, imported without its converter of other libraries' models.

That takes longer to import than all the rest, and sends telemetry when it is imported.
"""

from nnunet_tf.runtime.imports import without_modules

with without_modules("openvino.tools.ovc"):
    import openvino as ov
from openvino import opset13 as ops

__all__ = ["ops", "ov"]
