"""From scores to probabilities: searches whose answer is known, for people who are there and who are not.

In: a validation split and a gallery. Out: the `Calibration` that `search.probability` reads. Touches `calibration.json`
and nothing else.
"""
