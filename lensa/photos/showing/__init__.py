"""What the coach says, for every kind of reader.

table      on a terminal
contact    a contact sheet with marks, a picture
page       HTML for a notebook
upload     what would leave the machine, and where it would go
preview    the prepared photos as files
progress   a bar while the photos are looked at
words      what these share
"""
