"""One and the same token before and after: its use, its revocation, its expiry. Caches of verdicts live longer."""

from jwtdrill.catalog.reasons import Reason
from jwtdrill.tokens.cases.case import FROM_GENUINE, TOKENS, Case, History, Material, NotApplicableError, Severity
from jwtdrill.tokens.cases.crafting import genuine, with_claims

_BRIEF = 2  # seconds that a token lasts which is waited out


def _one_time(material: Material) -> str:
    if not material.one_time:
        raise NotApplicableError("the resource does not declare that a token is good once only (one_time)")
    return material.genuine


def _brief(material: Material) -> str:
    """A token that does not last; without a signer the genuine one, for as long as it takes."""
    return material.genuine if material.signer is None else with_claims(exp=lambda now, _: now + _BRIEF)(material)


CASES = (
    Case(
        "replayed",
        "replay",
        "a token that was used before, where it is good once",
        "RFC 7519 section 4.1.7",
        _one_time,
        Reason.REPLAYED,
        Severity.HIGH,
        TOKENS,
        history=History.USED,
    ),
    Case(
        "revoked",
        "lifecycle",
        "a token that was accepted, and revoked since",
        "RFC 7009 section 2.1, RFC 9700 section 4.10",
        genuine,
        Reason.REVOKED,
        Severity.MEDIUM,
        TOKENS,
        history=History.REVOKED,
        room="who verifies by the signature alone learns of it only if somebody tells, or when the token expires",
        settled_by="known_revoked",
    ),
    Case(
        "key_removed",
        "lifecycle",
        "a token that was accepted, whose key is in the issuer's set no more",
        "RFC 7517 section 5, RFC 8725 section 3.8",
        genuine,
        Reason.UNKNOWN_KID,
        Severity.HIGH,
        TOKENS,
        history=History.KEY_REMOVED,
    ),
    Case(
        "expired_since",
        "lifecycle",
        "a token that was accepted, and has expired since",
        "RFC 7519 section 4.1.4",
        _brief,
        Reason.EXPIRED,
        Severity.HIGH,
        TOKENS,
        FROM_GENUINE,
        history=History.EXPIRED,
    ),
)
