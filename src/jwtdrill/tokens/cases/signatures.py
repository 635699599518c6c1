"""What is done to the bytes of a signature, and claims altered under a genuine one."""

from collections.abc import Callable

from jwtdrill.catalog.reasons import Reason
from jwtdrill.tokens.cases.case import ANY, TOKENS, Case, Forge, Material, Severity, Subject
from jwtdrill.tokens.cases.crafting import (
    Members,
    claims_of,
    compact_json,
    der,
    ecdsa_halves,
    ecdsa_order,
    ecdsa_signature,
    encode,
    header_of,
    seal,
    segments,
    signature_of,
)


def _with_signature(change: Callable[[Material], bytes]) -> Forge:
    def forge(material: Material) -> str:
        header, payload, _ = segments(material)
        return f"{header}.{payload}.{encode(change(material))}"

    return forge


def _flipped(where: float) -> Callable[[Material], bytes]:
    """Another signature in every reading: a bit of a byte differs, not spare bits of the last character."""

    def change(material: Material) -> bytes:
        raw = bytearray(signature_of(material))
        raw[round(where * (len(raw) - 1))] ^= 0x01
        return bytes(raw)

    return change


def _altered(change: Callable[[Members], Members]) -> Forge:
    """Claims altered under the genuine signature: a signature case, whatever the claims say."""

    def forge(material: Material) -> str:
        header, _, signature = segments(material)
        return f"{header}.{encode(compact_json(change(claims_of(material))))}.{signature}"

    return forge


def _psychic(r: str, s: str) -> Forge:
    """An ECDSA signature of zeros or of the group's order, which a careless check finds good for any message."""

    def forge(material: Material) -> str:
        alg, _, _ = ecdsa_halves(material)
        values = {"0": 0, "1": 1, "n": ecdsa_order(alg) if "n" in (r, s) else 0}
        # Claims of our own: were they the genuine ones, a remembered decision might stand behind an acceptance.
        return seal(
            header_of(material), claims_of(material) | {"x": 1}, lambda _: ecdsa_signature(alg, values[r], values[s])
        )

    return forge


def _der_coded(material: Material) -> bytes:
    _, r, s = ecdsa_halves(material)
    return der(r, s)


def _high_s(material: Material) -> bytes:
    alg, r, s = ecdsa_halves(material)
    return ecdsa_signature(alg, r, ecdsa_order(alg) - s)


def _padded_halves(material: Material) -> bytes:
    _, r, s = ecdsa_halves(material)
    size = len(signature_of(material)) // 2 + 1
    return r.to_bytes(size) + s.to_bytes(size)


def _swapped_halves(material: Material) -> bytes:
    alg, r, s = ecdsa_halves(material)
    return ecdsa_signature(alg, s, r)


def _no_signature_part(material: Material) -> str:
    return ".".join(segments(material)[:2])


def _signature(
    name: str, attacks: str, change: Callable[[Material], bytes], source: str = "RFC 7515 section 5.2"
) -> Case:
    return Case(
        name, "signature_bytes", attacks, source, _with_signature(change), Reason.BAD_SIGNATURE, Severity.CRITICAL
    )


def _altered_case(
    name: str, attacks: str, change: Callable[[Members], Members], fits: frozenset[Subject] = ANY
) -> Case:
    return Case(
        f"altered_{name}",
        "altered_claims",
        f"{attacks}, under the genuine signature",
        "RFC 7515 section 5.2",
        _altered(change),
        Reason.BAD_SIGNATURE,
        Severity.CRITICAL,
        fits,
    )


def _with_stranger(claims: Members) -> Members:
    return claims | {"aud": [claims.get("aud"), "https://another.invalid"]}


_FREE = ANY - {Subject.CLIENT_ASSERTION}  # a client's own has one subject and one audience
CASES = (
    _signature("bad_signature", "one bit in the middle of the signature differs", _flipped(0.5)),
    _signature("signature_first_byte", "one bit at the beginning of the signature differs", _flipped(0)),
    _signature("signature_last_byte", "one bit at the end of the signature differs", _flipped(1)),
    _signature("signature_empty", "an empty signature", lambda _: b""),
    _signature("signature_zeroed", "a signature of zeros", lambda m: bytes(len(signature_of(m)))),
    _signature("signature_ones", "a signature of ones", lambda m: b"\xff" * len(signature_of(m))),
    _signature("signature_truncated", "the last byte of the signature is missing", lambda m: signature_of(m)[:-1]),
    _signature("signature_half", "half of the signature", lambda m: signature_of(m)[: len(signature_of(m)) // 2]),
    _signature("signature_one_byte", "a signature of one byte", lambda m: signature_of(m)[:1]),
    _signature("signature_overlong", "a byte after the signature", lambda m: signature_of(m) + b"\0"),
    _signature("signature_zero_before", "a zero before the signature", lambda m: b"\0" + signature_of(m)),
    _signature("signature_twice", "the signature twice", lambda m: signature_of(m) * 2),
    _signature("signature_reversed", "the signature from back to front", lambda m: signature_of(m)[::-1]),
    _signature("signature_der", "an ECDSA signature in DER", _der_coded, "RFC 7518 section 3.4"),
    _signature("signature_padded_halves", "both halves with a zero before", _padded_halves, "RFC 7518 section 3.4"),
    _signature("signature_swapped_halves", "r and s in each other's place", _swapped_halves, "RFC 7518 section 3.4"),
    Case(
        "signature_high_s",
        "signature_bytes",
        "the other valid s of an ECDSA signature",
        "RFC 7518 section 3.4",
        _with_signature(_high_s),
        Reason.BAD_SIGNATURE,
        Severity.LOW,
        room="the other s is a valid signature too; only who takes a token's bytes for its name must refuse it",
    ),
    *(
        Case(
            f"psychic_{r}_{s}",
            "psychic_signature",
            f"an ECDSA signature of r = {r}, s = {s}",
            "CVE-2022-21449, FIPS 186-5 section 6.4.2",
            _psychic(r, s),
            Reason.BAD_SIGNATURE,
            Severity.CRITICAL,
        )
        for r, s in (("0", "0"), ("1", "0"), ("0", "1"), ("n", "n"), ("1", "1"))
    ),
    Case(
        "signature_part_missing",
        "signature_bytes",
        "no third part at all",
        "RFC 7515 section 7.1",
        _no_signature_part,
        Reason.MALFORMED,
        Severity.CRITICAL,
    ),
    _altered_case("exp", "the expiry half a minute later", lambda c: c | {"exp": int(c.get("exp", 0)) + 30}),
    _altered_case("sub", "another subject", lambda c: c | {"sub": "admin"}, _FREE),
    _altered_case("aud", "another audience beside the own", _with_stranger, _FREE),
    _altered_case("extra", "a claim more", lambda c: c | {"admin": True}),
    _altered_case("nothing_but_order", "the same claims in another order", lambda c: {n: c[n] for n in reversed(c)}),
    _altered_case("scope", "more scope", lambda c: c | {"scope": f"{c.get('scope', '')} admin".strip()}, TOKENS),
)
