"""A gallery: an indexed folder of crops that can be searched with a sentence.

    gallery      the class that users meet
    state        what is held of an open gallery, and how other processes' changes are noticed
    encoder      what a gallery asks of a model: three values and two methods

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

Nothing here imports a model: any `Encoder` will do.
"""

import os

# LanceDB reads this when it is imported. Its warnings are about its own workings; what users can mend is an error.
os.environ.setdefault("LANCE_LOG", "error")
