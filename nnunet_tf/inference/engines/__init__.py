"""What computes networks: TensorFlow, OpenVINO or ONNX Runtime."""
