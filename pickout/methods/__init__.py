"""Ways to train and to score. A method is one file and one line in `METHODS`."""
