"""What is wrong with one photo: too small, blurred, badly lit, or not only a photo."""

from __future__ import annotations

import re

from lensa.photos.finding import Finding
from lensa.photos.measure import Measured

# docs/photos.md says on which data these were chosen, and what they cost.
BLURRED_FACE, BLURRED, VERY_BLURRED = 0.58, 0.62, 0.75  # 0 sharp, 1 blurred
DARK, VERY_DARK = 95, 60  # the 95th percentile of the subject's luminance
DARK_WHOLE = 115  # of the whole picture: nothing in it is light
BLOWN, VERY_BLOWN = 0.15, 0.40  # of the subject's pixels
FLAT = 60  # from the 5th to the 95th percentile of the whole picture
PANELS = 0.15  # of the height
_SCREENSHOT = re.compile(r"screen.?shot|screen.?grab|bildschirmfoto|captura de|capture d", re.I)


def quality(photo: Measured, size: int) -> list[Finding]:
    """What is to be said of one photo, whatever it shows. `size` is the base model's."""
    found = [
        _small(photo, size),
        _blurred(photo),
        *_badly_lit(photo),
        _screenshot(photo) or _bars(photo),
        _text(photo),
    ]
    return [finding for finding in found if finding is not None]


def _small(photo: Measured, size: int) -> Finding | None:
    side = min(photo.width, photo.height)
    if side >= size:
        return None
    return Finding(
        "small",
        "stop" if 2 * side < size else "advise",
        (photo.name,),
        f"{photo.width} x {photo.height} px is less than the model's {size} x {size}",
        "it has to be enlarged, and the avatars learn to be as soft as that",
        "use the original file of the camera, not one that a messenger made smaller",
    )


def _blurred(photo: Measured) -> Finding | None:
    limit = BLURRED_FACE if photo.face else BLURRED
    if photo.blur is None or photo.blur < limit:
        return None
    where = "the face is" if photo.face else "it is"
    return Finding(
        "blurred",
        "stop" if photo.blur >= VERY_BLURRED else "advise",
        (photo.name,),
        f"{where} blurred ({photo.blur:.2f} of 1, {limit} is the limit)",
        "the model takes blur for a trait of the subject",
        "take it again with more light and a steady hand, or leave it out",
    )


def _badly_lit(photo: Measured) -> list[Finding]:
    light, whole = photo.subject_light, photo.light
    found = []
    where = "the face" if photo.face else "the subject"
    if light.bright < DARK and (photo.face or whole.bright < DARK_WHOLE):
        found.append(
            Finding(
                "dark",
                "stop" if light.bright < VERY_DARK and photo.face else "advise",
                (photo.name,),
                f"{where} is too dark: hardly anything is lighter than {light.bright:.0f} of 255",
                "what lies in the dark cannot be learned, and the avatars come out gloomy",
                "take it again facing a window or outdoors",
            )
        )
    elif light.blown > BLOWN:
        found.append(
            Finding(
                "blown_out",
                "stop" if light.blown > VERY_BLOWN and photo.face else "advise",
                (photo.name,),
                f"{light.blown:.0%} of {where} is plain white",
                "where the light was too much there is no detail to learn",
                "step out of the sun or the flash, and touch the face on the screen to expose it",
            )
        )
    elif whole.bright - whole.dark < FLAT:
        found.append(
            Finding(
                "low_contrast",
                "advise",
                (photo.name,),
                f"everything lies within {whole.bright - whole.dark:.0f} of 255 shades",
                "haze, a dirty lens or a filter is learned with the subject",
                "wipe the lens, or use the photo without the filter",
            )
        )
    return found


def _screenshot(photo: Measured) -> Finding | None:
    named = _SCREENSHOT.search(photo.name) is not None
    if not named and (photo.overlays.panels < PANELS or not photo.overlays.text):
        return None
    why = "its name says so" if named else "it has flat panels with text, as apps have"
    return Finding(
        "screenshot",
        "advise",
        (photo.name,),
        f"this looks like a screenshot: {why}",
        "buttons and bars are learned with the subject, and the photo in it is a small copy",
        "save the photo itself from the app, or cut away all but the photo",
    )


def _bars(photo: Measured) -> Finding | None:
    left, top, right, bottom = photo.overlays.bars
    sides = {"left": left, "top": top, "right": right, "bottom": bottom}
    named = [f"{side} {share:.0%}" for side, share in sides.items() if share]
    if not named:
        return None
    return Finding(
        "border",
        "advise",
        (photo.name,),
        f"a bar of one colour is part of the picture ({', '.join(named)})",
        "frames are easy to learn, and come back in the avatars",
        "cut it away",
    )


def _text(photo: Measured) -> Finding | None:
    if not photo.overlays.text:
        return None
    return Finding(
        "text",
        "advise",
        (photo.name,),
        "there seems to be text on it: a caption, a date or a watermark",
        "letters are learned, and come back as scribbles",
        "use the photo without it, or cut it away",
    )
