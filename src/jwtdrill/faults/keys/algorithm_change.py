"""The issuer signs with a new key of another algorithm, without notice to those who verify."""

from typing import ClassVar

from pydantic.dataclasses import dataclass

from jwtdrill.errors import BadInputError
from jwtdrill.faults.fault import AfterEffect
from jwtdrill.faults.issuer_admin import IssuerAdmin
from jwtdrill.faults.keys.base import UNTIL_EXPIRED, KeysFault
from jwtdrill.tokens.keys import Algorithm


@dataclass
class AlgorithmChange(KeysFault):
    """`alg`: of the new key. Afterwards the old key signs again, and the new one stands in the set as retired."""

    alg: Algorithm = Algorithm.ES256

    blast_radius: ClassVar[str] = "verifiers that take the old algorithm alone, as RFC 8725 section 3.1 has it"
    after_effect: ClassVar[AfterEffect] = UNTIL_EXPIRED

    async def break_keys(self, issuer: IssuerAdmin) -> None:
        """Rotate with overlap, to another algorithm. Raises BadInputError when it is no other."""
        if (await issuer.active())["alg"] == self.alg:
            raise BadInputError(f"the issuer signs with {self.alg} already: give another alg")
        await issuer.step("activate", kid=await issuer.step("publish", alg=self.alg))
