"""Checks proofs of possession (DPoP, RFC 9449): that who bears a token holds the key that it is bound to."""

import heapq
import hmac
import json
import secrets
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

import jwt
from jwt.utils import base64url_encode

from jwtdrill.catalog.reasons import Reason
from jwtdrill.tokens.digests import access_token_hash, thumbprint
from jwtdrill.tokens.reading import json_object, numeric_date
from jwtdrill.verify.errors import VerificationError
from jwtdrill.verify.keyset import parse_key

_LONGEST = 8 * 1024
_LONGEST_JTI = 256
_MOST_REMEMBERED = 100_000
_PRIVATE_MEMBERS = ("d", "p", "q", "dp", "dq", "qi", "oth", "k")


class NonceWantedError(VerificationError):
    """The proof lacks the nonce of this server, or has an old one: it must come again with a fresh one."""

    def __init__(self) -> None:
        super().__init__(Reason.PROOF_INVALID, "the proof must carry this server's nonce")


class UsedOnce:
    """Remembers names until they would have expired anyway; the oldest go first when there are too many."""

    def __init__(self, most: int = _MOST_REMEMBERED) -> None:
        self._most = most
        self._seen: set[str] = set()
        self._order: list[tuple[float, str]] = []

    def first_time(self, name: str, expires: float, now: float) -> bool:
        """Whether the name is new; it is remembered."""
        while self._order and (self._order[0][0] <= now or len(self._order) >= self._most):
            self._seen.discard(heapq.heappop(self._order)[1])
        if name in self._seen:
            return False
        self._seen.add(name)
        heapq.heappush(self._order, (expires, name))
        return True

    def __len__(self) -> int:
        return len(self._seen)


class Nonces:
    """Nonces that need no memory (RFC 9449 section 8): a MAC of the time, each good for two periods."""

    def __init__(self, period: float = 60.0, clock: Callable[[], float] = time.time) -> None:
        self._secret = secrets.token_bytes(32)
        self._period = period
        self._clock = clock

    def current(self) -> str:
        """The one to hand out now."""
        return self._at(int(self._clock() / self._period))

    def good(self, nonce: object) -> bool:
        """Whether it was handed out a moment ago."""
        if not isinstance(nonce, str):
            return False
        turn = int(self._clock() / self._period)
        return any(hmac.compare_digest(nonce.encode(), self._at(turn - back).encode()) for back in (0, 1))

    def _at(self, turn: int) -> str:
        return base64url_encode(hmac.digest(self._secret, str(turn).encode(), "sha256")[:16]).decode()


class ProofChecker:
    """Checks the proofs that come to one server.

    leeway: seconds that a proof may be old, and as many that its clock may be ahead. nonces: where the server asks for
    one of its own.
    """

    def __init__(
        self,
        *,
        algorithms: tuple[str, ...] = ("ES256", "EdDSA", "RS256", "PS256"),
        leeway: float = 30.0,
        nonces: Nonces | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.algorithms = algorithms
        self._leeway = leeway
        self.nonces = nonces
        self._clock = clock
        self._used = UsedOnce()
        self._jws = jwt.PyJWS()

    def check(self, proof: str, *, method: str, url: str, token: str | None = None) -> str:
        """The thumbprint (RFC 7638) of the key that the proof shows. Raises VerificationError, NonceWantedError.

        token: the access token that comes with it; at a token endpoint there is none (RFC 9449 section 4.3).
        """
        if len(proof) > _LONGEST:
            raise _invalid("it is too large")
        jwk, claims = self._read(proof)
        if claims.get("htm") != method:
            raise _invalid("it is made for another method")
        if not _same_place(claims.get("htu"), url):
            raise _invalid("it is made for another URL")
        issued, now = numeric_date(claims.get("iat")), self._clock()
        if issued is None:
            raise _invalid("iat is not a NumericDate")
        if abs(now - issued) > self._leeway:
            raise _invalid("it was made too long ago, or is yet to be made")
        if token is not None and claims.get("ath") != access_token_hash(token):
            raise _invalid("it is made for another token")
        if self.nonces is not None and not self.nonces.good(claims.get("nonce")):
            raise NonceWantedError
        shown = thumbprint(jwk)
        identifier = claims.get("jti")
        if not isinstance(identifier, str) or not 0 < len(identifier) <= _LONGEST_JTI:
            raise _invalid("it has no jti of a sensible length")
        if not self._used.first_time(f"{shown}/{identifier}", issued + 2 * self._leeway, now):
            raise _invalid("it was used before")
        return shown

    def _read(self, proof: str) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        header = json_object(proof.partition(".")[0])
        if header is None:
            raise _invalid("its header is no JSON object")
        jwk = header.get("jwk")
        if header.get("typ") != "dpop+jwt":
            raise _invalid("it is no proof by its typ")
        if header.get("alg") not in self.algorithms:
            raise _invalid("its algorithm is not one of ours")
        if not isinstance(jwk, dict) or any(name in jwk for name in _PRIVATE_MEMBERS):
            raise _invalid("its header holds no public key")
        key = parse_key({name: jwk[name] for name in jwk if name not in ("kid", "use", "key_ops")})
        if key is None or header["alg"] not in key.algorithms:
            raise _invalid("its key cannot be used")
        refusal = None
        claims: Any = None
        try:
            claims = json.loads(self._jws.decode(proof, key.key, algorithms=[header["alg"]]))
        except jwt.InvalidSignatureError:
            refusal = _invalid("its signature does not fit its key")
        except (jwt.InvalidTokenError, ValueError, TypeError, RecursionError):  # foreign input
            refusal = _invalid("it is malformed")
        if refusal is not None:
            raise refusal
        if not isinstance(claims, dict):
            raise _invalid("its claims are no JSON object")
        return jwk, claims


def _same_place(claimed: object, url: str) -> bool:
    """Whether both are one URL without query and fragment, normalised (RFC 9449 section 4.3, point 9)."""
    return isinstance(claimed, str) and _place(claimed) == _place(url) and "?" not in claimed and "#" not in claimed


def _place(url: str) -> tuple[str, str, int | None, str]:
    try:
        parts = urlsplit(url)
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError:
        return "", "", None, ""
    return parts.scheme.lower(), (parts.hostname or "").lower(), port, parts.path or "/"


def _invalid(detail: str) -> VerificationError:
    return VerificationError(Reason.PROOF_INVALID, detail)
