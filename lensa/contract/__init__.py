"""What crosses from client to container and back: pydantic models, no I/O."""

from lensa.contract.bases import BASES, DEFAULT_BASE, BaseModelRef, Method, VaeRef
from lensa.contract.concepts import KINDS, Concept, Kind
from lensa.contract.generation import GeneratedImage, GenerationRequest, GenerationResponse
from lensa.contract.layout import Layout
from lensa.contract.manifest import MANIFEST, AvatarManifest, FileRecord
from lensa.contract.measures import METRICS_FILE, Choice, Interval, Measurement
from lensa.contract.presets import preset
from lensa.contract.training import TrainingConfig

__all__ = [
    "BASES",
    "DEFAULT_BASE",
    "KINDS",
    "MANIFEST",
    "METRICS_FILE",
    "AvatarManifest",
    "BaseModelRef",
    "Choice",
    "Concept",
    "FileRecord",
    "GeneratedImage",
    "GenerationRequest",
    "GenerationResponse",
    "Interval",
    "Kind",
    "Layout",
    "Measurement",
    "Method",
    "TrainingConfig",
    "VaeRef",
    "preset",
]
