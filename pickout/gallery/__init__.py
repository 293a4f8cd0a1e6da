"""A gallery: an indexed folder of crops that can be searched with a sentence. Any `Encoder` will do as a model.

Its rooms, each of which imports only those before it: audit, vectors, storage, approximate, intake, search,
calibration, changes, portable. `gallery` and `state` are the class that users meet, `encoder` what it asks of a model,
`arguments` how what it is given is checked.
"""

import os

# LanceDB reads this when it is imported. Its warnings are about its own workings; what users can mend is an error.
os.environ.setdefault("LANCE_LOG", "error")
