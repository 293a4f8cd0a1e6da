"""A gallery: an indexed folder of crops that can be searched with a sentence. Any `Encoder` will do as a model.

    gallery, state   the class that users meet; how it notices other processes' changes
    encoder          what a gallery asks of a model

and rooms, each of which imports only those above it:

    audit        who searched for what, who changed what, and a proof of it
    vectors      the best rows for a vector, exactly
    storage      rows on disk, the manifest, the lock
    approximate  the best rows for a vector, through an index
    intake       from a folder to rows
    search       from a query to candidates
    calibration  from scores to probabilities
    changes      what becomes of rows
    portable     one file out and in
"""

import os

# LanceDB reads this when it is imported. Its warnings are about its own workings; what users can mend is an error.
os.environ.setdefault("LANCE_LOG", "error")
