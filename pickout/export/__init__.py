"""A model's image side computed by other programs: OpenVINO and ONNX Runtime, behind a gate."""
