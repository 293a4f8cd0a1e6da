"""How good a model is: exact ranks, the field's measures, intervals, a report.

`pickout.evaluate` is also the name of the public function (`pickout.evaluate.protocol.evaluate`). Importing any file of
this package puts the package in the function's place, so the package can be called and hands the call on.
"""

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pickout.evaluate.evaluation_report import Report


class _CallablePackage(ModuleType):
    def __call__(self, *arguments: Any, **options: Any) -> "Report":
        from pickout.evaluate.protocol import evaluate

        return evaluate(*arguments, **options)


sys.modules[__name__].__class__ = _CallablePackage
