"""A folder of photos in, a set of square pictures without metadata out.

prepare.load_photos   the whole way, from a folder to a PhotoSet
photoset              Photo and PhotoSet: what comes out, and how it is written (loads no Pillow)
files                 find_photos and read_photo: any file, as an upright sRGB picture or a reason
formats, colour       what a file is, and what its pixels mean
crop                  which square is kept
"""
