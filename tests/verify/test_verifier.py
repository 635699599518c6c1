"""The verifier accepts the good, names what is wrong with the bad, and never gives the token away."""

import asyncio
import base64
import hmac
import json
import logging
import threading
import time
import traceback
from typing import Any

import jwt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.conftest import FakeClock
from tests.verify.conftest import AUDIENCE, ISSUER, Endpoint, MakeCache, good, verifier

from jwtdrill.catalog.exposition import Instruments
from jwtdrill.catalog.reasons import Reason
from jwtdrill.tokens.cases import CASES, Carrier, Case, History, Material, NotApplicableError, Subject
from jwtdrill.tokens.keys import Algorithm, SigningKey
from jwtdrill.tokens.minter import Claims, Minter
from jwtdrill.verify import JwksCache, VerificationError, Verifier, VerifierPolicy
from jwtdrill.verify.metrics import ClockOffset

ASYMMETRIC = [alg for alg in Algorithm if not alg.symmetric]

# Whether a key of another algorithm under the right kid is unknown, or its signature wrong, depends on what is allowed.
OF_A_WRONG_KEY = ("stranger", "renamed_algorithm", "embedded_key")
KEY_TROUBLE = {Reason.BAD_SIGNATURE, Reason.UNKNOWN_KID, Reason.ALGORITHM_NOT_ALLOWED}


def is_seen(case: Case) -> bool:
    """Whether it is all in one access token in a header, which is what a verifier sees."""
    in_header = case.carrier is Carrier.HEADER and case.history is History.NONE
    return in_header and Subject.ACCESS_TOKEN in case.fits


@pytest.fixture
def check(make_cache: MakeCache, keys: dict[Algorithm, SigningKey]) -> Verifier:
    return verifier(make_cache(Endpoint(*(keys[alg] for alg in ASYMMETRIC))))


def reason_of(check: Verifier, token: str) -> Reason | None:
    try:
        check.verify(token)
    except VerificationError as refusal:
        return refusal.reason
    return None


@pytest.mark.parametrize("alg", [Algorithm.RS256, Algorithm.ES256, Algorithm.EDDSA])
def test_every_case_meets_with_what_it_should(
    make_cache: MakeCache, keys: dict[Algorithm, SigningKey], alg: Algorithm
) -> None:
    """All of the corpus that our verifier sees, by way of a header; debatable ones may go either way."""
    check = verifier(make_cache(Endpoint(keys[alg])), scope="orders:read", types=("at+jwt",))
    wrong = []
    for case in CASES.values():
        token = good(keys[alg], scope="orders:read")
        jwks = (keys[alg].public_jwk(),)
        material = Material(token, Minter(keys[alg]), jwks=jwks, scope="orders:read", types=("at+jwt",))
        if not is_seen(case):
            continue
        try:
            seen = reason_of(check, case.forge(material))
        except NotApplicableError:
            continue
        right = KEY_TROUBLE if case.family in OF_A_WRONG_KEY else {case.reason}
        if seen not in right and not case.debatable(material):
            wrong.append(f"{case.id} {case.reason} {seen}")
    assert not wrong


@pytest.mark.parametrize("alg", ASYMMETRIC)
def test_every_algorithm_is_verified(make_cache: MakeCache, keys: dict[Algorithm, SigningKey], alg: Algorithm) -> None:
    policy = VerifierPolicy(ISSUER, AUDIENCE, algorithms=(alg,))
    check = Verifier(policy, make_cache(Endpoint(keys[alg])))
    assert reason_of(check, good(keys[alg])) is None
    forged = CASES["bad_signature"].forge(Material(good(keys[alg])))
    assert reason_of(check, forged) is Reason.BAD_SIGNATURE


