"""Processes of a Ray cluster that do one kind of work: each is replaced when it dies, and does what it was at again."""

import math
import os
import secrets
import socket
import sys
import warnings
from collections.abc import Mapping
from typing import Any

from pickout.errors import PickoutError, ServerBusy, UsageError

if "ray" not in sys.modules:  # which reads this when it is imported
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it would tell its makers
    if "RAY_ADDRESS" not in os.environ:  # a cluster of our own, whose token no file needs to hold
        os.environ.setdefault("RAY_AUTH_MODE", "token")
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
import ray
from ray.exceptions import GetTimeoutError, RayError, RayTaskError

_KNOCK = 5.0  # seconds after which an address does not answer
_ROOM = 120.0  # seconds after which a worker that has not begun has no room
_PATIENCE = 600.0  # seconds after which an answer is not waited for any longer; a machine may have to be replaced


def connect(**options: Any) -> None:
    """Join the cluster that the environment's RAY_ADDRESS names, or begin one on this machine that ends with this
    process. `UsageError` where there is none at that address."""
    if ray.is_initialized():
        return
    address = os.environ.get("RAY_ADDRESS")
    host, _, port = (address or "").rpartition(":")
    # Workers compute with one thread each, so that as many as there are cores do not get in each other's way.
    variables = {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.environ.get("PYTHONPATH", "")}
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "error", "include_dashboard": False}
    try:
        if port.isdecimal() and "/" not in host:  # Ray itself would knock for minutes
            socket.create_connection((host, int(port)), _KNOCK).close()
        with warnings.catch_warnings():
            # The processes that Ray begins take nothing over from this one, so LanceDB's threads do not matter.
            warnings.filterwarnings("ignore", message="lancedb fork support")
            ray.init(runtime_env={"env_vars": variables}, **quiet, **options)
    except (RayError, OSError, OverflowError, RuntimeError, ValueError) as error:
        told = str(error).strip().partition("\n")[0]
        where = f"RAY_ADDRESS = {address}: no Ray cluster to use" if address else "Ray cannot begin on this machine"
        raise UsageError(f"{where} ({told})") from None


class Workers:
    """`number` objects of one `kind`, made with `arguments` on whatever machines of the cluster have room; None makes
    one for each core, but one. More than there are cores share them. `UsageError` where there is no room, or no
    cluster (see `connect`)."""

    def __init__(self, kind: type, number: int | None = None, *arguments: Any) -> None:
        connect()
        cores: float = ray.cluster_resources().get("CPU", 1)  # type: ignore[no-untyped-call]
        self.number = number or max(1, int(cores) - 1)
        share = math.floor(1000 * min(1.0, cores / self.number)) / 1000
        remote: Any = ray.remote(num_cpus=share, max_restarts=-1, max_task_retries=-1)(kind)
        self._workers = [remote.remote(*arguments) for _ in range(self.number)]
        begun = [worker.__ray_ready__.remote() for worker in self._workers]
        if lacking := ray.wait(begun, num_returns=self.number, timeout=_ROOM)[1]:
            what = f"{len(lacking)} of {self.number} did not begin within {_ROOM:.0f} seconds"
            raise UsageError(f"--workers {self.number}: {what}; ray status tells what the cluster has room for")

    def ask(self, method: str, arguments: Mapping[int, tuple[Any, ...]]) -> dict[int, Any]:
        """What `method` of some workers, by number, gives for these arguments. `ServerBusy` where one cannot be asked
        or fails, so that nothing is answered in part; a `PickoutError` that the method raises is raised here."""
        try:
            asked = {worker: getattr(self._workers[worker], method).remote(*each) for worker, each in arguments.items()}
            return dict(zip(asked, ray.get(list(asked.values()), timeout=_PATIENCE), strict=True))
        except RayTaskError as error:
            if isinstance(error.cause, PickoutError):
                raise error.cause from None
            told = f"{type(error.cause).__name__}: {error.cause}".splitlines()[0]
            lacking = "its machine may lack what this one has"
            raise ServerBusy(f"a worker of the Ray cluster failed ({told}); {lacking}", 30) from error
        except (RayError, GetTimeoutError) as error:
            told = str(error).strip().splitlines()[0]
            raise ServerBusy(f"a worker of the Ray cluster does not answer ({told}); see ray status", 30) from None

    def tell(self, method: str, *arguments: Any) -> None:
        """Let every worker do this when it can, without waiting."""
        if ray.is_initialized():
            for worker in self._workers:
                getattr(worker, method).remote(*arguments)
