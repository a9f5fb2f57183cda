"""Photos in, a set of square pictures without metadata out, and what the coach says of them.

examine         the whole round: read once, measure, prepare, judge
prepare         the same without a look at what is in them, and the square itself
photoset        Photo and PhotoSet: what comes out, and how it is written (loads no Pillow)

sources         folders, zips, lists, pictures in memory, S3: whatever people give
files, archive  a folder's photos, a zip's
reading         one file, as an upright sRGB picture or a reason why not
bounds          what one photo may cost in time and memory
formats, colour what a file is, and what its pixels mean
crop            which square is kept

detectors       who is in the picture
maskers         where in it the subject is
measure         everything that the coach has to know of one photo (traits: each figure)
coach           the judgement (rules: each finding)
showing         the report on a terminal, as a picture, in a notebook
"""
