"""Networks out of graphs that others have written: ONNX files, exported PyTorch programs."""