def minted(key: SigningKey, **changes: Any) -> str:
    payload = Claims.lasting(300, now=time.time(), iss=ISSUER, sub="s", aud=AUDIENCE).payload()
    payload |= changes
    return Minter(key).mint_payload({k: v for k, v in payload.items() if v is not ...})


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"exp": ...}, Reason.MISSING_CLAIM),
        ({"iat": ...}, Reason.MISSING_CLAIM),
        ({"sub": ...}, Reason.MISSING_CLAIM),
        ({"aud": ...}, Reason.MISSING_CLAIM),
        ({"iss": "https://other"}, Reason.WRONG_ISSUER),
        ({"iss": ISSUER + "/"}, Reason.WRONG_ISSUER),
        ({"aud": []}, Reason.MISSING_CLAIM),
        ({"aud": [AUDIENCE, "https://other"]}, None),
        ({"exp": True}, Reason.MALFORMED),
        ({"exp": "4000000000"}, Reason.MALFORMED),
        ({"exp": float("nan")}, Reason.MALFORMED),
        ({"exp": float("inf")}, Reason.MALFORMED),
        ({"exp": 10**400}, Reason.MALFORMED),
        ({"exp": -1}, Reason.EXPIRED),
        ({"nbf": "x"}, Reason.MALFORMED),
        ({"nbf": None}, Reason.MALFORMED),
        ({"iat": 4_000_000_000}, Reason.ISSUED_IN_FUTURE),
        ({"exp": 4_000_000_000.5}, None),
        ({"sub": 7}, Reason.MALFORMED),
    ],
)
def test_odd_claims(
    check: Verifier, keys: dict[Algorithm, SigningKey], changes: dict[str, Any], reason: Reason | None
) -> None:
    assert reason_of(check, minted(keys[Algorithm.ES256], **changes)) == reason


def header_only(header: object) -> str:
    raw = json.dumps(header).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode() + ".e30.AAAA"


@pytest.mark.parametrize(
    ("token", "reason"),
    [
        ("", Reason.MALFORMED),
        ("a.b.c", Reason.MALFORMED),
        ("é.e30.x", Reason.MALFORMED),
        (header_only([]), Reason.MALFORMED),
        (header_only({"alg": 7}), Reason.MALFORMED),
        (header_only({"alg": "ES256", "kid": ["x"]}), Reason.MALFORMED),
        (header_only({"alg": "NoNe"}), Reason.ALGORITHM_NOT_ALLOWED),
        (header_only({"alg": "HS256"}), Reason.ALGORITHM_NOT_ALLOWED),
        ("x" * 20_000, Reason.TOO_LARGE),
    ],
)
def test_odd_tokens(check: Verifier, token: str, reason: Reason) -> None:
    assert reason_of(check, token) == reason


def test_a_mac_made_with_the_public_key_is_refused(check: Verifier, keys: dict[Algorithm, SigningKey]) -> None:
    """Algorithm confusion, RFC 8725 section 2.1."""
    key = keys[Algorithm.RS256]
    head = minted(SigningKey(key.kid, Algorithm.HS256, b"0" * 32)).rpartition(".")[0]
    mac = hmac.digest(json.dumps(key.public_jwk()).encode(), head.encode(), "sha256")
    token = f"{head}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"
    assert reason_of(check, token) is Reason.ALGORITHM_NOT_ALLOWED


def test_the_key_not_the_token_says_which_algorithm(check: Verifier, keys: dict[Algorithm, SigningKey]) -> None:
    key = keys[Algorithm.RS256]
    other = SigningKey(key.kid, Algorithm.PS256, key.private)
    assert reason_of(check, minted(other)) is Reason.UNKNOWN_KID


def test_unknown_critical_headers_are_refused(check: Verifier, keys: dict[Algorithm, SigningKey]) -> None:
    key = keys[Algorithm.ES256]
    token = jwt.encode({"iss": ISSUER}, key.private, "ES256", headers={"kid": key.kid, "crit": ["x"], "x": 1})
    assert reason_of(check, token) is Reason.MALFORMED


