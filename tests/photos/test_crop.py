"""The square that is kept holds the heads."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lensa.photos.crop import square
from lensa.photos.detectors import Face


def face(left: float, top: float, size: float = 100) -> Face:
    return Face(left, top, size, size)


def test_a_face_where_it_is_expected_changes_nothing() -> None:
    assert square(1600, 900, [face(750, 300)]) == square(1600, 900)
    assert square(900, 1600, [face(400, 400)]) == square(900, 1600)
    assert square(900, 900, [face(0, 0)]) == (0, 0, 900, 900)


@pytest.mark.parametrize("place", [0, 50, 400, 1100, 1450, 1500])
def test_a_face_at_the_side_comes_in_with_its_shoulders(place: int) -> None:
    left, _, right, _ = square(1600, 900, [face(place, 300)])
    assert right - left == 900
    assert left <= max(place - 100, 0)  # a face's width for each shoulder, or up to the edge
    assert right >= min(place + 200, 1600)


@pytest.mark.parametrize("place", [0, 100, 700, 1300, 1500])
def test_a_face_at_the_top_or_bottom_comes_in_with_its_hair(place: int) -> None:
    _, top, _, bottom = square(900, 1600, [face(400, place)])
    assert bottom - top == 900
    assert top <= max(place - 60, 0)
    assert bottom >= min(place + 225, 1600)


def test_the_head_comes_before_the_shoulders() -> None:
    # The shoulders of a face this large reach 1200 px down, past a square of 900.
    _, top, _, bottom = square(900, 1600, [face(200, 500, 480)])
    assert top <= 500 - 0.6 * 480
    assert bottom >= 500 + 1.25 * 480 - 1


def test_all_faces_are_kept_where_they_fit() -> None:
    left, _, right, _ = square(1600, 900, [face(100, 300, 90), face(800, 300, 120)])
    assert left <= 100
    assert right >= 920


def test_the_largest_face_is_kept_where_they_do_not_all_fit() -> None:
    left, _, right, _ = square(3000, 900, [face(100, 300, 90), face(2700, 300, 200)])
    assert left <= 2700
    assert right >= 2900


def test_a_head_larger_than_the_square_is_cut_alike_on_both_sides() -> None:
    left, _, right, _ = square(1000, 500, [face(200, 0, 500)])
    assert (left + right) / 2 == 450


lengths = st.integers(1, 5000)
anywhere = st.floats(-1e4, 1e4)
faces = st.builds(Face, anywhere, anywhere, st.floats(0, 1e4), st.floats(0, 1e4))


@given(lengths, lengths, st.lists(faces, max_size=4))
def test_it_is_a_whole_square_inside_the_picture(width: int, height: int, seen: list[Face]) -> None:
    left, top, right, bottom = square(width, height, seen)
    assert right - left == bottom - top == min(width, height)
    assert 0 <= left <= right <= width
    assert 0 <= top <= bottom <= height
