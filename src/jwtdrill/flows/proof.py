"""Proofs of possession as a client makes them (DPoP, RFC 9449)."""

import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from jwtdrill.flows.exchange import Request, Response
from jwtdrill.tokens.cases.crafting import seal, signing_with
from jwtdrill.tokens.digests import access_token_hash, thumbprint
from jwtdrill.tokens.keys import Algorithm, SigningKey

_USE_NONCE = "use_dpop_nonce"


class Prover:
    """One client's key, and the nonce that each server gave it last."""

    def __init__(self, key: SigningKey | None = None, clock: Callable[[], float] = time.time) -> None:
        self.key = key or SigningKey.generate(Algorithm.ES256)
        members = ("kty", "crv", "x", "y", "n", "e")
        self.jwk: dict[str, str] = {name: value for name, value in self.key.public_jwk().items() if name in members}
        self.thumbprint = thumbprint(self.jwk)
        self._clock = clock
        self._sign = signing_with(self.key)
        self._nonces: dict[str, str] = {}

    def claims(self, method: str, url: str, token: str | None = None) -> dict[str, Any]:
        """What a good proof for that request says (RFC 9449 section 4.2)."""
        place = url.partition("?")[0].partition("#")[0]
        claims: dict[str, Any] = {
            "jti": secrets.token_urlsafe(12),
            "htm": method,
            "htu": place,
            "iat": int(self._clock()),
        }
        if token is not None:
            claims["ath"] = access_token_hash(token)
        if (nonce := self._nonces.get(_origin(url))) is not None:
            claims["nonce"] = nonce
        return claims

    def header(self) -> dict[str, Any]:
        """The header of a good proof."""
        return {"typ": "dpop+jwt", "alg": self.key.alg.value, "jwk": self.jwk}

    def proof(self, method: str, url: str, token: str | None = None) -> str:
        """A good proof for one request."""
        return seal(self.header(), self.claims(method, url, token), self._sign)

    def sealed(self, header: Mapping[str, Any] | bytes, claims: Mapping[str, Any] | bytes) -> str:
        """A proof that says just that."""
        return seal(header, claims, self._sign)

    def proved(self, request: Request, token: str | None = None, proof: str | None = None) -> Request:
        """The request with a proof; with a token it is borne under the DPoP scheme (RFC 9449 section 7.1)."""
        headers = {**request.headers, "DPoP": proof or self.proof(request.method, request.url, token)}
        if token is not None:
            headers["Authorization"] = f"DPoP {token}"
        return replace(request, headers=headers)

    def has_nonce(self, url: str) -> bool:
        """Whether that server has given one."""
        return _origin(url) in self._nonces

    def wants_again(self, url: str, response: Response) -> bool:
        """Whether the server asks for the same with the nonce that it gives; any nonce is kept (RFC 9449 section 8)."""
        nonce = response.headers.get("dpop-nonce")
        if nonce is None:
            return False
        self._nonces[_origin(url)] = nonce
        content = response.json()
        code = content.get("error") if isinstance(content, Mapping) else None
        return code == _USE_NONCE or _USE_NONCE in response.headers.get("www-authenticate", "")


def _origin(url: str) -> str:
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.partition('/')[0]}"
