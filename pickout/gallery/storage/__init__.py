"""What lies in a gallery's folder, and who writes it.

In: rows, and the manifest that says which model made them. Out: the same rows, whole, or the few columns that a search
holds in memory. Touches the gallery's folder and nothing beside it; every write is whole or not there.

    rows                 what a gallery knows of a crop
    columns, lance_table, lance_faults    rows as LanceDB's columns; `store` is all that the others ask of it
    tables, creation     which table holds the rows, and an empty gallery
    manifest, small_file `gallery.json` and the other small files beside the table
    lock, leftovers      one writer at a time, and what a killed one left
"""
