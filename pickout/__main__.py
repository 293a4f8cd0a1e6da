"""The entry of `pickout` and `python -m pickout`."""

import _thread
import sys
import threading
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

from pickout.errors import INTERRUPTED

_CATALOGUE = "lance_namespace_urllib3_client"


class _NoCatalogue(MetaPathFinder, Loader):
    """LanceDB imports a client for a catalogue of tables, 284 models that pydantic builds in a second. No command asks
    one, so for commands, and for nobody who imports Pickout, it is a package that has whatever name is asked for."""

    def find_spec(self, name: str, _path: object = None, _target: object = None) -> ModuleSpec | None:
        return ModuleSpec(name, self, is_package=True) if name.partition(".")[0] == _CATALOGUE else None

    def exec_module(self, module: ModuleType) -> None:
        def absent(name: str) -> type:
            if name.startswith("__"):
                raise AttributeError(name)
            return type(name, (), {})

        module.__getattr__ = absent  # type: ignore[method-assign]


def main() -> None:
    """Run the command line; Ctrl-C is one line also while its parts are still being imported."""
    sys.unraisablehook = _interrupt_again
    sys.meta_path.insert(0, _NoCatalogue())
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
