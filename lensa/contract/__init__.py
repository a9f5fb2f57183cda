"""What crosses from client to container and back: pydantic models, no I/O."""

from lensa.contract.bases import BASES, DEFAULT_BASE, BaseModelRef, Method
from lensa.contract.generation import GeneratedImage, GenerationRequest, GenerationResponse
from lensa.contract.layout import Layout
from lensa.contract.manifest import MANIFEST, AvatarManifest, FileRecord
from lensa.contract.presets import preset
from lensa.contract.training import Kind, TrainingConfig

__all__ = [
    "BASES",
    "DEFAULT_BASE",
    "MANIFEST",
    "AvatarManifest",
    "BaseModelRef",
    "FileRecord",
    "GeneratedImage",
    "GenerationRequest",
    "GenerationResponse",
    "Kind",
    "Layout",
    "Method",
    "TrainingConfig",
    "preset",
]
