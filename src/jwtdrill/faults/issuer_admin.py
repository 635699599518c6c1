"""The admin interface of the lab's issuer, as a fault sees it."""

from dataclasses import dataclass, field

import httpx

from jwtdrill.errors import MissingPartError

_TIMEOUT = 5.0


@dataclass(frozen=True, slots=True)
class IssuerAdmin:
    """`url`: of the issuer; `token`: what its admin interface asks for."""

    url: str
    token: str = field(repr=False)

    async def keys(self) -> list[dict[str, str]]:
        """kid, alg and state of every key. Raises MissingPartError."""
        content = await self._call("GET", "/admin/keys")
        keys: list[dict[str, str]] = content["keys"]
        return keys

    async def step(self, step: str, kid: str = "") -> str:
        """One step of a rotation; returns the kid. Raises MissingPartError."""
        return str((await self._call("POST", f"/admin/keys/{step}", {"kid": kid}))["kid"])

    async def _call(
        self, method: str, path: str, query: dict[str, str] | None = None
    ) -> dict[str, list[dict[str, str]]]:
        headers = {"Authorization": f"Bearer {self.token}"}
        try:
            async with httpx.AsyncClient(timeout=_TIMEOUT) as client:
                response = await client.request(method, self.url + path, params=query, headers=headers)
                response.raise_for_status()
                content: dict[str, list[dict[str, str]]] = response.json()
        except (httpx.HTTPError, ValueError) as error:
            raise MissingPartError(f"the issuer's admin interface failed: {type(error).__name__}") from None
        return content
