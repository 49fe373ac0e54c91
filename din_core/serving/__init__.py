"""What leaves the pipeline with a model: saved model, ONNX graphs, vocabularies, pictures."""
