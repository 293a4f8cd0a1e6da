"""The hash tree of RFC 6962 over the lines of a log: its root, and proofs that one tree goes on from another."""

import hashlib
from collections.abc import Sequence

Hash = bytes
"""A SHA-256 digest."""


def leaf(line: bytes) -> Hash:
    """The hash of one entry, `SHA-256(0x00 || line)` (RFC 6962, 2.1)."""
    return hashlib.sha256(b"\x00" + line).digest()


def node(left: Hash, right: Hash) -> Hash:
    """The hash above two others, `SHA-256(0x01 || left || right)` (RFC 6962, 2.1)."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def root(leaves: Sequence[Hash]) -> Hash:
    """The root over all leaves (RFC 6962, 2.1); of none, the hash of nothing."""
    if len(leaves) < 2:
        return leaves[0] if leaves else hashlib.sha256().digest()
    half = _half(leaves)
    return node(root(leaves[:half]), root(leaves[half:]))


def consistency(leaves: Sequence[Hash], old: int) -> list[Hash]:
    """The proof that the tree of the first `old` leaves is a beginning of the whole (RFC 6962, 2.1.2)."""
    return _subproof(leaves, old, whole=True) if old else []


def _half(leaves: Sequence[Hash]) -> int:
    """The largest power of two that is less than their number."""
    return 1 << (len(leaves) - 1).bit_length() - 1


def _subproof(leaves: Sequence[Hash], old: int, *, whole: bool) -> list[Hash]:
    if old == len(leaves):
        return [] if whole else [root(leaves)]
    half = _half(leaves)
    if old <= half:
        return [*_subproof(leaves[:half], old, whole=whole), root(leaves[half:])]
    return [*_subproof(leaves[half:], old - half, whole=False), root(leaves[:half])]


def goes_on(old: int, old_root: Hash, new: int, new_root: Hash, proof: Sequence[Hash]) -> bool:
    """Whether `proof` shows that a tree of `new` leaves begins with one of `old` leaves (RFC 9162, 2.1.4.2)."""
    if old > new or (old == 0 and old_root != root(())):
        return False
    if old in (0, new):
        return not proof and (old < new or old_root == new_root)
    path = list(proof) if old & (old - 1) else [old_root, *proof]
    if not path:
        return False
    place, last = old - 1, new - 1
    while place & 1:
        place, last = place >> 1, last >> 1
    first = second = path[0]
    for each in path[1:]:
        if last == 0:
            return False
        if place & 1 or place == last:
            first, second = node(each, first), node(each, second)
            while place and not place & 1:
                place, last = place >> 1, last >> 1
        else:
            second = node(second, each)
        place, last = place >> 1, last >> 1
    return last == 0 and first == old_root and second == new_root
