"""The faults that there are, by name. To add one: a file with its class, and a line here."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from pydantic import TypeAdapter, ValidationError

from jwtdrill.errors import BadInputError
from jwtdrill.faults.clock.skew import Skew
from jwtdrill.faults.fault import Fault
from jwtdrill.faults.http.garbage import Garbage
from jwtdrill.faults.http.hang import Hang
from jwtdrill.faults.http.latency import Latency
from jwtdrill.faults.http.missing_newest_key import MissingNewestKey
from jwtdrill.faults.http.refused import Refused
from jwtdrill.faults.http.stale import Stale
from jwtdrill.faults.http.status import Status
from jwtdrill.faults.keys.rotate_without_overlap import RotateWithoutOverlap

FAULTS: Mapping[str, type[Fault]] = {
    "clock.skew": Skew,
    "jwks.garbage": Garbage,
    "jwks.hang": Hang,
    "jwks.latency": Latency,
    "jwks.missing_newest_key": MissingNewestKey,
    "jwks.refused": Refused,
    "jwks.stale": Stale,
    "jwks.status": Status,
    "keys.rotate_without_overlap": RotateWithoutOverlap,
}


def make_fault(name: str, params: Mapping[str, Any]) -> Fault:
    """The fault of that name with those parameters. Raises BadInputError that says what is wrong with which."""
    kind = FAULTS.get(name)
    if kind is None:
        raise BadInputError(f"unknown fault {name!r}: choose from {', '.join(FAULTS)}")
    known = {field.name for field in fields(kind) if field.init}  # type: ignore[arg-type]
    strange = sorted(set(params) - known)
    if strange:
        raise BadInputError(
            f"fault {name} has no parameter {strange[0]!r}: it has {', '.join(sorted(known)) or 'none'}"
        )
    try:
        return TypeAdapter(kind).validate_python(dict(params))
    except ValidationError as error:
        mistake = error.errors(include_url=False)[0]
        where = ".".join(str(step) for step in mistake["loc"])
        raise BadInputError(f"fault {name}: parameter {where}: {mistake['msg']}") from None
