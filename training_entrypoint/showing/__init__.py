"""What a training shows when it is done: a chart, and a report that stands by itself."""

from training_entrypoint.showing.writing import write

__all__ = ["write"]
