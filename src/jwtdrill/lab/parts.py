"""The optional parts of the lab by name, and what each is."""

from collections.abc import Iterable
from enum import StrEnum

from jwtdrill.errors import BadInputError


class Part(StrEnum):
    """What `jwtdrill lab up --with` adds."""

    ENVOY = "envoy"
    GATEWAY = "gateway"
    AUTHORIZER = "authorizer"
    INTROSPECTION = "introspection"
    BROKER = "broker"
    CACHES = "caches"

    @property
    def help(self) -> str:
        """What it is, in a few words."""
        return _HELP[self]


_HELP = {
    Part.ENVOY: "Envoy's jwt_authn before a service, which does not check scopes",
    Part.GATEWAY: "a gateway that remembers decisions, before a service",
    Part.AUTHORIZER: "an API front that asks a serverless function, and keeps its answer whatever becomes of the token",
    Part.INTROSPECTION: "a resource that introspects each token at the issuer",
    Part.BROKER: "a second issuer, whose keys the first fetches to exchange its tokens",
    Part.CACHES: "a third verifier, which never fetches keys for an unknown kid",
}


def read_parts(given: Iterable[str]) -> tuple[Part, ...]:
    """Parts by name, each text one or several with commas between. Raises BadInputError."""
    names = [name.strip() for text in given for name in text.split(",") if name.strip()]
    for name in names:
        if name not in list(Part):
            raise BadInputError(f"unknown part {name!r}: choose from {', '.join(Part)}")
    return tuple(part for part in Part if part in names)
