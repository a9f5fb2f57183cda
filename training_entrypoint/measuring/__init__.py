"""What validation images are worth: how alike they are, and what the model has lost."""
