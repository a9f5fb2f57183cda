"""The rendering styles, as image filters on float RGB arrays of shape (H, W, 3) in [0, 1].

Strengths are in pixels of a 128 px canvas and scale with the side, so that a 256 px demo photo
looks like its 64 px sibling.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

if TYPE_CHECKING:
    from mini.attributes import Picture

LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)


def apply_style(rgb: np.ndarray, picture: Picture) -> np.ndarray:
    """`rgb` (H, W, 3) in the picture's light and style."""
    rng = np.random.default_rng(picture.seed)
    unit = rgb.shape[0] / 128
    if picture.style == "photo":
        return _photo(rgb, picture.light, unit, rng)
    return _FILTERS[picture.style](rgb, unit, rng)


def _blur(array: np.ndarray, sigma: float) -> np.ndarray:
    return ndimage.gaussian_filter(array, (sigma, sigma, 0)[: array.ndim])


def _grey(rgb: np.ndarray) -> np.ndarray:
    return rgb @ LUMA


def _saturate(rgb: np.ndarray, factor: float) -> np.ndarray:
    grey = _grey(rgb)[..., None]
    return (grey + (rgb - grey) * factor).clip(0, 1)


def _edges(rgb: np.ndarray, unit: float) -> np.ndarray:
    """Gradient magnitude (H, W), about 1 on a strong contour."""
    soft = _blur(rgb, 0.6 * unit)
    gradient = np.stack([ndimage.sobel(soft, axis=0), ndimage.sobel(soft, axis=1)])
    return (np.sqrt((gradient**2).sum(0)).max(-1) * 0.42 * unit).clip(0, 1)


def _noise(shape: tuple[int, int], sigma: float, rng: np.random.Generator) -> np.ndarray:
    """Smooth noise (H, W), zero mean, unit deviation."""
    field = ndimage.gaussian_filter(rng.standard_normal(shape).astype(np.float32), sigma)
    return (field - field.mean()) / (field.std() + 1e-6)


def _grid(side: int) -> tuple[np.ndarray, np.ndarray]:
    """Pixel coordinates (y, x), each (H, W) in [-1, 1]."""
    y, x = np.mgrid[0:side, 0:side].astype(np.float32) / (side - 1) * 2 - 1
    return y, x


def _photo(rgb: np.ndarray, light: str, unit: float, rng: np.random.Generator) -> np.ndarray:
    y, x = _grid(rgb.shape[0])
    angle = rng.uniform(-np.pi, 0)  # from above
    slope = np.cos(angle) * x + np.sin(angle) * y
    strength = {"soft": 0.06, "dramatic": 0.34, "warm": 0.12, "cool": 0.12}[light]
    vignette = {"dramatic": 0.22}.get(light, 0.08)
    out = rgb * (1 + strength * slope - vignette * (x**2 + y**2) / 2)[..., None]
    tint = {"warm": (1.1, 1.0, 0.84), "cool": (0.88, 0.99, 1.1)}.get(light, (1, 1, 1))
    out = _blur(out * np.array(tint, dtype=np.float32), 0.5 * unit)
    return out + rng.normal(0, 0.008, rgb.shape[:2]).astype(np.float32)[..., None]


def _pencil(rgb: np.ndarray, unit: float, rng: np.random.Generator) -> np.ndarray:
    grey = _grey(rgb)
    lines = 1 - _edges(rgb, unit) * 0.95
    y, x = _grid(rgb.shape[0])
    hatch = 0.5 + 0.5 * np.sin((x + y) * 64 / 1.5)
    shade = 1 - (1 - grey) * (0.32 + 0.3 * hatch)  # darker tones get denser hatching
    out = lines * shade * (0.97 + 0.015 * _noise(grey.shape, 0.8 * unit, rng))
    return np.repeat(out[..., None], 3, axis=2)


def _watercolour(rgb: np.ndarray, unit: float, rng: np.random.Generator) -> np.ndarray:
    side = rgb.shape[0]
    y, x = np.mgrid[0:side, 0:side].astype(np.float32)
    dy, dx = (_noise((side, side), 4 * unit, rng) * 1.0 * unit for _ in range(2))
    wet = np.stack(
        [ndimage.map_coordinates(rgb[..., c], [y + dy, x + dx], order=1, mode="nearest")
         for c in range(3)], axis=-1)  # fmt: skip
    wet = ndimage.median_filter(wet, size=(int(3 * unit), int(3 * unit), 1))
    wash = 0.24 + 0.72 * wet + 0.03 * _noise((side, side), 5 * unit, rng)[..., None]
    wash = _saturate(wash.clip(0, 1), 1.25) - 0.16 * _edges(wet, unit)[..., None]
    gy, gx = _grid(side)
    rim = np.maximum(abs(gy), abs(gx)) + 0.04 * _noise((side, side), 4 * unit, rng)
    paper = ((rim - 0.88) / 0.1).clip(0, 1)[..., None]  # the ragged edge of the wash
    return wash * (1 - paper) + 0.98 * paper


