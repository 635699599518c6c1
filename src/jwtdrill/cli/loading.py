"""Commands under Load: the lab to load, and the canary."""

import asyncio
import sys
from contextlib import suppress
from typing import Annotated

import typer

from jwtdrill.cli.app import LOAD, app, command
from jwtdrill.cli.output import as_json, say
from jwtdrill.errors import BadInputError, MissingPartError
from jwtdrill.lab.parts import Part, read_parts
from jwtdrill.target.model import check_url
from jwtdrill.tokens.keys import Algorithm

lab_app = typer.Typer(help="The embedded target: issuer, verifiers, fault agent, Prometheus, Alertmanager.")
app.add_typer(lab_app, name="lab", rich_help_panel=LOAD, no_args_is_help=True)
_PARTS = "; ".join(f"{part}: {part.help}" for part in Part)
TimeScaleOption = Annotated[
    float,
    typer.Option(
        "--time-scale", min=1, max=10000, help="Divide every alerting window by this: 60 makes hours minutes."
    ),
]


def check_url_of(option: str, url: str) -> None:
    """Raises BadInputError that names the option, unless that is a URL."""
    try:
        check_url(url)
    except ValueError as error:
        raise BadInputError(f"{option}: {error}") from None


@lab_app.command()
@command
def up(
    profile: Annotated[str, typer.Option(help="Cache and token lifetimes: normal or drill (seconds).")] = "normal",
    time_scale: TimeScaleOption = 1,
    alg: Annotated[Algorithm, typer.Option(help="Algorithm of the access tokens.")] = Algorithm.RS256,
    rsa_bits: Annotated[int, typer.Option(min=2048, max=8192, help="Length of the issuer's key, if it is RSA.")] = 2048,
    token_padding: Annotated[
        int, typer.Option(min=0, max=12000, help="Make access tokens longer by so many characters.")
    ] = 0,
    decisions: Annotated[int, typer.Option(min=0, help="Accepted tokens that each verifier remembers.")] = 0,
    clients: Annotated[int, typer.Option(min=1, max=10000, help="Clients, each with a key of its own.")] = 1,
    parts: Annotated[
        list[str] | None,
        typer.Option("--with", metavar="PART[,PART]…", help=f"What the lab has beside: {_PARTS}."),
    ] = None,
    without_alerts: Annotated[bool, typer.Option(help="Without Prometheus and Alertmanager.")] = False,
) -> None:
    """Start the lab in the background, and print the path of its target file."""
    from jwtdrill.lab.annex import require_programs
    from jwtdrill.lab.control import lab_up
    from jwtdrill.lab.lab import LabOptions, require_watch_programs
    from jwtdrill.lab.settings import PROFILES

    if profile not in PROFILES:
        raise BadInputError(f"unknown profile {profile!r}: choose from {', '.join(PROFILES)}")
    if alg.symmetric:
        raise BadInputError(f"{alg} has no public key to publish: choose another --alg")
    chosen = read_parts(parts or ())
    require_programs(chosen)
    if not without_alerts:
        require_watch_programs()
    options = LabOptions(
        PROFILES[profile],
        time_scale,
        watch=not without_alerts,
        alg=alg,
        rsa_bits=rsa_bits,
        token_padding=token_padding,
        decisions=decisions,
        clients=clients,
        parts=chosen,
    )
    sys.stdout.write(f"{lab_up(options, say)}\n")


@lab_app.command()
@command
def status(json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False) -> int:
    """Say whether the lab runs; exit code 1 when it does not, or not whole."""
    from jwtdrill.lab.control import lab_state

    state = lab_state()
    if json:
        dead, restarts = (list(state.dead), state.restarts) if state else ([], {})
        target = state.target if state else None
        as_json({"running": state is not None, "target": target, "dead": dead, "restarts": restarts})
    elif state is None:
        say("no lab is running")
    else:
        sys.stdout.write(f"{state.target}\n")
        if state.restarts:
            say(
                f"started again: {', '.join(f'{name} {count} times' for name, count in sorted(state.restarts.items()))}"
            )
        if state.dead:
            say(f"ended by themselves: {', '.join(state.dead)}: raise the lab anew with `lab down` and `lab up`")
    return 0 if state is not None and not state.dead else 1


@lab_app.command()
@command
def down() -> None:
    """End the lab: faults undone, processes stopped, files removed."""
    from jwtdrill.lab.control import lab_down

    say("lab ended" if lab_down() else "no lab is running")


@app.command(rich_help_panel=LOAD)
@command
def canary(
    target: Annotated[str, typer.Argument(help="Target file, or `lab` for the running lab.")],
    port: Annotated[int, typer.Option(min=1, max=65535, help="Serve metrics on this loopback port.")] = 9647,
) -> None:
    """Send one known-good token a second to each resource, until interrupted. Runs in production too."""
    import logging
    import signal

    from prometheus_client import start_http_server

    from jwtdrill.catalog.exposition import Instruments
    from jwtdrill.probe.canary import Canary
    from jwtdrill.target.discovery import discover
    from jwtdrill.target.load import load_target

    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    loaded = load_target(target)
    instruments = Instruments()
    bird = Canary(loaded, discover(loaded), instruments)
    try:
        server, thread = start_http_server(port, addr="127.0.0.1", registry=instruments.registry)
    except OSError as error:
        raise BadInputError(f"port {port} cannot be opened ({error.strerror}): give another with --port") from None
    say(f"canary: metrics at http://127.0.0.1:{port}/metrics")
    try:
        asyncio.run(bird.run())
    except* MissingPartError as group:
        raise group.exceptions[0] from None
    finally:
        with suppress(OSError):
            server.shutdown()
            server.server_close()
            thread.join()
