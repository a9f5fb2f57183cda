"""What is measured of a photo means what it says."""

from __future__ import annotations

import random

import pytest
from photos.coach import flaws
from photos.coach.scenes import UPPER_BODY, person, some_place
from PIL import Image, ImageEnhance, ImageFilter, ImageOps
from skimage import data

from lensa.photos.measure import measure
from lensa.photos.traits.likeness import correlation, distance, print_of
from lensa.photos.traits.overlays import overlays
from lensa.photos.traits.palette import alike, in_the_light_of, palette
from lensa.photos.traits.sharpness import blur


def grey(image: Image.Image) -> Image.Image:
    return image.convert("L")


@pytest.fixture
def astronaut() -> Image.Image:
    return Image.fromarray(data.astronaut())


def test_blur_grows_with_the_blur(astronaut: Image.Image) -> None:
    face = grey(astronaut).crop((170, 40, 290, 180))
    values = [blur(face.filter(ImageFilter.GaussianBlur(sigma))) for sigma in (0, 1, 2, 3, 5)]
    assert values == sorted(values)  # type: ignore[type-var]
    assert values[0] < 0.4 < 0.7 < values[3]


def test_blur_is_that_of_the_worse_direction(astronaut: Image.Image) -> None:
    shaken = grey(astronaut).filter(ImageFilter.BoxBlur((6, 0)))
    assert blur(shaken) == blur(shaken.transpose(Image.Transpose.ROTATE_90))
    assert blur(shaken) > blur(grey(astronaut)) + 0.3


def test_a_plain_wall_is_neither_sharp_nor_blurred() -> None:
    assert blur(Image.new("L", (100, 100), 180)) is None


def test_blur_does_not_depend_on_contrast_or_size(astronaut: Image.Image) -> None:
    faint = ImageEnhance.Contrast(astronaut).enhance(0.6)
    assert measured(faint).blur == pytest.approx(measured(astronaut).blur, abs=0.08)
    soft = astronaut.filter(ImageFilter.GaussianBlur(4))
    larger = soft.resize((1500, 1500), Image.Resampling.LANCZOS)
    assert measured(larger).blur == pytest.approx(measured(soft).blur, abs=0.08)


def measured(image: Image.Image) -> object:
    return measure("x", image, original_size=image.size, detector=None)


def test_a_mirrored_picture_is_known_again(astronaut: Image.Image) -> None:
    first, second = print_of(grey(astronaut)), print_of(grey(ImageOps.mirror(astronaut)))
    assert correlation(first, second, mirrored=True) > 0.999
    assert distance(first, second, mirrored=True) < 10
    assert correlation(first, second) < 0.6
    assert distance(first, second) > 90


def test_brightness_does_not_change_what_a_picture_is(astronaut: Image.Image) -> None:
    first, second = print_of(grey(astronaut)), print_of(grey(flaws.recompressed(astronaut, 60)))
    darker = print_of(grey(ImageEnhance.Brightness(astronaut).enhance(0.6)))
    assert correlation(first, second) > 0.995
    assert correlation(first, darker) > 0.99


def test_a_plain_picture_is_like_nothing() -> None:
    plain = print_of(Image.new("L", (64, 64), 90))
    assert correlation(plain, plain) == 0


def test_a_wall_is_known_again_from_another_corner() -> None:
    wall = Image.fromarray(data.brick()).convert("RGB")
    coffee = Image.fromarray(data.coffee())
    one, other = wall.crop((0, 0, 200, 300)), wall.crop((250, 100, 500, 400))
    assert alike(palette([one]), palette([other])) > 0.8  # type: ignore[arg-type]
    assert alike(palette([one]), palette([coffee])) < 0.3  # type: ignore[arg-type]
    assert palette([]) is None


def test_clothes_are_the_same_in_the_sun_and_under_a_lamp(astronaut: Image.Image) -> None:
    def suit(image: Image.Image) -> Image.Image:
        return in_the_light_of(image.crop((120, 300, 330, 500)), image.crop((190, 60, 270, 160)))

    red, green, blue = astronaut.split()
    warm = Image.merge("RGB", (red, green.point(lambda v: v * 0.85), blue.point(lambda v: v * 0.7)))
    before = alike(
        palette([astronaut.crop((120, 300, 330, 500))]),  # type: ignore[arg-type]
        palette([warm.crop((120, 300, 330, 500))]),  # type: ignore[arg-type]
    )
    after = alike(palette([suit(astronaut)]), palette([suit(warm)]))  # type: ignore[arg-type]
    assert after > 0.8 > before


@pytest.mark.parametrize(("side", "place"), [((40, 0), (0, 2)), ((0, 40), (1, 3))])
def test_bars_are_measured_on_their_sides(side: tuple[int, int], place: tuple[int, int]) -> None:
    photo = ImageOps.expand(Image.fromarray(data.coffee()), side, "black")
    bars = overlays(photo).bars
    share = 40 / (photo.width if side[0] else photo.height)
    for index, bar in enumerate(bars):
        assert bar == pytest.approx(share if index in place else 0.0, abs=0.01)


def test_a_plain_background_is_no_bar() -> None:
    portrait = Image.new("RGB", (400, 500), "#dddddd")
    head = Image.fromarray(data.astronaut()).crop((150, 0, 300, 200))
    portrait.paste(head, (120, 90))
    assert overlays(portrait).bars == (0, 0, 0, 0)


@pytest.mark.parametrize("name", ["astronaut", "coffee", "chelsea", "rocket", "grass", "retina"])
def test_photos_have_no_text_on_them(name: str) -> None:
    assert overlays(Image.fromarray(getattr(data, name)()).convert("RGB")).text == 0


def test_a_caption_is_text() -> None:
    rng = random.Random(4)
    photo = person(rng, some_place(rng, 6), UPPER_BODY)
    assert overlays(photo).text == 0
    assert overlays(flaws.text(photo, rng)).text > 0


@pytest.mark.parametrize("size", [(1, 1), (2, 700), (700, 3), (24, 24), (100, 100)])
@pytest.mark.parametrize("colour", ["black", "white"])
def test_any_picture_can_be_measured(size: tuple[int, int], colour: str) -> None:
    photo = measure("x", Image.new("RGB", size, colour), original_size=size, detector=None)
    assert (photo.width, photo.height) == size
    assert photo.faces is None
    assert photo.framing is None
