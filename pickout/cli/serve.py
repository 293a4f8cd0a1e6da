"""`pickout serve`: galleries over HTTP; `pickout mcp`: galleries for agents, by the Model Context Protocol."""

import errno
import os
import signal
import socket
import ssl
import sys
from collections.abc import Iterable
from functools import cache, partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pickout.cli import model as loading
from pickout.cli.options import Device, Engine, Runtime, Workers
from pickout.cli.terminal import progress, say
from pickout.errors import UsageError
from pickout.files import packaged_table

if TYPE_CHECKING:
    from pickout.serve.hosting import Spread
    from pickout.serve.service import Service

STATE = Path("~/.local/state/pickout")
State = Annotated[Path, typer.Option(help="The server's folder: settings.toml, tokens, watches, uploads.")]


def serve(
    galleries: Annotated[list[Path] | None, typer.Argument(help="Galleries made by pickout index.")] = None,
    state: State = STATE,
    demo: Annotated[bool, typer.Option("--demo", help="Draw people first, and serve them too.")] = False,
    recordings: Annotated[
        list[Path] | None, typer.Option(help="A folder of the recordings that crops were cut from; repeat for more.")
    ] = None,
    host: Annotated[str, typer.Option(help="The address to listen on; another than this machine's needs tokens.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(help="The port; 0: any that is free.", min=0, max=65535)] = 8420,
    certificate: Annotated[Path | None, typer.Option(help="TLS: the certificate chain, PEM.")] = None,
    certificate_key: Annotated[Path | None, typer.Option(help="TLS: its private key, PEM.")] = None,
    model: Annotated[str | None, typer.Option(help="Where the galleries' model is, if not where it was.")] = None,
    device: Device = "auto",
    runtime: Runtime = "torch",
    engine: Engine = "local",
    workers: Workers = None,
) -> None:
    """Answer over HTTP what the command line answers, to whom it may, with a record of each question.

    The page is at the address that is told; the API lies below /v1. Without tokens only this machine is answered. See
    pickout token, and docs/serve.md for settings.toml."""
    check_packages()
    import uvicorn

    from pickout.serve.app import create_app
    from pickout.serve.guard import LOOPBACK

    if absent := [folder for folder in recordings or () if not folder.is_dir()]:
        raise UsageError(f"--recordings {absent[0]}: no such folder")
    check_port(host, port)
    spread, state = spread_over(engine, workers), prepared(state)
    galleries = list(galleries or ())
    if demo:
        galleries.append(demo_gallery(state / "demo", device))
    if not galleries:
        raise UsageError("nothing to serve; name a gallery, or try drawn people with --demo")
    service = open_service(galleries, state, model, device, "server", recordings or (), runtime, spread)
    warn_of_tokens(service)
    near = host in LOOPBACK
    if not near and not any(token.is_valid for token in service.tokens.all()):
        remedy = f"make a token first: pickout token create NAME --state {state}"
        raise UsageError(f"--host {host}: others could reach it; {remedy}")
    app = create_app(
        service, hosts={*LOOPBACK, host, *service.settings.hosts}, secure=certificate is not None, loopback=near
    )
    if certificate is not None:
        check_certificate(certificate, certificate_key)
    ends: dict[str, Any] = {"ssl_certfile": certificate, "ssl_keyfile": certificate_key}
    told = packaged_table("pickout.serve", "uvicorn.toml")
    server = uvicorn.Server(uvicorn.Config(app, host=host, port=port, **ends, **told))
    sys.stderr.write(f"The page: http{'s' if certificate else ''}://{host}:{port}/\n" if port else "")
    app.state.parts.stopping = lambda: server.should_exit
    sys.setswitchinterval(0.0005)  # seconds: a search must not wait longer for a thread that indexes
    signal.signal(signal.SIGTERM, lambda *_: None)  # uvicorn stops by it and raises it again: exit code 0 then
    try:
        server.run()
    except KeyboardInterrupt:
        return
    except SystemExit:  # it could not listen, and said why in its own words
        pass
    if not server.started:
        check_port(host, port)  # was it taken meanwhile?
        raise UsageError(f"the server could not begin on {host}:{port}; the lines before this one tell why")


def check_certificate(chain: Path, key: Path | None) -> None:
    """`UsageError` where TLS cannot use them."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(chain, key)
    except (OSError, ValueError) as error:
        files = f"--certificate {chain}" + ("" if key is None else f" --certificate-key {key}")
        reason = getattr(error, "strerror", None) or str(error)
        raise UsageError(f"{files}: cannot be used ({reason}); give a certificate and its private key as PEM") from None


def warn_of_tokens(service: "Service") -> None:
    """Name the tokens that are for none of the galleries."""
    for token in service.tokens.all():
        if token.is_valid and token.galleries is not None and service.galleries.keys().isdisjoint(token.galleries):
            served = f"{', '.join(token.galleries)}, but there are {', '.join(service.galleries)}"
            say(f"warning: token {token.id} ({token.name}) is for {served}", err=True)


def spread_over(engine: Engine, workers: int | None) -> "Spread | None":
    """Who makes the vectors that a search asks: a cluster's workers, which begin now, or nobody but this process."""
    if not loading.has_cluster(engine, workers):
        return None
    from pickout.cluster.vectors import ClusterVectors, vector_workers

    return partial(ClusterVectors.maker, vector_workers(workers))


def mcp(
    galleries: Annotated[list[Path], typer.Argument(help="Galleries made by pickout index.")],
    state: State = STATE,
    model: Annotated[str | None, typer.Option(help="Where the galleries' model is, if not where it was.")] = None,
    device: Device = "auto",
) -> None:
    """Let an agent search, explain, look at crops and list cameras, over standard input and output.

    The same tokens, purposes and audit as of pickout serve: once the server's folder has tokens, one is needed in the
    environment's PICKOUT_TOKEN."""
    check_packages()
    if find_spec("mcp") is None:
        raise UsageError("an agent needs one more package: pip install 'pickout[serve]'")
    from pickout.serve.mcp import create_mcp

    service = open_service(galleries, prepared(state), model, device, via="mcp")
    create_mcp(service, os.environ.get("PICKOUT_TOKEN")).run("stdio")


def demo_gallery(folder: Path, device: str) -> Path:
    """Draw people below `folder`, index and calibrate them with the model that comes with Pickout; the gallery."""
    from pickout.gallery.gallery import Gallery
    from pickout.serve.sample import add_sample

    target, done = folder / "demo.gallery", folder / "done"
    if done.exists():
        return target
    say(f"drawing people to try the page on, once; they are kept in {folder}", err=True)
    place = loading.default_model()
    gallery = Gallery.create(target, loading.load_model(place, device), run=place)
    told: list[tuple[str, int]] = []

    def tell(what: str, at: int, total: int) -> None:
        show(at, total, what=what)
        quarter = what, 4 * at // max(total, 1)
        if not sys.stderr.isatty() and quarter not in told:  # a log shows no bar
            told.append(quarter)
            say(f"{what}: {at} of {total}", err=True)

    with progress("drawn people", quiet=False) as show:
        add_sample(gallery, folder, tell)
    done.touch()
    return target


def check_port(host: str, port: int) -> None:
    """Before people are drawn and models loaded, make sure that the port is free. `UsageError`: it is not."""
    try:
        socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET).close()
    except OSError as error:
        if error.errno == errno.EADDRINUSE:  # whatever else is wrong shows when it is listened on
            taken = f"cannot listen on {host}:{port}; is the port taken? give another with --port"
            raise UsageError(taken) from error


def check_packages() -> None:
    """Make sure that the packages of a server are installed. `UsageError`: they are not."""
    if missing := [name for name in ("fastapi", "uvicorn", "prometheus_client", "cryptography") if not find_spec(name)]:
        raise UsageError(f"a server needs more packages ({', '.join(missing)}): pip install 'pickout[serve]'")


def prepared(state: Path) -> Path:
    """The server's folder, made where it is not there, for its owner only."""
    folder = state.expanduser()
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder


def open_service(
    galleries: list[Path],
    state: Path,
    model: str | None,
    device: str,
    via: str = "server",
    recordings: Iterable[Path] = (),
    runtime: Runtime = "torch",
    spread: "Spread | None" = None,
) -> "Service":
    """The galleries with their models; equal models are loaded once."""
    from pickout.gallery.encoder import Encoder
    from pickout.gallery.storage.tables import read_manifest
    from pickout.serve.hosting import hosted
    from pickout.serve.service import Service
    from pickout.serve.settings import read_settings

    @cache
    def load(place: str) -> Encoder:
        return loading.load_model(place, device, runtime)

    def of_gallery(path: Path) -> Encoder:
        return load(model or loading.remembered_model(path, read_manifest(path)))

    settings = read_settings(state)
    settings = settings.model_copy(update={"recordings": (*settings.recordings, *recordings)})
    resolved = [path.resolve() for path in galleries]
    return Service(hosted(resolved, of_gallery, settings, spread), state.resolve(), settings, load, via)
