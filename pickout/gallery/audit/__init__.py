"""Who searched for what, who changed what, and a proof of it: `audit.jsonl` in the gallery's folder.

log           entries, one line each, appended whole or not at all
commitments   which crops an entry showed, provable until the crop is erased
tree          the hash tree over the lines (RFC 6962)
heads         signed heads of the tree, and proofs that a later log goes on from an earlier one
examination   what is wrong with a log, by itself and against earlier heads
"""
