"""`pickout case`: what was handed over, checked without a server."""

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from pickout.cli.options import Json
from pickout.cli.terminal import say, tell
from pickout.errors import GalleryDamaged, UsageError

app = typer.Typer(help="Cases that were handed over as one file.", no_args_is_help=True)


app.callback()(lambda: None)  # or typer would take a lone command for the group


@app.command()
def verify(
    file: Annotated[Path, typer.Argument(help="The archive of a case.")],
    key: Annotated[
        str | None, typer.Option(help="The key that it must be signed with: pickout audit head --public tells it.")
    ] = None,
    json: Json = False,
) -> None:
    """Check a case's archive: every picture, judgement and search, and the signature. Needs no server and no gallery.

    Without --key the archive is held against the key that it names itself: then whoever changed it may have signed it
    again with a key of his own. Exit code 0: nothing was changed; 3: something was."""
    if not find_spec("cryptography"):
        raise UsageError("a signature needs one more package: pip install 'pickout[serve]'")
    from pickout.serve.archive import verify_archive

    found = verify_archive(file, key)
    for fault in found.faults:
        say(fault)
    if found.faults:
        raise GalleryDamaged(f"{file}: this is not the archive that was handed over")
    compared = "as you told" if key else "not compared: give the one that you were told with --key"
    told = {"case": found.case.get("name", ""), "members": found.members, "faults": 0, "key": found.key}
    tell({**told, "this key": compared}, json=json)
