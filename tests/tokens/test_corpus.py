"""Every case of the corpus: refused by a correct verifier, let in by one that is broken in one way."""

import contextlib
import time
from functools import cache

import pytest
from tests.probe.flawed import FLAWS, PROOF_FLAWS, FlawedAssertions, FlawedProofs, FlawedVerifier

from jwtdrill.flows.exchange import Response
from jwtdrill.flows.proof import Prover
from jwtdrill.tokens.cases import CASES, Carrier, Case, History, Material, Need, NotApplicableError, Subject
from jwtdrill.tokens.keys import Algorithm, SigningKey
from jwtdrill.tokens.minter import Claims, Minter

ISSUER, AUDIENCE, SCOPE, TYPES = "https://idp.example/realm", "https://orders.example", "orders:read", ("at+jwt",)
# Nobody would take these for tokens but who takes everything; what they attack is what reading them costs.
LET_IN_BY_NOBODY_ELSE = {
    *("one_part", "dots_alone", "one_dot", "garbage", "null_word", "undefined_word", "many_dots"),
    *("deep_claims", "jwe_slow_key", "jwe_bomb"),
}
KEYS = {alg: SigningKey.generate(alg) for alg in (Algorithm.RS256, Algorithm.ES256, Algorithm.EDDSA)}
IN_HEADERS = [
    case
    for case in CASES.values()
    if case.carrier is Carrier.HEADER and Subject.ACCESS_TOKEN in case.fits and case.history is History.NONE
]
BAD = [case for case in IN_HEADERS if case.reason is not None]
GOOD = [case for case in IN_HEADERS if case.reason is None]


def material(key: SigningKey) -> Material:
    claims = Claims.lasting(300, now=time.time(), iss=ISSUER, sub="user", aud=AUDIENCE, scope=SCOPE)
    minter = Minter(key)
    return Material(minter.mint(claims), minter, jwks=(key.public_jwk(),), scope=SCOPE, types=TYPES)


def verifier(key: SigningKey, *flaws: str) -> FlawedVerifier:
    return FlawedVerifier(key, ISSUER, AUDIENCE, SCOPE, TYPES, *flaws)


@cache
def forged(case: Case) -> list[tuple[SigningKey, Material, str]]:
    """The case for each algorithm of the issuer for which it can be made."""
    made = []
    for key in KEYS.values():
        ground = material(key)
        try:
            made.append((key, ground, case.forge(ground)))
        except NotApplicableError:
            continue
    return made


@pytest.mark.parametrize("case", BAD, ids=lambda case: case.id)
def test_a_correct_verifier_refuses_it(case: Case) -> None:
    made = forged(case)
    assert made
    for key, ground, token in made:
        refusal = verifier(key).refusal(token)
        assert refusal or case.debatable(ground), key.alg


@pytest.mark.parametrize("case", GOOD, ids=lambda case: case.id)
def test_a_correct_verifier_accepts_it(case: Case) -> None:
    made = forged(case)
    assert made or case.id.startswith("good_typ")
    for key, ground, token in made:
        refusal = verifier(key).refusal(token)
        assert not refusal or case.debatable(ground), key.alg


@pytest.mark.parametrize("case", BAD, ids=lambda case: case.id)
def test_one_flaw_alone_lets_it_in(case: Case) -> None:
    """So it has one defect and no more: were there a second, the check that is whole would refuse it."""
    if case.family == "key_by_url":
        pytest.skip("needs somebody who listens: see the tests of the attack")
    made = forged(case)
    assert all(not verifier(key, "accepts_everything").refusal(token) for key, _, token in made)
    guilty = any(
        not verifier(key, flaw).refusal(token)
        for flaw in FLAWS
        if flaw not in ("accepts_everything", "follows_urls", "follows_issuer")
        for key, _, token in made
    )
    assert guilty == (case.id not in LET_IN_BY_NOBODY_ELSE)


@pytest.mark.parametrize(
    "flaw",
    sorted(
        FLAWS.keys() - {"accepts_everything", "ignores_signature", "ignores_header", "follows_urls", "follows_issuer"}
    ),
)
def test_each_flaw_is_blind_to_something_and_not_to_all(flaw: str) -> None:
    key = KEYS[Algorithm.ES256]
    missed = sum(not verifier(key, flaw).refusal(token) for case in BAD for at, _, token in forged(case) if at is key)
    assert missed < len(BAD) / 4


def test_ids_are_unique_and_say_where_they_come_from() -> None:
    families = [case.family for case in CASES.values()]
    assert len(CASES) >= 150
    assert all(families.count(family) < len(CASES) / 4 for family in set(families))
    for case in CASES.values():
        assert case.source.split(" ")[0].partition("-")[0] in ("RFC", "CVE", "FIPS", "draft"), case.id
        assert case.attacks == case.attacks.strip()
        assert not case.attacks.endswith(".")
        assert case.settled_by == "" or hasattr(material(KEYS[Algorithm.ES256]), case.settled_by)


