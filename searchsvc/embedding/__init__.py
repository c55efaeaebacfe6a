"""Text to vectors: find and verify a model, turn it into an int8 ONNX graph, run that for queries and documents."""
