"""Who searched for what, who changed what, and a proof of it: `audit.jsonl` in the gallery's folder."""
