"""Small faces are found, drawn anew at full size and blended in; everything else stays."""

from __future__ import annotations

import subprocess
import sys
from functools import cache

import numpy as np
import pytest
import torch
from making import draw, micro
from PIL import Image, ImageChops, ImageOps
from skimage import data

from inference_entrypoint.drawing import to_images
from inference_entrypoint.face_detail import (
    MAX_FACES,
    STRENGTH,
    Box,
    detail,
    ellipse,
    find_faces,
)
from inference_entrypoint.families import family_of
from inference_entrypoint.noise import generator_of, starting_noise
from inference_entrypoint.samplers import make_scheduler
from inference_entrypoint.starting_image import encode_image

SIZE = (512, 512)


@cache
def portrait() -> Image.Image:
    """An astronaut; her face is at (177, 66, 274, 163) of 512."""
    return Image.fromarray(data.astronaut())


@cache
def scene(*places: tuple[int, int], side: int = 192) -> Image.Image:
    """A picture of 640 x 512 px with a small astronaut at each place."""
    noise = np.random.default_rng(0).integers(90, 110, (512, 640, 3), dtype=np.uint8)
    image = Image.fromarray(noise)
    for place in places:
        image.paste(portrait().resize((side, side), Image.Resampling.LANCZOS), place)
    return image


def inverted(crops: list[Image.Image], positions: list[int]) -> list[Image.Image]:
    return [ImageOps.invert(crop) for crop in crops]


def unchanged(crops: list[Image.Image], positions: list[int]) -> list[Image.Image]:
    return crops


def changed(one: Image.Image, other: Image.Image) -> np.ndarray:
    """Where two images differ, [height, width]."""
    return np.asarray(ImageChops.difference(one, other)).any(axis=2)


def covered(face: Box, around: float, size: tuple[int, int]) -> np.ndarray:
    """Where the ellipse of `around` times a face's box lies, [height, width]."""
    rows, columns = np.ogrid[: size[1], : size[0]]
    across = (columns + 0.5 - (face[0] + face[2]) / 2) / (around * (face[2] - face[0]) / 2)
    down = (rows + 0.5 - (face[1] + face[3]) / 2) / (around * (face[3] - face[1]) / 2)
    return across**2 + down**2 < 1


def test_faces_are_found_where_they_are() -> None:
    (face,) = find_faces(scene((200, 100)))
    left, top = 200 + 177 * 192 / 512, 100 + 66 * 192 / 512
    assert abs(face[0] - left) < 8 and abs(face[1] - top) < 8
    assert find_faces(scene()) == []
    assert find_faces(Image.new("RGB", (16, 16))) == []


def test_the_largest_face_comes_first() -> None:
    image = scene((10, 100)).copy()
    image.paste(portrait().resize((300, 300)), (300, 100))
    large, small = find_faces(image)
    assert large[0] > 300 > small[0]
    assert large[2] - large[0] > small[2] - small[0]


def test_a_small_face_is_drawn_anew_and_nothing_else_changes() -> None:
    image = scene((200, 100))
    (face,) = find_faces(image)
    (drawn,), counts = detail([image], inverted, SIZE)
    assert counts == [1]
    differs = changed(image, drawn)
    assert differs[covered(face, 0.9, image.size)].mean() > 0.99
    assert not differs[~covered(face, 1.8, image.size)].any()
    assert not changed(image, scene((200, 100))).any()  # the one given stays


def test_the_edge_of_what_is_new_cannot_be_seen() -> None:
    mask = np.asarray(ellipse((0, 0, 180, 180), (40, 40, 140, 140))).astype(int)
    assert mask[90, 90] == 255
    assert mask[0].max() == mask[:, 0].max() == mask[-1].max() == mask[:, -1].max() == 0
    assert max(np.abs(np.diff(mask, axis=axis)).max() for axis in (0, 1)) < 16


def test_a_crop_is_square_at_full_size_and_has_the_face_in_its_middle() -> None:
    image, seen = scene((200, 100)), []

    def redraw(crops: list[Image.Image], positions: list[int]) -> list[Image.Image]:
        seen.extend(crops)
        return crops

    detail([image], redraw, SIZE)
    (crop,) = seen
    assert crop.size == SIZE
    (face,) = find_faces(crop)
    assert abs((face[0] + face[2]) / 2 - 256) < 30
    assert 512 / 1.8 * 0.8 < face[2] - face[0] < 512 / 1.8 * 1.2


def test_crops_have_the_ratio_of_the_size_and_are_not_squeezed() -> None:
    def circles(crops: list[Image.Image], positions: list[int]) -> list[Image.Image]:
        (crop,) = crops
        assert crop.size == (256, 512)
        (face,) = find_faces(crop)
        assert abs((face[2] - face[0]) - 256 / 1.8) < 30
        return crops

    _, counts = detail([scene((200, 100))], circles, (256, 512))
    assert counts == [1]


def test_a_face_at_the_edge_of_the_picture_is_drawn_with_what_there_is() -> None:
    image = scene((200, 100)).crop((262, 118, 500, 400))  # a few pixels beside the face
    (face,) = find_faces(image)
    assert face[0] < 20 and face[1] < 20
    (drawn,), counts = detail([image], inverted, SIZE)
    assert counts == [1]
    differs = changed(image, drawn)
    assert differs[covered(face, 0.9, image.size)].mean() > 0.99
    assert not differs[~covered(face, 1.8, image.size)].any()


