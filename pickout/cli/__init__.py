"""The command line. One file a command, one line a command in `COMMANDS`."""

from collections.abc import Callable
from typing import Any

import typer

from pickout.cli.adapt import adapt
from pickout.cli.audit import app as audit
from pickout.cli.calibrate import calibrate
from pickout.cli.case import app as case
from pickout.cli.data import app as data
from pickout.cli.demo import demo
from pickout.cli.evaluate import evaluate as evaluate_model
from pickout.cli.explain import app as explain
from pickout.cli.gallery import app as gallery
from pickout.cli.index import index as index_crops
from pickout.cli.mcp import mcp
from pickout.cli.retention import app as retention
from pickout.cli.saved import saved
from pickout.cli.search import search as search_gallery
from pickout.cli.serve import serve
from pickout.cli.token import app as token
from pickout.cli.train import train
from pickout.cli.video import video
from pickout.cli.weights import weights

COMMANDS: dict[str, Callable[..., Any] | typer.Typer] = {
    "demo": demo,
    "data": data,
    "train": train,
    "evaluate": evaluate_model,
    "video": video,
    "index": index_crops,
    "search": search_gallery,
    "saved": saved,
    "gallery": gallery,
    "calibrate": calibrate,
    "adapt": adapt,
    "explain": explain,
    "serve": serve,
    "token": token,
    "retention": retention,
    "audit": audit,
    "case": case,
    "mcp": mcp,
    "weights": weights,
}
"""Command name to its function or group, in the order of `pickout --help`."""
