"""Names from elsewhere, fit to be shown."""

from pickout.errors import printable

__all__ = ["printable"]