def _pop_art(rgb: np.ndarray, unit: float, rng: np.random.Generator) -> np.ndarray:
    flat = _saturate(_blur(rgb, 0.5 * unit), 1.7)
    grey = _grey(flat)[..., None]
    steps = (np.floor(grey * 5) + 0.5) / 5  # flat tones, the hue kept: no green faces
    flat = (flat * steps / (grey + 1e-3)).clip(0, 1)
    side = rgb.shape[0]
    y, x = np.mgrid[0:side, 0:side].astype(np.float32) / unit
    dots = (np.sin(x * np.pi / 4) * np.sin(y * np.pi / 4))[..., None] > 0.35
    flat = np.where(dots, flat * 0.74 + 0.2 * (grey < 0.35), flat)
    ink = (_edges(rgb, unit) > 0.36)[..., None]
    return np.where(ink, 0.02, flat)


def _sepia(rgb: np.ndarray, unit: float, rng: np.random.Generator) -> np.ndarray:
    grey = _grey(rgb)
    y, x = _grid(rgb.shape[0])
    tone = (1.16 * grey - 0.06) * (1 - 0.22 * (x**2 + y**2) / 2)
    tone = tone + 0.01 * rng.standard_normal(grey.shape).astype(np.float32)
    high, low = np.array([1.0, 0.88, 0.66]), np.array([0.2, 0.1, 0.03])
    return (low + (high - low) * tone[..., None]).astype(np.float32)


def _neon(rgb: np.ndarray, unit: float, rng: np.random.Generator) -> np.ndarray:
    vivid = _saturate(rgb, 1.8)
    vivid = vivid / (vivid.max(-1, keepdims=True) + 0.15)
    # A contour glows in the colour of the brighter side, so dark hair still draws a line.
    colour = ndimage.maximum_filter(vivid, size=(int(3 * unit), int(3 * unit), 1))
    line = (_edges(rgb, unit) * 1.8).clip(0, 1)[..., None]
    glow = _blur(line * colour, 2.5 * unit) * 0.9
    night = np.array([0.03, 0.01, 0.09], dtype=np.float32)
    return night + 0.26 * _saturate(rgb, 1.5) * rgb + line * colour * 0.95 + glow


def _oil(rgb: np.ndarray, unit: float, rng: np.random.Generator) -> np.ndarray:
    side = rgb.shape[0]
    y, x = np.mgrid[0:side, 0:side].astype(np.float32)
    # Brush strokes: pixels are dragged along one slowly turning direction.
    angle = _noise((side, side), 10 * unit, rng) * 1.2
    drag = _noise((side, side), 1.2 * unit, rng) * 1.5 * unit
    where = [y + np.sin(angle) * drag, x + np.cos(angle) * drag]
    daub = np.stack(
        [ndimage.map_coordinates(rgb[..., c], where, order=1, mode="nearest") for c in range(3)],
        axis=-1,
    )
    daub = ndimage.median_filter(daub, size=(int(3 * unit), int(3 * unit), 1))
    bristles = np.sin((np.cos(angle) * y - np.sin(angle) * x) / unit * 0.9 + drag / unit)
    y, x = _grid(side)
    dark = 0.86 - 0.16 * (x**2 + y**2) / 2
    return _saturate(daub, 1.3) * (dark * (1 + 0.09 * bristles))[..., None]


def _pixel_art(rgb: np.ndarray, unit: float, rng: np.random.Generator) -> np.ndarray:
    side, cells = rgb.shape[0], 32
    step = side // cells
    coarse = rgb.reshape(cells, step, cells, step, 3).mean((1, 3))
    coarse = np.round(_saturate(coarse, 1.1) * 8) / 8
    return coarse.repeat(step, 0).repeat(step, 1)


_FILTERS = {
    "pencil sketch": _pencil,
    "watercolour": _watercolour,
    "pop art": _pop_art,
    "sepia": _sepia,
    "neon": _neon,
    "oil painting": _oil,
    "pixel art": _pixel_art,
}
