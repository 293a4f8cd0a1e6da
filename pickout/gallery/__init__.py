"""A gallery: an indexed folder of crops that can be searched with a sentence.

    gallery, opened     the class that users meet
    encoder             what a gallery asks of a model: three values and two methods
    manifest, rows, columns, store, lance_store, tables, lock                  what lies on disk, and who writes
    intake              from a folder to rows
    query, aim, where, search, looking, grouping, asking, answer, hits         from a query to candidates
    nearest, approximate     the best rows for a vector, exactly or through an index
    probability         from scores to probabilities
    changing, erasing, choosing, rebuild, verify                               what becomes of rows
    portable            a gallery, or a part of it, as one file
    sheet, saved, audit                            results as a page; searches kept; who searched for what

Nothing here imports a model: any `Encoder` will do.
"""

import os

# LanceDB reads this when it is imported. Its warnings are about its own workings; what users can mend is an error.
os.environ.setdefault("LANCE_LOG", "error")
