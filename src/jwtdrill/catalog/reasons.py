"""Why a verifier refuses a token, and who is to blame for it.

The names follow the checks of RFC 7519 section 4.1, RFC 8725 and RFC 6750 section 3.1. Blame decides what
burns the verification objective: a legitimate rejection must not (requirement M3).
"""

from enum import StrEnum


class Blame(StrEnum):
    """Whose fault a refusal is."""

    SERVICE = "service"
    CLIENT = "client"
    AMBIGUOUS = "ambiguous"  # an attack, a client or an outage: the canary tells which


class Reason(StrEnum):
    """The reason label of `jwt_verification_total`."""

    EXPIRED = "expired"
    NOT_YET_VALID = "not_yet_valid"
    ISSUED_IN_FUTURE = "issued_in_future"
    BAD_SIGNATURE = "bad_signature"
    UNKNOWN_KID = "unknown_kid"
    ALGORITHM_NOT_ALLOWED = "algorithm_not_allowed"
    WRONG_AUDIENCE = "wrong_audience"
    WRONG_ISSUER = "wrong_issuer"
    MISSING_CLAIM = "missing_claim"
    MALFORMED = "malformed"
    TOO_LARGE = "too_large"
    REPLAYED = "replayed"
    REVOKED = "revoked"
    INSUFFICIENT_SCOPE = "insufficient_scope"
    PROOF_INVALID = "proof_invalid"
    KEY_UNAVAILABLE = "key_unavailable"
    REPLAY_UNKNOWN = "replay_unknown"  # good once only, and nobody can tell whether it was used before

    __hash__ = str.__hash__  # an enumeration's own is a Python function, and every token is counted by its reason

    @property
    def blame(self) -> Blame:
        """Whose fault a refusal for this reason is."""
        return _BLAME.get(self, Blame.CLIENT)


_BLAME = {
    Reason.KEY_UNAVAILABLE: Blame.SERVICE,
    Reason.REPLAY_UNKNOWN: Blame.SERVICE,
    Reason.BAD_SIGNATURE: Blame.AMBIGUOUS,
    Reason.UNKNOWN_KID: Blame.AMBIGUOUS,
    Reason.EXPIRED: Blame.AMBIGUOUS,
    Reason.NOT_YET_VALID: Blame.AMBIGUOUS,
    Reason.ISSUED_IN_FUTURE: Blame.AMBIGUOUS,
}


# Refusals that clients in good order do not meet with: of those blamed on the client, all but the ones that follow from
# a wrong setting (audience, scope, claims) or belong to a protocol (proofs, of which RFC 9449 refuses the first).
MISUSE = (
    Reason.ALGORITHM_NOT_ALLOWED,
    Reason.WRONG_ISSUER,
    Reason.MALFORMED,
    Reason.TOO_LARGE,
    Reason.REPLAYED,
    Reason.REVOKED,
)


# Ambiguous ones that bad traffic shows itself by: tokens from the future tell of clocks, for nobody forges them.
SUSPECT = (Reason.BAD_SIGNATURE, Reason.UNKNOWN_KID, Reason.EXPIRED)


def reasons_blamed_on(blame: Blame) -> tuple[Reason, ...]:
    """The reasons with that blame, in the order of the enumeration."""
    return tuple(reason for reason in Reason if reason.blame is blame)


class TokenError(StrEnum):
    """The error label of `jwt_issuance_total`: codes of RFC 6749 section 5.2, and 4.1.2.1 for the two last."""

    INVALID_REQUEST = "invalid_request"
    INVALID_CLIENT = "invalid_client"
    INVALID_GRANT = "invalid_grant"
    UNAUTHORIZED_CLIENT = "unauthorized_client"
    UNSUPPORTED_GRANT_TYPE = "unsupported_grant_type"
    INVALID_SCOPE = "invalid_scope"
    SERVER_ERROR = "server_error"
    TEMPORARILY_UNAVAILABLE = "temporarily_unavailable"

    @property
    def blame(self) -> Blame:
        """The service's where it failed, the client's where it was asked for the wrong thing."""
        return Blame.SERVICE if self in (self.SERVER_ERROR, self.TEMPORARILY_UNAVAILABLE) else Blame.CLIENT
