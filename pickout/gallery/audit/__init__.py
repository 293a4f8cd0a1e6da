"""Who searched for what, who changed what, and a proof of it. Events go in, entries and signed heads come out; it
writes `audit.jsonl`, its keys and its heads in the gallery's folder, and never changes a line."""
