"""One machine: the entrypoints as child processes, on the containers' own folder layout."""

from lensa.backends.local.backend import LocalBackend

__all__ = ["LocalBackend"]
