"""From scores to probabilities: searches whose answer is known, for people who are there and who are not. In come a
validation split and a gallery to search, out a calibration; it writes nothing, the gallery keeps what it gives."""
