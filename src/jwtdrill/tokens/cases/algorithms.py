"""Whose word is taken for the algorithm: none in its spellings, MACs with public keys, strangers of every algorithm."""

import hashlib
import hmac
from collections.abc import Callable

from jwtdrill.catalog.reasons import Reason
from jwtdrill.tokens.cases.case import Case, Forge, Material, Need, NotApplicableError, Severity
from jwtdrill.tokens.cases.crafting import (
    ASYMMETRIC,
    DROP,
    claims_of,
    compact_json,
    encode,
    header_of,
    kept,
    public_pem,
    published,
    seal,
    segments,
    signature_of,
    signing_with,
    stranger,
)
from jwtdrill.tokens.keys import Algorithm

_NONE_SPELLINGS = ("none", "None", "NONE", "nOnE", "none ", "", "null")
_HASHES = {"HS256": hashlib.sha256, "HS384": hashlib.sha384, "HS512": hashlib.sha512}
_KEYED = frozenset({Need.GENUINE, Need.JWKS})
_WEAK = ("secret", "password", "your-256-bit-secret", "changeme")


def _unsigned(alg: object, signature: bool = False) -> Forge:
    def forge(material: Material) -> str:
        header = {**header_of(material), "alg": alg}
        return seal(kept(header), claims_of(material), lambda _: signature_of(material) if signature else b"")

    return forge


def _bare(material: Material) -> str:
    return seal({"alg": "none"}, claims_of(material), lambda _: b"")


def _mac_without_alg(material: Material) -> str:
    header = {name: value for name, value in header_of(material).items() if name != "alg"}
    return seal(header, claims_of(material), lambda m: hmac.new(_pem(material), m, hashlib.sha256).digest())


def _mac(alg: str, key: Callable[[Material], bytes], **header: object) -> Forge:
    def forge(material: Material) -> str:
        secret = key(material)
        return seal(
            {**header_of(material), "alg": alg, **header},
            claims_of(material),
            lambda message: hmac.new(secret, message, _HASHES[alg]).digest(),
        )

    return forge


def _pem(material: Material) -> bytes:
    return public_pem(published(material))[0]


def _der(material: Material) -> bytes:
    return public_pem(published(material))[1]


def _jwk(material: Material) -> bytes:
    return compact_json(dict(published(material)))


def _modulus(material: Material) -> bytes:
    return str(published(material, "RSA")["n"]).encode()


def _kid(material: Material) -> bytes:
    return str(header_of(material).get("kid", "")).encode()


def _guess(word: str) -> Callable[[Material], bytes]:
    return lambda _: word.encode()


_PUBLIC = {
    "pem": ("the public key in PEM", _pem),
    "pem_stripped": ("the public key in PEM without its last line break", lambda m: _pem(m).strip()),
    "der": ("the public key in DER", _der),
    "jwk": ("the public key as its JWK", _jwk),
    "modulus": ("the modulus of the public key as it stands in the JWK", _modulus),
}
_GUESSED: dict[str, tuple[str, Callable[[Material], bytes]]] = {
    "empty_key": ("an empty key", lambda _: b""),
    "kid_as_key": ("the kid itself as the key", _kid),
    **{
        f"weak_key_{number}": ("a key that is in every list of guesses", _guess(word))
        for number, word in enumerate(_WEAK)
    },
}


def _of_stranger(alg: Algorithm, *, own_kid: bool) -> Forge:
    def forge(material: Material) -> str:
        key = stranger(alg)
        header = {**header_of(material), "alg": alg.value}
        if own_kid:
            header["kid"] = key.kid
        return seal(header, claims_of(material), signing_with(key))

    return forge


def _stranger_without_kid(material: Material) -> str:
    alg = Algorithm(str(header_of(material)["alg"]))
    header = {name: value for name, value in header_of(material).items() if name != "kid"}
    return seal(header, claims_of(material), signing_with(stranger(alg)))


