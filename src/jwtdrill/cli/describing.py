"""Commands under Load that describe a target: a first file from its metadata, and the preflight."""

import asyncio
import sys
from json import dumps
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer

from jwtdrill.cli.app import LOAD, app, command
from jwtdrill.cli.output import as_json, live, say, table
from jwtdrill.errors import BadInputError
from jwtdrill.target.model import Environment


@app.command(rich_help_panel=LOAD)
@command
def init(
    url: Annotated[str, typer.Argument(help="The issuer's URL, as its tokens name it.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Where to write the target file.")] = Path("target.toml"),
    environment: Annotated[Environment, typer.Option(help="Where this system runs.")] = Environment.STAGING,
    ca: Annotated[str | None, typer.Option(help="A reference to a CA to trust: file:PATH, env:NAME.")] = None,
) -> None:
    """Discover an issuer and write a commented target file for it. Credentials stay references for you to fill in."""
    from jwtdrill.target.discovery import metadata
    from jwtdrill.target.draft import draft
    from jwtdrill.target.load import tls_context
    from jwtdrill.target.model import Issuer, Target, Tls, check_url
    from jwtdrill.target.reference import check_reference

    try:
        check_url(url)
        check_reference(ca or "env:NONE")
    except ValueError as error:
        raise BadInputError(f"{'--ca' if 'reference' in str(error) else 'URL'}: {error}") from None
    if out.exists():
        raise BadInputError(f"{out}: there is a file of that name: give another with --out")
    trust = tls_context(Target(environment=environment, issuer=Issuer(url=url), tls=Tls(ca=ca)))
    found = metadata(url.rstrip("/") if urlsplit(url).path == "/" else url, trust)
    content = found.members()
    try:
        check_url(str(content.get("issuer", "")))
    except ValueError as error:
        raise BadInputError(f"{found.url}: the issuer that it names {error}") from None
    text = draft(content, environment)
    if ca is not None:
        if ca.startswith("file:"):  # given from here, and read from where the target file lies
            ca = f"file:{Path(ca.removeprefix('file:')).expanduser().absolute()}"
        text += f"\n[tls]\nca = {dumps(ca)}\n"
    out.write_text(text)
    if content["issuer"] != url:
        say(f"the metadata names another issuer than {url}: {content['issuer']}; the file names that one")
    say(f"found {found.url}; fill in client and resource, then: jwtdrill check {out}")
    sys.stdout.write(f"{out}\n")


@app.command(rich_help_panel=LOAD)
@command
def check(
    target: Annotated[str, typer.Argument(help="Target file, or `lab` for the running lab.")],
    json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> int:
    """The preflight, item by item: passes, fails or cannot be told, and how to mend it. Runs in production too.

    Exit code 1 when an item fails.
    """
    from jwtdrill.probe.check import check as preflight
    from jwtdrill.probe.items import Status
    from jwtdrill.target.load import load_target

    loaded = load_target(target)
    with live() as tick:
        items = asyncio.run(preflight(loaded, lambda item: tick(f"{item.name}: {item.status}")))
    if json:
        as_json(
            [
                {
                    "name": item.name,
                    "status": item.status,
                    "seen": item.seen,
                    "mend": item.mend,
                    "checklist": item.checklist,
                }
                for item in items
            ]
        )
    else:
        rows = [(item.status, item.name, item.seen, item.mend, item.checklist) for item in items]
        table(f"Preflight of {target}", ("", "item", "seen", "mend", "list"), rows)
        counts = [f"{sum(item.status is status for item in items)} {status}" for status in Status]
        sys.stdout.write(f"{', '.join(counts)}\n")
    return 1 if any(item.status is Status.FAIL for item in items) else 0
