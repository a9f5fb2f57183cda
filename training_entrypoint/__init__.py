"""DreamBooth, as it runs in the training container: `python -m training_entrypoint`."""
