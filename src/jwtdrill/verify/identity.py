"""Which token it is, in a few bytes: a name that another spelling of its signature does not change."""

import hashlib
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

_LONGEST_JTI = 64
TokenName = tuple[str | bytes, float]


def token_name(token: str, claims: Mapping[str, Any]) -> TokenName:
    """The name of a verified token: its jti and expiry, or a hash of what is signed where there is no handy jti."""
    jti = claims.get("jti")
    if isinstance(jti, str) and 0 < len(jti) <= _LONGEST_JTI:
        return jti, claims["exp"]
    return hashlib.sha256(token.rpartition(".")[0].encode("utf-8", "surrogatepass")).digest(), claims["exp"]


class Recent(OrderedDict[TokenName, tuple[str, ...]]):
    """Something of each of the `most` tokens that were used last."""

    def __init__(self, most: int) -> None:
        super().__init__()
        if most < 1:
            raise ValueError(f"most must be 1 or more, not {most}")
        self._most = most

    def keep(self, name: TokenName, value: tuple[str, ...] = ()) -> None:
        """Remember it; the token whose use is longest ago makes room."""
        self[name] = value
        if len(self) > self._most:
            self.popitem(last=False)
