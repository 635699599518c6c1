"""A resource server of the lab, or a gateway before one: routes behind our own verification, and a token service."""

import math

from starlette.routing import Route

from jwtdrill.catalog.exposition import Instruments
from jwtdrill.lab import sts
from jwtdrill.lab.resource import guarded, own_instruments
from jwtdrill.lab.revocations import RevocationList
from jwtdrill.lab.settings import VerifierSettings, read_settings
from jwtdrill.verify import JwksCache, Verifier, VerifierPolicy
from jwtdrill.verify.middleware import Application

STS_ROUTE = "/sts"


def verifying(
    settings: VerifierSettings, cache: JwksCache, instruments: Instruments, revocations: RevocationList | None
) -> Verifier:
    """A verifier of what the settings say."""
    policy = VerifierPolicy(
        settings.issuer,
        settings.audience,
        settings.algorithms,
        settings.leeway,
        scope=settings.scope,
        most_scope=settings.most_scope,
    )
    return Verifier(
        policy,
        cache,
        instruments=instruments,
        offset_window=settings.offset_window,
        decisions=settings.decisions,
        decision_lifetime=math.inf if settings.decision_lifetime is None else settings.decision_lifetime,
        revoked=revocations.holds if revocations is not None else None,
        revoked_keys=revocations.holds_key if revocations is not None else None,
        refuse_revoked_keys=False,  # counted, so that a drill sees how long each cache trusts a stolen key
    )


def revocations_of(settings: VerifierSettings) -> RevocationList | None:
    """The list of revoked tokens that it follows, if it does."""
    return RevocationList(settings.revocations) if settings.revocations else None


def build(settings: VerifierSettings) -> Application:
    """The application."""
    instruments = own_instruments()
    cache = settings.keys.cache(settings.issuer, instruments)
    verifier = verifying(settings, cache, instruments, revocations_of(settings))
    token_service = [Route(STS_ROUTE, sts.service(verifier, settings.role), methods=["POST"])] if settings.role else []
    cache.on_hand()  # begins to fetch, so that the first request finds keys
    return guarded(settings, verifier, instruments, open_routes=token_service)


def create() -> Application:
    """The application, from the settings that the environment names."""
    return build(read_settings(VerifierSettings))