def test_a_large_face_is_left_alone() -> None:
    close = portrait().crop((150, 40, 300, 190))
    image = close.resize((512, 512), Image.Resampling.LANCZOS)
    assert find_faces(image)
    (drawn,), counts = detail([image], inverted, SIZE)
    assert counts == [0] and not changed(image, drawn).any()


def test_a_face_that_redrawing_would_not_enlarge_is_left_alone() -> None:
    image = scene((200, 100))
    assert detail([image], inverted, SIZE)[1] == [1]
    assert detail([image], inverted, (64, 64))[1] == [0]


def test_at_most_a_few_faces_an_image_the_largest_first() -> None:
    boxes = [(i * 60, 10, i * 60 + 30 + i, 40 + i) for i in range(7)]
    (drawn,), counts = detail([scene()], inverted, SIZE, lambda image: boxes)
    assert counts == [MAX_FACES]
    differs = changed(scene(), drawn)
    assert [bool(differs[30, i * 60 + 15]) for i in range(7)] == [False] * 3 + [True] * 4


def test_overlapping_faces_are_drawn_one_after_the_other() -> None:
    """The second crop is cut from a picture that has the first face in it already."""
    boxes, seen = [(100, 100, 160, 160), (120, 100, 178, 158)], []

    def redraw(crops: list[Image.Image], positions: list[int]) -> list[Image.Image]:
        assert positions == [0]
        seen.append(crops[0])
        return [Image.new("RGB", SIZE, "red")]

    detail([scene()], redraw, SIZE, lambda image: boxes)
    assert len(seen) == 2
    first, second = (np.asarray(crop)[256, 100].tolist() for crop in seen)
    assert first != [255, 0, 0] and second == [255, 0, 0]


def test_images_are_redrawn_together_and_each_as_if_alone() -> None:
    images = [scene(), scene((200, 100)), scene((20, 60), (300, 200))]
    batches = []

    def redraw(crops: list[Image.Image], positions: list[int]) -> list[Image.Image]:
        batches.append(positions)
        return inverted(crops, positions)

    together, counts = detail(images, redraw, SIZE)
    assert counts == [0, 1, 2]
    assert batches == [[1, 2], [2]]
    for image, drawn in zip(images, together, strict=True):
        assert detail([image], inverted, SIZE)[0][0].tobytes() == drawn.tobytes()


def test_a_redrawing_that_changes_nothing_changes_nothing_that_is_seen() -> None:
    image = scene((200, 100))
    (drawn,), _ = detail([image], unchanged, SIZE)
    difference = np.asarray(ImageChops.difference(image, drawn))
    assert difference.max() <= 20  # enlarged and made smaller again: on the sharpest edges
    assert difference[changed(image, drawn)].mean() < 3


def test_nothing_to_do_asks_for_nothing() -> None:
    def never(crops: list[Image.Image], positions: list[int]) -> list[Image.Image]:
        raise AssertionError

    assert detail([], never, SIZE) == ([], [])
    assert detail([scene()], never, SIZE)[1] == [0]


def test_a_model_draws_the_face_anew_and_the_same_each_time() -> None:
    """The whole way with a diffusion model: encode, noise, denoise, decode, blend."""
    pipeline = micro()
    family = family_of(pipeline)
    size = (128, 128)

    def redraw(crops: list[Image.Image], positions: list[int]) -> list[Image.Image]:
        starts = [encode_image(pipeline, crop) for crop in crops]
        sources = [generator_of(5, position, "face") for position in positions]
        with torch.no_grad():
            latents = family.denoise(
                pipeline,
                scheduler=make_scheduler(pipeline.scheduler, "ddim"),
                prompts=family.encode_prompts(pipeline, ["a photo of a person"] * len(crops)),
                negatives=None,
                noise=torch.stack([starting_noise(source, starts[0].shape) for source in sources]),
                generators=sources,
                steps=5,
                guidance_scale=1,
                start=torch.stack(starts),
                strength=STRENGTH,
            )
            return to_images(family.decode(pipeline, latents))

    image = scene((200, 100))
    (face,) = find_faces(image)
    (drawn,), counts = detail([image], redraw, size)
    assert counts == [1]
    differs = changed(image, drawn)
    assert differs[covered(face, 0.9, image.size)].mean() > 0.9
    assert not differs[~covered(face, 1.8, image.size)].any()
    assert detail([image], redraw, size)[0][0].tobytes() == drawn.tobytes()


def test_an_image_without_faces_stays_what_it_was_when_detail_is_asked_for() -> None:
    plain, detailed = draw(micro()), draw(micro(), face_detail=True)
    assert plain.images[0].tobytes() == detailed.images[0].tobytes()


@pytest.mark.parametrize(
    ("script", "printed"),
    [
        ("print('cv2' in sys.modules)", "False"),  # most requests never need it
        (
            "sys.modules['cv2'] = None\n"
            "try: face_detail.check()\n"
            "except ConfigError as error: print(error)",
            "face_detail needs opencv-python-headless",
        ),
    ],
)
def test_opencv_is_loaded_late_and_missed_in_words(script: str, printed: str) -> None:
    start = (
        "import sys\nfrom inference_entrypoint import face_detail\n"
        "from lensa.errors import ConfigError\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", start + script], capture_output=True, text=True, check=True
    )
    assert printed in done.stdout
