"""Names from elsewhere, fit to be shown."""


def printable(text: object) -> str:
    """`text` fit for a terminal or page: bytes that are no UTF-8 and control characters are replaced by `�`."""
    return "".join(letter if letter.isprintable() else "�" for letter in str(text))
