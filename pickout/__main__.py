"""The entry of `pickout` and `python -m pickout`."""

import _thread
import sys
import threading

from pickout.errors import INTERRUPTED


def main() -> None:
    """Run the command line; Ctrl-C is one line also while its parts are still being imported."""
    sys.unraisablehook = _interrupt_again
    try:
        from pickout.cli.app import main as run

        run()
    except KeyboardInterrupt:
        sys.stderr.write(f"error: {INTERRUPTED[1]}\n")
        raise SystemExit(INTERRUPTED[0]) from None


def _interrupt_again(ignored: "sys.UnraisableHookArgs") -> None:
    """Python drops an exception in a callback, such as those of its import locks, and a Ctrl-C with it."""
    if ignored.exc_type is not KeyboardInterrupt:
        sys.__unraisablehook__(ignored)
    elif not sys.is_finalizing():
        # Not from here: it would be raised in this very function, and dropped again.
        threading.Timer(0.01, _thread.interrupt_main).start()


if __name__ == "__main__":
    main()
