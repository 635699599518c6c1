"""Reads a target file, and finds the lab's."""

import os
import ssl
import stat
import tempfile
from pathlib import Path

from jwtdrill.errors import BadInputError, MissingPartError
from jwtdrill.target.model import Client, Target
from jwtdrill.toml import load_toml

LAB = "lab"


def lab_folder() -> Path:
    """Where the lab that stays keeps its state: JWTDRILL_LAB, else a folder of the user's own."""
    given = os.environ.get("JWTDRILL_LAB")
    if given:
        return Path(os.path.abspath(given))  # noqa: PTH100 - a symbolic link must stay one, to be refused
    return Path(tempfile.gettempdir()) / f"jwtdrill-lab-{os.getuid()}"


def require_own_folder(folder: Path) -> None:
    """Refuse a folder that somebody else could have put there: its target file may name commands to run.

    Raises BadInputError unless it is a real folder of this user's that nobody else may write to.
    """
    try:
        found = folder.lstat()
    except OSError as error:
        raise BadInputError(f"{folder}: the lab's folder cannot be used: {error.strerror}") from None
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o022:
        raise BadInputError(
            f"{folder}: the lab's folder must be a folder of yours that nobody else may write to: "
            "set JWTDRILL_LAB to another"
        )


def load_target(name: str) -> Target:
    """The target of that file; `lab` stands for the running lab's. Raises BadInputError, MissingPartError."""
    if name == LAB:
        path = lab_folder() / "target.toml"
        if not path.exists():
            raise MissingPartError("target lab: no lab is running: start one with `jwtdrill lab up`")
        require_own_folder(path.parent)
    else:
        path = Path(name)
    target = load_toml(path, Target)
    target._path = path.absolute()  # noqa: SLF001 - set once, by the loader alone
    return target


def tls_context(target: Target, client: Client | None = None) -> ssl.SSLContext:
    """Trust for the target's endpoints: the system's, and the target's own CA; and that client's certificate.

    Raises BadInputError.
    """
    context = ssl.create_default_context()
    if target.tls.ca is not None:
        try:
            context.load_verify_locations(cadata=target.read(target.tls.ca).decode("ascii"))
        except BadInputError as error:
            raise BadInputError(f"{target.path}: tls.ca: {error}") from None
        except (ssl.SSLError, ValueError):
            raise BadInputError(f"{target.path}: tls.ca: {target.tls.ca} holds no certificate in PEM") from None
    if client is not None and client.certificate is not None:
        where = f"{target.path}: client {client.id}"
        try:
            pem = target.read(client.certificate)
            key = target.read(client.certificate_key) if client.certificate_key is not None else b""
        except BadInputError as error:
            raise BadInputError(f"{where}: {error}") from None
        try:
            present(context, pem + b"\n" + key)
        except ssl.SSLError:
            hint = client.certificate_key or "certificate_key, where the key lies apart"
            raise BadInputError(
                f"{where}: {client.certificate}: is no certificate in PEM with its own key, unencrypted: see {hint}"
            ) from None
    return context


def present(context: ssl.SSLContext, pem: bytes) -> None:
    """Have the context show that certificate, which comes with its private key. Raises ssl.SSLError.

    The standard library reads them from a file alone: one that lies in memory and that nobody else can open.
    """
    held = os.memfd_create("certificate", os.MFD_CLOEXEC)
    try:
        os.write(held, pem)
        context.load_cert_chain(f"/proc/self/fd/{held}", password="")
    finally:
        os.close(held)
