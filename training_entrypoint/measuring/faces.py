"""Who is in the picture: dlib's face descriptor (King 2017), of the extra `faces`.

The one embedder that looks at nothing but the person. Of drawn faces it knows little: for photos.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import normalize

_SIDE = 640  # pixels that an image is brought to: the detector's window is 80
_LEAST_SCORE = 0.0
_LANDMARKS = "shape_predictor_5_face_landmarks.dat"
_WHO = "dlib_face_recognition_resnet_model_v1.dat"


class Faces:
    """The descriptor of an image's largest face."""

    name = "face dlib"

    def __init__(self) -> None:
        """Raises ImportError, saying what to install, without dlib and its models."""
        spec = find_spec("face_recognition_models")
        if find_spec("dlib") is None or spec is None or not spec.submodule_search_locations:
            raise ImportError("embedder 'face' needs dlib: pip install 'lensa[faces]'")
        import dlib

        models = Path(spec.submodule_search_locations[0]) / "models"
        self._dlib: Any = dlib
        self._detector = dlib.get_frontal_face_detector()
        self._landmarks = dlib.shape_predictor(str(models / _LANDMARKS))
        self._who = dlib.face_recognition_model_v1(str(models / _WHO))

    def images(self, images: Sequence[Image.Image]) -> Tensor:
        """Return the faces' unit vectors, (N, 128); NaN throughout for an image without a face."""
        return normalize(torch.stack([self._vector(image) for image in images]))

    def _vector(self, image: Image.Image) -> Tensor:
        scale = _SIDE / max(image.size)
        size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
        pixels = np.asarray(image.convert("RGB").resize(size))
        boxes, _, _ = self._detector.run(pixels, 0, _LEAST_SCORE)
        if not boxes:
            return torch.full((128,), torch.nan)
        box = max(boxes, key=lambda box: box.height())
        found = self._who.compute_face_descriptor(pixels, self._landmarks(pixels, box))
        return torch.tensor(list(found), dtype=torch.float32)
