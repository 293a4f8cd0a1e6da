"""A gallery: an indexed folder of crops that can be searched with a sentence.

    encoder    what a gallery asks of a model: three values and two methods
    rows       a crop as it is kept, and a place to look up what is already known
    store, lance_store    where rows live, and LanceDB behind it
    manifest   gallery.json: format and model of the gallery
    scan, cameras, metadata, reading, examine, ingest, commit, quarantine     from a folder to rows
    query, aim, exact, vectors, search, looking, asking, hits                 from a query to ranked rows
    near, far, approximate, approximating      the same for a gallery too large to hold
    changing, erasing, choosing, tables, rebuild, rebuilding, verify          what becomes of rows
    portable, snapshot      a gallery, or a part of it, as one file
    evidence, calibrating, calibration, reliability                           from scores to probabilities
    gallery    the one class that users meet
    sheet, audit                                    results as a page; who searched for what

Nothing here imports a model: any `Encoder` will do.
"""

import os

# LanceDB reads this when it is imported. Its warnings are about its own workings; what users can mend is an error.
os.environ.setdefault("LANCE_LOG", "error")
