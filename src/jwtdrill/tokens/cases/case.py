"""What a case is: a kind of token with exactly one defect, or none, and what it should meet with."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from jwtdrill.catalog.reasons import Reason
from jwtdrill.catalog.verdicts import Expected
from jwtdrill.tokens.minter import Minter


class Need(StrEnum):
    """What a case is made from. One that needs nothing is made of thin air."""

    JWKS = "jwks"  # the issuer's public keys
    GENUINE = "genuine"  # a genuine token, used or tampered with
    SIGNER = "signer"  # the key that signs such tokens


class Subject(StrEnum):
    """What kind of token a case is a kind of, and so to whom it can be sent."""

    ACCESS_TOKEN = "access_token"  # to a resource (RFC 6750, RFC 9068)  # noqa: S105 - a name
    ASSERTION = "assertion"  # to a token endpoint, as an authorization grant (RFC 7523 section 2.1)
    CLIENT_ASSERTION = "client_assertion"  # to a token endpoint, to authenticate a client (RFC 7523 section 2.2)
    PROOF = "proof"  # beside a token, to prove possession (RFC 9449)
    CERTIFICATE = "certificate"  # whatever is bound to the certificate that mutual TLS shows (RFC 8705)


class Severity(StrEnum):
    """How bad it is when a verifier lets such a token in."""

    CRITICAL = "critical"  # anybody can make one
    HIGH = "high"  # whoever has any token, or had one, can
    MEDIUM = "medium"  # needs a token that the issuer gave for something else, or a careless issuer
    LOW = "low"  # a rule is broken, and no way is known to live on that alone


class Carrier(StrEnum):
    """How the request bears the token (RFC 6750 section 2)."""

    HEADER = "header"
    QUERY = "query"
    FORM = "form"
    HEADER_AND_QUERY = "header_and_query"
    TWO_HEADERS = "two_headers"
    OTHER_SCHEME = "other_scheme"
    LOWER_CASE_SCHEME = "lower_case_scheme"
    NOTHING = "nothing"
    NO_PROOF = "no_proof"
    AS_BEARER = "as_bearer"
    TWO_PROOFS = "two_proofs"
    NO_CERTIFICATE = "no_certificate"
    STRANGE = "strange"  # with a certificate that nobody vouches for
    ANOTHERS = "anothers"  # with another client's certificate
    SAME_KEY = "same_key"  # with another certificate for the client's key
    IDENTITY_HEADERS = "identity_headers"  # no token, and headers by which an edge would say who asks
    IN_HEADERS = "in_headers"  # with the client's certificate in headers alone


class History(StrEnum):
    """What happened to the very same token before it is judged. Each time it was accepted first."""

    NONE = "none"
    USED = "used"
    REVOKED = "revoked"
    KEY_REMOVED = "key_removed"
    EXPIRED = "expired"  # waited out, so that a remembered verdict shows


class NotApplicableError(Exception):
    """The case cannot be made for this target; the message says why."""


NOBODY = "http://127.0.0.1:9"  # the port of the protocol Discard, at which nobody listens


@dataclass(frozen=True, slots=True)
class Material:
    """What a case may be made from, and what the target file declares.

    genuine: a fresh good token of the kind. signer: the key that signs such tokens, where we may hold it. jwks: the
    issuer's public keys as published. listener: the URL of a server of ours that hostile headers may point at.
    issuer, token_endpoint: where assertions are sent. scope, types, leeway, one_time: of the resource, as far as
    declared. certificate: of the client, in DER, where the token is bound to it.
    """

    genuine: str = field(repr=False)
    signer: Minter | None = None
    now: float = 0.0
    jwks: tuple[Mapping[str, Any], ...] = ()
    listener: str = NOBODY
    issuer: str = ""
    token_endpoint: str = ""
    scope: str | None = None
    types: tuple[str, ...] = ()
    leeway: float = 60.0
    one_time: bool = False
    known_revoked: bool = False  # judged by the issuer itself, who knows what it has revoked
    certificate: bytes = field(default=b"", repr=False)

    @property
    def asserted(self) -> bool:
        """Whether it is an assertion, of which more is asked than of a token (RFC 7523 section 3)."""
        return bool(self.token_endpoint)

    @property
    def expires(self) -> bool:
        """Whether it must say when: an assertion, or an access token of RFC 9068 as the target declares."""
        return self.asserted or self.strict_types

    @property
    def strict_types(self) -> bool:
        """Whether the target declares that it takes RFC 9068 tokens alone."""
        return bool(self.types) and not {"jwt", ""} & set(self.types)

    def at(self) -> int:
        """The time that claims are set around, in whole seconds."""
        return int(self.now or time.time())


Forge = Callable[[Material], str]
TYPES_UNDECLARED = "the target does not declare which types of token it takes"
NOTHING: frozenset[Need] = frozenset()
FROM_GENUINE = frozenset({Need.GENUINE})
BY_SIGNER = frozenset({Need.GENUINE, Need.SIGNER})
ANY = frozenset(Subject) - {Subject.CERTIFICATE}
TOKENS = frozenset({Subject.ACCESS_TOKEN})
NAMING_KEYS = ANY - {Subject.PROOF}  # a proof brings its key with it
ASSERTIONS = frozenset({Subject.ASSERTION, Subject.CLIENT_ASSERTION})


@dataclass(frozen=True, slots=True)
class Case:
    """One kind of token.

    attacks: what it tries, in a few words. reason: why a correct verifier refuses it. source: the clause or CVE.
    room: what leaves room for either verdict; such a case is a remark, never a failure. settled_by: the name of what
    takes that room away where the target declares it.
    """

    id: str
    family: str
    attacks: str
    source: str
    forge: Forge
    reason: Reason | None = None
    severity: Severity = Severity.HIGH
    fits: frozenset[Subject] = ANY
    needs: frozenset[Need] = FROM_GENUINE
    carrier: Carrier = Carrier.HEADER
    room: str = ""
    settled_by: str = ""
    history: History = History.NONE

    @property
    def expected(self) -> Expected:
        """A token without a reason to refuse it must be accepted."""
        return Expected.ACCEPTED if self.reason is None else Expected.REJECTED

    def debatable(self, material: Material) -> str:
        """Why either verdict is right for this target; empty where only one is."""
        return "" if self.settled_by and getattr(material, self.settled_by) else self.room

    def missing(self, material: Material) -> Need | None:
        """What this case needs and the material has not."""
        have = {
            Need.GENUINE: bool(material.genuine),
            Need.JWKS: bool(material.jwks),
            Need.SIGNER: material.signer is not None,
        }
        return next((need for need, there in have.items() if need in self.needs and not there), None)