@settings(deadline=None, max_examples=300)
@given(st.text(max_size=60) | st.binary(max_size=60).map(lambda raw: base64.urlsafe_b64encode(raw).decode() + ".a.b"))
def test_nothing_but_a_refusal_is_ever_raised(text: str) -> None:
    with JwksCache("http://unused", ISSUER, fetch=Endpoint(SigningKey.generate(Algorithm.ES256))) as cache:
        assert reason_of(verifier(cache), text) is not None


@pytest.mark.parametrize(("typ", "reason"), [("at+jwt", None), ("AT+JWT", None), ("secevent+jwt", Reason.MALFORMED)])
def test_another_kind_of_token_is_no_access_token(
    check: Verifier, keys: dict[Algorithm, SigningKey], typ: str, reason: Reason | None
) -> None:
    claims = Claims.lasting(300, now=time.time(), iss=ISSUER, sub="s", aud=AUDIENCE)
    assert reason_of(check, Minter(keys[Algorithm.ES256], typ).mint(claims)) == reason


def test_a_policy_without_expiry_is_refused() -> None:
    with pytest.raises(ValueError, match="exp must be required"):
        VerifierPolicy(ISSUER, AUDIENCE, required=("iss",))


def test_claims_that_are_not_required_may_be_missing(make_cache: MakeCache, endpoint: Endpoint) -> None:
    check = verifier(make_cache(endpoint), required=("exp",))
    assert reason_of(check, minted(endpoint.keys[0], iat=..., nbf=..., sub=...)) is None


def test_scope_is_part_of_the_verdict(make_cache: MakeCache, endpoint: Endpoint) -> None:
    check = verifier(make_cache(endpoint), scope="orders:read")
    key = endpoint.keys[0]
    check.verify(good(key, scope="profile orders:read"))
    assert reason_of(check, good(key, scope="orders:readonly")) is Reason.INSUFFICIENT_SCOPE
    assert reason_of(check, good(key)) is Reason.INSUFFICIENT_SCOPE
    assert reason_of(check, minted(key, scope=["orders:read"])) is Reason.INSUFFICIENT_SCOPE


@pytest.mark.parametrize("alg", ["HS256", "none", "RS1"])
def test_a_policy_with_an_unsafe_algorithm_is_refused(alg: str) -> None:
    with pytest.raises(ValueError, match="public key"):
        VerifierPolicy(ISSUER, AUDIENCE, algorithms=(alg,))


def test_times_are_judged_by_the_clock_with_leeway(make_cache: MakeCache, endpoint: Endpoint) -> None:
    now = time.time()
    clock = FakeClock(now)
    policy = VerifierPolicy(ISSUER, AUDIENCE, leeway=30)
    check = Verifier(policy, make_cache(endpoint), clock=clock)
    token = Minter(endpoint.keys[0]).mint(Claims.lasting(60, now=now, iss=ISSUER, sub="s", aud=AUDIENCE))
    clock.pass_(89)
    assert reason_of(check, token) is None
    clock.pass_(2)
    assert reason_of(check, token) is Reason.EXPIRED
    clock.pass_(-91 - 30)
    assert reason_of(check, token) is None
    clock.pass_(-3)
    assert reason_of(check, token) is Reason.NOT_YET_VALID


def test_asyncio_is_not_stopped_while_keys_are_fetched(make_cache: MakeCache, endpoint: Endpoint) -> None:
    check = verifier(make_cache(endpoint))
    token = good(endpoint.keys[0])
    endpoint.hold.clear()

    async def both() -> int:
        waiting = [asyncio.create_task(check.averify(token)) for _ in range(20)]
        ticks = 0
        while endpoint.fetches == 0 or ticks < 5:
            await asyncio.sleep(0.001)
            ticks += 1
        waiting[0].cancel()  # one that gives up must not take the others with it
        endpoint.hold.set()
        results = await asyncio.gather(*waiting, return_exceptions=True)
        assert isinstance(results[0], asyncio.CancelledError)
        assert all(result["sub"] == "s" for result in results[1:])
        return ticks

    assert asyncio.run(both()) >= 5
    assert endpoint.fetches == 1


