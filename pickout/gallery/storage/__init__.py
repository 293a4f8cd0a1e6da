"""What lies in a gallery's folder, and who writes it; every write is whole or not there.

rows      what a gallery knows of a crop
store, columns, lance_faults    rows in LanceDB
tables    which table holds the rows, and an empty gallery
manifest  `gallery.json`, and how the other small files beside the table are read
lock      one writer at a time, and what a killed one left
"""
