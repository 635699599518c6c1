"""A rotation with overlap is rolled back, and the rollback takes the very key that signs out of the set.

GitHub's availability report of December 2023 tells of it: the disabled key was the one in use.
"""

from typing import ClassVar

from pydantic.dataclasses import dataclass

from jwtdrill.faults.issuer_admin import IssuerAdmin
from jwtdrill.faults.keys.base import KeysFault


@dataclass
class RollbackDisablesLiveKey(KeysFault):
    """Tokens that the old key signed are good all the while. The new key is published again afterwards."""

    blast_radius: ClassVar[str] = "every verifier of the issuer, for all tokens that the new key signs"

    async def break_keys(self, issuer: IssuerAdmin) -> None:
        """Rotate properly, then disable the new key."""
        new = await issuer.step("publish")
        await issuer.step("activate", kid=new)
        await issuer.step("disable", kid=new)
