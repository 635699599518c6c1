"""Checks assertions by RFC 7523 section 3: who speaks, for whom, to whom, when, and only once."""

from collections.abc import Mapping, Sequence
from typing import Any

import jwt

from jwtdrill.tokens.reading import claims_of, numeric_date
from jwtdrill.verify.proof import UsedOnce

_LONGEST = 600  # seconds that an assertion may last
_LONGEST_JTI = 256


class AssertionRefused(ValueError):  # noqa: N818 - an answer, not a fault of ours
    """The assertion is refused; the message says why without quoting it."""


class AssertionChecker:
    """keys: issuer name to its public JWK and algorithm. audiences: how this server may be addressed."""

    def __init__(
        self, keys: Mapping[str, tuple[Mapping[str, str], str]], *, audiences: Sequence[str], leeway: float
    ) -> None:
        self._keys = {name: (jwt.PyJWK(dict(jwk), alg).key, alg) for name, (jwk, alg) in keys.items()}
        self._audiences = list(audiences)
        self._leeway = leeway
        self._used = UsedOnce()
        self._decoder = jwt.PyJWT(
            options={
                "require": ["iss", "sub", "aud", "exp", "iat", "jti"],
                "verify_exp": False,
                "verify_nbf": False,
                "verify_iat": False,
            }
        )

    def check(self, assertion: str, *, speaks_for_itself: bool, now: float) -> tuple[str, str]:
        """Issuer and subject of a good assertion. Raises AssertionRefused."""
        said = claims_of(assertion)
        if said is None:
            raise AssertionRefused("the assertion is malformed")
        claimed = said.get("iss")
        if not isinstance(claimed, str) or claimed not in self._keys:
            raise AssertionRefused("the assertion's issuer is not known")
        key, alg = self._keys[claimed]
        try:
            claims = self._decoder.decode(assertion, key, [alg], audience=self._audiences, issuer=claimed)
        except jwt.InvalidSignatureError:
            raise AssertionRefused("the assertion's signature is wrong") from None
        except jwt.InvalidAudienceError:
            raise AssertionRefused("the assertion is meant for another audience") from None
        except jwt.MissingRequiredClaimError as error:
            raise AssertionRefused(f"the assertion lacks {error.claim}") from None
        except (jwt.InvalidTokenError, ValueError, TypeError):
            raise AssertionRefused("the assertion is malformed") from None
        self._check_times(claims, now)
        if speaks_for_itself and claims["sub"] != claimed:
            raise AssertionRefused("a client's own assertion has the client as its subject")
        if len(claims["jti"]) > _LONGEST_JTI:
            raise AssertionRefused("the assertion's jti is too long")
        # Remembered last: an assertion that fails otherwise must not use up a jti.
        if not self._used.first_time(f"{claimed} {claims['jti']}", claims["exp"] + self._leeway, now):
            raise AssertionRefused("the assertion was used before")
        return claimed, claims["sub"]

    def _check_times(self, claims: Mapping[str, Any], now: float) -> None:
        expires, issued = numeric_date(claims["exp"]), numeric_date(claims["iat"])
        not_before = numeric_date(claims.get("nbf", claims["iat"]))
        if expires is None or issued is None or not_before is None:
            raise AssertionRefused("the assertion's times are no numbers")
        if expires + self._leeway <= now:
            raise AssertionRefused("the assertion has expired")
        if max(issued, not_before) - self._leeway > now:
            raise AssertionRefused("the assertion is not valid yet")
        if expires - now > _LONGEST + self._leeway:
            raise AssertionRefused(f"the assertion lasts longer than {_LONGEST} s")
