"""What a plan is spelled in: PyTorch source, ONNX."""
