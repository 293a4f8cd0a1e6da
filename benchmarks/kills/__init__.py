"""What `benchmarks/kill_gallery.py` is made of: a worker that is killed, what must be there then, and the checks."""
