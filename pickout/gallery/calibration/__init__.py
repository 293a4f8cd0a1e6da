"""From scores to probabilities: searches whose answer is known, for people who are there and who are not."""
