"""Times in tokens are wrong, as by an issuer whose clock has drifted, without touching any clock."""

from pydantic.dataclasses import dataclass

from jwtdrill.faults.misuse.base import MisuseFault
from jwtdrill.flows import misuse


@dataclass(kw_only=True)
class SkewedClaims(MisuseFault, misuse.SkewedClaims):
    """Such tokens beside the good ones until undone; parameters as in `flows.misuse.SkewedClaims`."""
