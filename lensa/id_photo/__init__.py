"""ID photos: a picture cropped and cleared to a country's published measures, and a sheet to print.

specifications  the measures by country (specifications.toml)
framing         where the picture is cut, from the face
background      one plain colour behind the person
photo           IdPhoto: all of it together
paper           as many copies as fit on a sheet of paper
"""

from lensa.id_photo.paper import PAPERS, Sheet
from lensa.id_photo.photo import IdPhoto, id_photo
from lensa.id_photo.specifications import Specification, specification, specifications

__all__ = [
    "PAPERS",
    "IdPhoto",
    "Sheet",
    "Specification",
    "id_photo",
    "specification",
    "specifications",
]
