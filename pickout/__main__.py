"""The entry of `pickout` and `python -m pickout`."""

import sys

from pickout.errors import INTERRUPTED


def main() -> None:
    """Run the command line; Ctrl-C is one line also while its parts are still being imported."""
    try:
        from pickout.cli.app import main as run

        run()
    except KeyboardInterrupt:
        sys.stderr.write(f"error: {INTERRUPTED[1]}\n")
        raise SystemExit(INTERRUPTED[0]) from None


if __name__ == "__main__":
    main()
