"""The issuer signs with a new key that is not in the key set yet."""

from pydantic.dataclasses import dataclass

from jwtdrill.faults.issuer_admin import IssuerAdmin
from jwtdrill.faults.keys.base import KeysFault


@dataclass
class UseBeforePublished(KeysFault):
    """As when signers get the new key before the key set's replicas or a CDN do. It is published afterwards."""

    async def break_keys(self, issuer: IssuerAdmin) -> None:
        """Sign with it at once."""
        await issuer.step("activate", kid=await issuer.step("generate"))
