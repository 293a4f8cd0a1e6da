"""How good a model is: exact ranks, the field's measures, intervals, a report.

`pickout.evaluate` is also the name of the public function. Importing any file of this package puts the package in the
function's place, so the package can be called and hands the call on."""

import sys
from types import ModuleType
from typing import Any


class _CallablePackage(ModuleType):
    def __call__(self, *arguments: Any, **options: Any) -> Any:
        from pickout.evaluate.protocol import evaluate

        return evaluate(*arguments, **options)


sys.modules[__name__].__class__ = _CallablePackage