@pytest.mark.parametrize("case", BAD, ids=lambda case: case.id)
def test_it_takes_no_more_than_it_says(case: Case) -> None:
    """A case that claims to need no signer, no keys or no genuine token is made without."""
    whole = material(KEYS[Algorithm.RS256])
    poor = Material(
        whole.genuine if Need.GENUINE in case.needs else "",
        whole.signer if Need.SIGNER in case.needs else None,
        jwks=whole.jwks if Need.JWKS in case.needs else (),
        scope=SCOPE,
        types=TYPES,
    )
    with contextlib.suppress(NotApplicableError):
        assert case.forge(poor)


@pytest.mark.parametrize("case", CASES.values(), ids=lambda case: case.id)
def test_tokens_that_are_no_jwts_make_no_case_fall_over(case: Case) -> None:
    """Issuers give opaque tokens too: then cases that take one apart say that they cannot be made."""
    signer, published = Minter(KEYS[Algorithm.ES256]), ({"kty": "EC", "crv": "P-256"}, {"kty": "RSA"})
    for genuine in ("opaque", "a.b.c", "e30.e30", "bm8.bm8.bm8"):
        try:
            made = case.forge(Material(genuine, signer, jwks=published, scope=SCOPE))
        except NotApplicableError:
            continue
        plainly = case.carrier is Carrier.HEADER and case.history is History.NONE
        assert made != genuine or case.reason is None or not plainly


def test_a_forged_signature_differs_in_bytes() -> None:
    from jwtdrill.tokens.cases.crafting import decode

    for key in KEYS.values():
        ground = material(key)
        genuine = decode(ground.genuine.rpartition(".")[2])
        for case in BAD:
            if case.family == "signature_bytes" and Need.GENUINE in case.needs:
                try:
                    forged_signature = case.forge(ground).split(".")[2:]
                except NotApplicableError:
                    continue
                assert not forged_signature or decode(forged_signature[0]) != genuine, case.id


CLIENT, SERVER, ENDPOINT = "orders-client", "https://idp.example", "https://idp.example/token"


def asserted(subject: Subject) -> list[tuple[Case, Material, str]]:
    """All cases for that kind of assertion, made from a good one of one client."""
    key, made = KEYS[Algorithm.ES256], []
    for case in CASES.values():
        claims = Claims.lasting(60, now=time.time(), iss=CLIENT, sub=CLIENT, aud=SERVER)
        minter = Minter(key, "JWT")
        ground = Material(minter.mint(claims), minter, jwks=(key.public_jwk(),), issuer=SERVER, token_endpoint=ENDPOINT)
        if subject in case.fits and case.history is History.NONE:
            with contextlib.suppress(NotApplicableError):
                made.append((case, ground, case.forge(ground)))
    return made


@pytest.mark.parametrize("subject", [Subject.ASSERTION, Subject.CLIENT_ASSERTION])
def test_assertions_are_told_apart_and_one_flaw_lets_each_in(subject: Subject) -> None:
    def checker(*flaws: str) -> FlawedAssertions:
        as_client = subject is Subject.CLIENT_ASSERTION
        return FlawedAssertions(KEYS[Algorithm.ES256], CLIENT, SERVER, *flaws, as_client=as_client)

    right, wrong, innocent = checker(), [], []
    guilty = [checker(flaw) for flaw in FLAWS if flaw not in ("accepts_everything", "follows_urls")]
    for case, ground, token in asserted(subject):
        refused = bool(right.refusal(token))
        if refused != (case.reason is not None) and not case.debatable(ground):
            wrong.append(case.id)
        if case.reason is None or case.family == "key_by_url" or case.id in LET_IN_BY_NOBODY_ELSE:
            continue
        if all(flawed.refusal(token) for flawed in guilty):
            innocent.append(case.id)
    assert not wrong
    assert not innocent


def test_proofs_are_told_apart_and_one_flaw_lets_each_in() -> None:
    prover, url, token = Prover(), "https://api.example/orders", "e30.e30.e30"
    prover.wants_again(url, Response(200, {"dpop-nonce": "n1"}))
    minter = Minter(prover.key, "dpop+jwt")

    def checker(*flaws: str) -> FlawedProofs:
        return FlawedProofs("GET", url, token, prover.thumbprint, "n1", *flaws)

    wrong, innocent, count = [], [], 0
    for case in CASES.values():
        if Subject.PROOF not in case.fits or case.carrier is not Carrier.HEADER or case.history is not History.NONE:
            continue
        ground = Material(prover.proof("GET", url, token), minter, jwks=(prover.key.public_jwk(),))
        try:
            proof = case.forge(ground)
        except NotApplicableError:
            continue
        count += 1
        if bool(checker().refusal(proof)) != (case.reason is not None) and not case.debatable(ground):
            wrong.append(case.id)
        flaws = [flaw for flaw in PROOF_FLAWS if case.family == "proof" and flaw != "accepts_everything"]
        if flaws and all(checker(flaw).refusal(proof) for flaw in flaws):
            innocent.append(case.id)
    assert count > 100
    assert not wrong
    assert not innocent