def _renamed(alg: Algorithm) -> Forge:
    """The genuine signature under another algorithm's name."""

    def forge(material: Material) -> str:
        _, payload, signature = segments(material)
        if header_of(material).get("alg") == alg:
            raise NotApplicableError(f"the target's tokens are signed with {alg}")
        return f"{encode(compact_json({**header_of(material), 'alg': alg.value}))}.{payload}.{signature}"

    return forge


def _none(name: str, alg: object, reason: Reason, *, signature: bool = False) -> Case:
    return Case(
        name,
        "alg_none",
        f"no signature, alg {alg!r}" if alg is not DROP else "no signature and no alg",
        "RFC 8725 section 3.1, CVE-2015-9235",
        _unsigned(alg, signature),
        reason,
        Severity.CRITICAL,
    )


CASES = (
    *(
        _none("alg_none" if alg == "none" else f"alg_none_{n}", alg, Reason.ALGORITHM_NOT_ALLOWED)
        for n, alg in enumerate(_NONE_SPELLINGS)
    ),
    _none("alg_none_signature_kept", "none", Reason.ALGORITHM_NOT_ALLOWED, signature=True),
    Case(
        "alg_none_bare",
        "alg_none",
        "no signature, and a header that says nothing else",
        "RFC 8725 section 3.1",
        _bare,
        Reason.ALGORITHM_NOT_ALLOWED,
        Severity.CRITICAL,
    ),
    Case(
        "mac_without_alg",
        "hmac_confusion",
        "a MAC with the public key in PEM, and no alg",
        "RFC 8725 section 2.1",
        _mac_without_alg,
        Reason.MALFORMED,
        Severity.CRITICAL,
        needs=_KEYED,
    ),
    _none("alg_absent", DROP, Reason.MALFORMED),
    _none("alg_is_null", None, Reason.MALFORMED),
    _none("alg_is_list", ["none"], Reason.MALFORMED),
    _none("alg_is_number", 0, Reason.MALFORMED),
    _none("alg_is_true", True, Reason.MALFORMED),
    *(
        Case(
            f"{alg.lower()}_{name}",
            "hmac_confusion",
            f"a MAC with {what}",
            "RFC 8725 section 2.1, CVE-2016-5431",
            _mac(alg, key),
            Reason.ALGORITHM_NOT_ALLOWED,
            Severity.CRITICAL,
            needs=_KEYED,
        )
        for alg in _HASHES
        for name, (what, key) in _PUBLIC.items()
    ),
    *(
        Case(
            f"hs256_{name}",
            "hmac_confusion",
            f"a MAC with {what}",
            "RFC 8725 section 3.5",
            _mac("HS256", key),
            Reason.ALGORITHM_NOT_ALLOWED,
            Severity.CRITICAL,
        )
        for name, (what, key) in _GUESSED.items()
    ),
    *(
        Case(
            f"stranger_{alg.value.lower()}",
            "stranger",
            f"signed with {alg} by somebody else, under the genuine kid",
            "RFC 7515 section 5.2",
            _of_stranger(alg, own_kid=False),
            Reason.BAD_SIGNATURE,
            Severity.CRITICAL,
        )
        for alg in ASYMMETRIC
    ),
    *(
        Case(
            "unknown_kid" if alg is Algorithm.ES256 else f"unknown_kid_{alg.value.lower()}",
            "stranger",
            f"signed with {alg} by somebody else, under a kid of their own",
            "RFC 7515 section 4.1.4",
            _of_stranger(alg, own_kid=True),
            Reason.UNKNOWN_KID,
            Severity.CRITICAL,
        )
        for alg in ASYMMETRIC
    ),
    Case(
        "stranger_without_kid",
        "stranger",
        "signed by somebody else, naming no key",
        "RFC 7515 section 4.1.4",
        _stranger_without_kid,
        Reason.BAD_SIGNATURE,
        Severity.CRITICAL,
    ),
    *(
        Case(
            f"renamed_{alg.value.lower()}",
            "renamed_algorithm",
            f"the genuine signature under the name of {alg}",
            "RFC 8725 section 3.1",
            _renamed(alg),
            Reason.BAD_SIGNATURE,
            Severity.CRITICAL,
        )
        for alg in Algorithm
    ),
)
