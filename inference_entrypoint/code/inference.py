"""`code/inference.py` of a model folder for AWS's Hugging Face image, beside our packages."""

from inference_entrypoint.aws_image import input_fn, model_fn, output_fn, predict_fn

__all__ = ["input_fn", "model_fn", "output_fn", "predict_fn"]
