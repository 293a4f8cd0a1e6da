"""Encoding and searching on many machines, by Ray: models, and parts of a gallery's vectors, each in a process of its
own that Ray replaces when it dies. In go pictures and queries, out come the vectors and candidates that one process
would give. Rows are written, and audits kept, by the process that asks."""
