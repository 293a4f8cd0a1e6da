"""A gallery, or a part of it, as one file that another machine can read; pictures too, if wanted. Out goes the file,
whole or not at all; in come its rows, through the store alone, and its pictures into the folder that was named for
them."""
