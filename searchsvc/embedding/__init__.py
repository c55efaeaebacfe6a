"""How does text become vectors? Find and verify a model, export it as an int8 ONNX graph, and run the graph."""