def test_labels_cannot_be_grown_by_an_attacker(make_cache: MakeCache, endpoint: Endpoint) -> None:
    instruments = Instruments()
    check = Verifier(VerifierPolicy(ISSUER, AUDIENCE), make_cache(endpoint), instruments=instruments)
    check.verify(good(endpoint.keys[0]))

    def series() -> set[tuple[str, ...]]:
        return {
            tuple(sorted(sample.labels.items()))
            for family in instruments.registry.collect()
            for sample in family.samples
            if sample.name == "jwt_verification_total"
        }

    for number in range(300):
        stranger = SigningKey(f"kid-{number}", Algorithm.ES256, endpoint.keys[0].private)
        reason_of(check, good(stranger))
        reason_of(check, header_only({"alg": f"X{number}", "kid": "x"}))
        reason_of(check, minted(endpoint.keys[0], iss=f"https://evil{number}", aud=f"aud{number}"))
    # The published kid and unknown, two algorithms and unknown, and every outcome.
    assert len(series()) <= 2 * 3 * (len(Reason) + 1)
    assert not any("evil" in str(labels) or "kid-1" in str(labels) for labels in series())


def test_the_token_is_in_no_error_log_or_traceback(
    check: Verifier, keys: dict[Algorithm, SigningKey], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    for case in CASES.values():
        if case.reason is None or case.room or not is_seen(case):
            continue
        jwks = (keys[Algorithm.ES256].public_jwk(),)
        try:
            token = case.forge(Material(good(keys[Algorithm.ES256]), Minter(keys[Algorithm.ES256]), jwks=jwks))
        except NotApplicableError:
            continue
        with pytest.raises(VerificationError) as caught:
            check.verify(token)
        refusal = caught.value
        assert refusal.__context__ is None  # a library's error would hold what it could not read
        said = str(refusal) + repr(refusal) + "".join(traceback.format_exception(refusal)) + caplog.text
        assert not any(part in said for part in token.split(".") if len(part) > 8)


def test_the_clock_offset_is_the_least_of_the_last_minute(clock: FakeClock) -> None:
    offset = ClockOffset(60, clock)
    assert offset.value() != offset.value()  # NaN: no token was seen
    offset.seen(12)
    offset.seen(3)
    offset.seen(40)
    assert offset.value() == 3
    clock.pass_(45)
    offset.seen(-7)
    assert offset.value() == -7
    clock.pass_(40)
    assert offset.value() == -7
    clock.pass_(40)
    assert offset.value() != offset.value()


def test_a_skewed_token_moves_the_offset_even_though_it_is_refused(make_cache: MakeCache, endpoint: Endpoint) -> None:
    instruments = Instruments()
    check = Verifier(VerifierPolicy(ISSUER, AUDIENCE, leeway=2), make_cache(endpoint), instruments=instruments)
    ahead = Minter(endpoint.keys[0]).mint(Claims.lasting(60, now=time.time() + 30, iss=ISSUER, sub="s", aud=AUDIENCE))
    assert reason_of(check, ahead) is Reason.NOT_YET_VALID
    value = instruments.registry.get_sample_value("jwt_token_clock_offset_seconds", {"issuer": ISSUER})
    assert value == pytest.approx(-30, abs=2)


def test_many_threads_share_one_verifier(check: Verifier, keys: dict[Algorithm, SigningKey]) -> None:
    token, failures = good(keys[Algorithm.RS256]), []

    def work() -> None:
        for _ in range(50):
            failures.extend([1] if reason_of(check, token) is not None else [])

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_what_services_import_is_pinned() -> None:
    import jwtdrill.verify

    assert sorted(jwtdrill.verify.__all__) == [
        *("BearerMiddleware", "CachePolicy", "Claims", "ClientAddresses", "FetchLimits", "ForwardedCertificates"),
        *("JwksCache", "LeakWatch", "Nonces", "ProofChecker", "ReplayMemory", "ReplayStore", "TokenVerifier"),
        *("VerificationError", "Verifier", "VerifierPolicy"),
    ]
