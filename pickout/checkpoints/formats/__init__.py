"""Weight files of others: which format a file has, its key names as ours, and what its tensors say about sizes."""
