"""The hash tree of RFC 6962 over the lines of a log: its root, and proofs that one tree goes on from another."""

import hashlib
from collections.abc import Iterable, Sequence

Hash = bytes
"""A SHA-256 digest."""


def leaf(line: bytes) -> Hash:
    """The hash of one entry, `SHA-256(0x00 || line)` (RFC 6962, 2.1)."""
    return hashlib.sha256(b"\x00" + line).digest()


def node(left: Hash, right: Hash) -> Hash:
    """The hash above two others, `SHA-256(0x01 || left || right)` (RFC 6962, 2.1)."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def root(leaves: Iterable[Hash]) -> Hash:
    """The root over all leaves (RFC 6962, 2.1); of none, the hash of nothing. Holds a hash for each level only."""
    peaks: list[tuple[int, Hash]] = []  # whole subtrees from left to right, of ever smaller height
    for each in leaves:
        height, top = 0, each
        while peaks and peaks[-1][0] == height:
            height, top = height + 1, node(peaks.pop()[1], top)
        peaks.append((height, top))
    if not peaks:
        return hashlib.sha256().digest()
    top = peaks.pop()[1]
    while peaks:
        top = node(peaks.pop()[1], top)
    return top


def consistency(leaves: Sequence[Hash], old: int) -> list[Hash]:
    """The proof that the tree of the first `old` leaves is a beginning of the whole (RFC 6962, 2.1.2).

    Args:
        leaves: of the whole tree.
        old: from 0 to their number.

    Returns:
        About `log2(len(leaves))` hashes; none where either tree is empty or both are the same.
    """
    if old in (0, len(leaves)):
        return []
    return _subproof(leaves, old, whole=True)


def _subproof(leaves: Sequence[Hash], old: int, *, whole: bool) -> list[Hash]:
    if old == len(leaves):
        return [] if whole else [root(leaves)]
    half = 1 << (len(leaves) - 1).bit_length() - 1
    if old <= half:
        return [*_subproof(leaves[:half], old, whole=whole), root(leaves[half:])]
    return [*_subproof(leaves[half:], old - half, whole=False), root(leaves[:half])]


def goes_on(old: int, old_root: Hash, new: int, new_root: Hash, proof: Sequence[Hash]) -> bool:
    """Whether `proof` shows that a tree of `new` leaves begins with one of `old` leaves (RFC 9162, 2.1.4.2)."""
    if old > new or (old == new and (old_root != new_root or proof)):
        return False
    if old == new or old == 0:
        return not proof and (old > 0 or old_root == root(()))
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
