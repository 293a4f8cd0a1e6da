"""A gallery, or a part of it, as one file that another machine can read.

In and out: rows, and pictures if wanted. A file that comes in is believed in nothing that was not checked. Touches the
file, the gallery's folder, and the folder that pictures are put into.
"""
