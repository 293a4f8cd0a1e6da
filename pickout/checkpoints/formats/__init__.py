"""Weight files of others: their key names as ours, and what their tensors say about sizes."""
