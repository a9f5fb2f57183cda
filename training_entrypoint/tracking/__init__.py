"""The experiment tracker: Weights & Biases, TensorBoard, or none. What a training is told to show.

Nothing here ends or delays a training: what cannot be shown is said once and left out.
"""

from training_entrypoint.tracking.tracker import Tracker, make_tracker

__all__ = ["Tracker", "make_tracker"]
