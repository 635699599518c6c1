"""Instrumented verification for services: what a Python resource server imports.

cache = JwksCache("https://idp.example/jwks", issuer)
verifier = Verifier(VerifierPolicy(issuer, audience), cache)
claims = verifier.verify(token)           # or: await verifier.averify(token)
"""

from jwtdrill.verify.addresses import ClientAddresses
from jwtdrill.verify.cache import CachePolicy, JwksCache
from jwtdrill.verify.certificate import ForwardedCertificates
from jwtdrill.verify.errors import VerificationError
from jwtdrill.verify.fetch import FetchLimits
from jwtdrill.verify.leaks import LeakWatch
from jwtdrill.verify.middleware import BearerMiddleware, TokenVerifier
from jwtdrill.verify.proof import Nonces, ProofChecker
from jwtdrill.verify.replay import ReplayMemory, ReplayStore
from jwtdrill.verify.verifier import Claims, Verifier, VerifierPolicy

__all__ = [
    "BearerMiddleware",
    "CachePolicy",
    "Claims",
    "ClientAddresses",
    "FetchLimits",
    "ForwardedCertificates",
    "JwksCache",
    "LeakWatch",
    "Nonces",
    "ProofChecker",
    "ReplayMemory",
    "ReplayStore",
    "TokenVerifier",
    "VerificationError",
    "Verifier",
    "VerifierPolicy",
]
