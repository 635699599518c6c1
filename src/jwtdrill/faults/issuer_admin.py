"""The admin interface of the lab's issuer, as a fault sees it."""

from dataclasses import dataclass, field

import httpx

from jwtdrill.errors import MissingPartError

_TIMEOUT = 5.0


@dataclass(frozen=True, slots=True)
class IssuerAdmin:
    """`url`: of the issuer; `token`: what its admin interface asks for; `transport`: how to get there, for tests."""

    url: str
    token: str = field(repr=False)
    transport: httpx.AsyncBaseTransport | None = field(default=None, repr=False)

    async def keys(self) -> list[dict[str, str]]:
        """kid, alg and state of every key. Raises MissingPartError."""
        content = await self._call("GET", "/admin/keys")
        keys: list[dict[str, str]] = content["keys"]
        return keys

    async def active(self) -> dict[str, str]:
        """The key that signs. Raises MissingPartError."""
        return next(key for key in await self.keys() if key["state"] == "active")

    async def step(self, step: str, **query: str) -> str:
        """One step of a rotation, with `kid` for that key, `alg` for a new one; returns the kid.

        Raises MissingPartError.
        """
        return str((await self._call("POST", f"/admin/keys/{step}", query))["kid"])

    async def overload(self, seconds: float, errors: float) -> None:
        """Have it answer that much later, and that share of its answers be errors. Raises MissingPartError."""
        await self._call("POST", "/admin/overload", {"seconds": str(seconds), "errors": str(errors)})

    async def _call(
        self, method: str, path: str, query: dict[str, str] | None = None
    ) -> dict[str, list[dict[str, str]]]:
        headers = {"Authorization": f"Bearer {self.token}"}
        try:
            async with httpx.AsyncClient(timeout=_TIMEOUT, transport=self.transport) as client:
                response = await client.request(method, self.url + path, params=query, headers=headers)
                response.raise_for_status()
                content: dict[str, list[dict[str, str]]] = response.json()
        except httpx.HTTPStatusError as error:
            raise MissingPartError(f"the issuer's admin interface refused it: {error.response.text[:200]}") from None
        except (httpx.HTTPError, ValueError) as error:
            raise MissingPartError(f"the issuer's admin interface failed: {type(error).__name__}") from None
        return content
