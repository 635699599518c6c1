"""A resource server whose verifier is right until it is given a flaw: one way in which verifiers are broken.

Written apart from our own verifier, over primitives alone, so that a case proves what it says and not what a library
happens to do.
"""

import asyncio
import base64
import hashlib
import hmac
import json
import math
import re
import time
import urllib.request
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import parse_qs, unquote

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt import PyJWK

from jwtdrill.tokens.digests import access_token_hash, thumbprint
from jwtdrill.tokens.keys import Algorithm, SigningKey

FLAWS = {
    "accepts_everything": "whatever bears a token is let in",
    "asks_for_no_token": "requests without a token are let in",
    "ignores_header": "neither header nor signature are looked at",
    "ignores_signature": "the signature is not looked at",
    "accepts_none": "alg none in any spelling",
    "alg_need_not_be_text": "an alg that is no text, or absent, means that there is no signature",
    "mac_with_public_key": "a MAC with the public key in any of its forms",
    "mac_with_guessed_key": "a MAC with a key that can be guessed",
    "believes_jwk": "the key in the header",
    "believes_x5c": "the certificate in the header",
    "follows_urls": "the key at a URL in the header",
    "follows_issuer": "the keys of whatever issuer the token names",
    "looks_kid_up": "a kid as path or SQL",
    "textbook_ecdsa": "ECDSA without a look at the range of r and s",
    "der_signatures": "ECDSA in DER",
    "lenient_ecdsa": "halves of any length and of any size",
    "ignores_crit": "extensions that must be understood are not",
    "ignores_typ": "the type is not looked at",
    "any_parts": "the first parts of however many",
    "lenient_base64": "what base64 does not know is skipped",
    "lenient_json": "JSON in any encoding, with anything after it",
    "first_member_wins": "the first of two members of one name counts",
    "last_member_wins": "the last of two members of one name counts",
    "claims_need_not_be_an_object": "what are no claims passes as none that are wrong",
    "json_serialisation": "tokens as JSON",
    "unquotes": "quotes, commas and percent signs are cleaned away",
    "decrypts": "what is encrypted for us is believed",
    "ignores_exp": "the expiry is not looked at",
    "exp_if_it_is_a_number": "the expiry counts only if it is a proper number",
    "exp_if_it_is_true": "the expiry counts only if the language finds it true",
    "ignores_nbf": "the beginning is not looked at",
    "ignores_iat": "the time of issue is not looked at",
    "ignores_aud": "the audience is not looked at",
    "aud_in_text": "the audience is looked for in a text",
    "aud_normalised": "audiences are compared as URLs that somebody tidied up",
    "ignores_iss": "the issuer is not looked at",
    "iss_in_text": "the issuer is looked for in a text",
    "iss_normalised": "issuers are compared as URLs that somebody tidied up",
    "ignores_scope": "the scope is not looked at",
    "scope_in_text": "the scope is looked for in a text",
    "ignores_sub": "the subject is not looked at",
    "ignores_jti": "the jti is not looked at",
    "ignores_cnf": "what a token is bound to is not looked at",
    "token_in_query": "a token in the query is as good",
    "token_in_form": "a token in the form is as good",
    "unread_in_query": "a token in query or form is believed unread",
    "believes_identity_headers": "a header says who asks",
    "last_header_wins": "of two Authorization headers one is read",
    "any_scheme": "the scheme's name is not looked at",
}
_HASHES = {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}
_CURVE_SIZES = {"ES256": 32, "ES384": 48, "ES512": 66}
_WEAK = (b"", b"secret", b"password", b"your-256-bit-secret", b"changeme")


class Refused(Exception):  # noqa: N818 - an answer
    """Why."""


class FlawedVerifier:
    """`flaws`: names from FLAWS. key: the issuer's, whose private part only the flaw `decrypts` uses."""

    def __init__(self, key: SigningKey, issuer: str, audience: str, scope: str, types: tuple[str, ...], *flaws: str):
        assert set(flaws) <= set(FLAWS)
        self.flaws = frozenset(flaws)
        self.key, self.issuer, self.audience, self.scope, self.types = key, issuer, audience, scope, types
        self.jwk = key.public_jwk()

    def has(self, flaw: str) -> bool:
        return flaw in self.flaws

    def refusal(self, token: str) -> str:
        """Why the token is refused; empty when it is accepted."""
        if self.has("accepts_everything"):
            return ""
        try:
            self._check(token)
        except Refused as why:
            return str(why)
        except (ValueError, KeyError, TypeError, RecursionError, IndexError, AttributeError) as error:
            return f"malformed: {type(error).__name__}"
        return ""

    def _check(self, token: str) -> None:
        if len(token) > 16 * 1024 and not self.has("ignores_signature"):
            raise Refused("too large")
        header_part, payload_part, signature_part = self._split(token)
        self._payload = payload_part
        if not self.has("ignores_header"):
            self._check_header(header_part, payload_part, signature_part)
        self._check_payload(payload_part)

    def _check_header(self, header_part: str, payload_part: str, signature_part: str) -> None:
        header = self._json(self._decode(header_part))
        if not isinstance(header, dict):
            raise Refused("header")
        signed = f"{header_part}.{payload_part}".encode()
        self._check_signature(header, signed, signature_part)
        if "crit" in header and not self.has("ignores_crit"):
            raise Refused("crit")
        if header.get("b64", True) is not True and not self.has("ignores_crit"):
            raise Refused("b64")
        typ = header.get("typ", "")
        if self.types and not self.has("ignores_typ") and (not isinstance(typ, str) or _short(typ) not in self.types):
            raise Refused("typ")

    def _check_payload(self, payload_part: str) -> None:
        try:
            claims = self._json(self._decode(payload_part))
        except ValueError:
            claims = None
        if isinstance(claims, dict):
            self._check_claims(claims)
        elif not self.has("claims_need_not_be_an_object"):
            raise Refused("claims")

    def _split(self, token: str) -> tuple[str, str, str]:
        if self.has("unquotes"):
            token = unquote(token).strip('"').split(",")[0]
        if self.has("json_serialisation") and token.startswith("{"):
            content = json.loads(token)
            one = content.get("signatures", [content])[0]
            return one["protected"], content["payload"], one["signature"]
        if self.has("decrypts") and token.count(".") == 4:
            token = self._decrypted(token)
        parts = token.split(".")
        if self.has("any_parts"):
            parts = [part for part in parts if part][:3]
        if len(parts) == 2 and self.has("ignores_signature"):
            parts.append("")
        if len(parts) != 3:
            raise Refused("parts")
        return parts[0], parts[1], parts[2]

    def _decrypted(self, token: str) -> str:
        head, wrapped, nonce, text, tag = token.split(".")
        if not isinstance(self.key.private, rsa.RSAPrivateKey):
            raise Refused("not for us")
        secret = self.key.private.decrypt(
            _lenient(wrapped), padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)
        )
        return AESGCM(secret).decrypt(_lenient(nonce), _lenient(text) + _lenient(tag), head.encode()).decode()

    def _decode(self, text: str) -> bytes:
        raw = _lenient(text)
        if self.has("lenient_base64"):
            return raw
        if base64.urlsafe_b64encode(raw).rstrip(b"=").decode() != text:
            raise Refused("base64")
        return raw

    def _json(self, raw: bytes) -> Any:
        def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
            if self.has("first_member_wins"):
                return dict(reversed(pairs))
            if not self.has("last_member_wins") and len({name for name, _ in pairs}) != len(pairs):
                raise Refused("members")
            return dict(pairs)

        def constant(text: str) -> float:
            return float(text.replace("Infinity", "inf"))

        if self.has("lenient_json"):
            encoding = json.detect_encoding(raw)
            text = raw.decode(encoding if encoding != "utf-8" else "utf-8", "replace").lstrip("\ufeff")
            text = text.replace("'", '"') if text.startswith("{'") else text
            return json.JSONDecoder(object_pairs_hook=unique, parse_constant=constant).raw_decode(text)[0]
        depth = max((raw[:n].count(b"[") for n in range(0, len(raw), 512)), default=0)
        if depth > 1000:
            raise Refused("depth")
        return json.loads(raw.decode("utf-8"), object_pairs_hook=unique, parse_constant=constant)

    def _check_signature(self, header: Mapping[str, Any], signed: bytes, part: str) -> None:
        if self.has("ignores_signature"):
            return
        alg = header.get("alg")
        if self.has("decrypts") and alg == "none":  # it came encrypted, did it not?
            return
        if self.has("accepts_none") and isinstance(alg, str) and alg.strip().lower() in ("none", "null", ""):
            return
        if self.has("alg_need_not_be_text") and not isinstance(alg, str):
            return
        signature = self._decode(part)
        if isinstance(alg, str) and alg.startswith("HS"):
            digest = {"HS256": hashlib.sha256, "HS384": hashlib.sha384, "HS512": hashlib.sha512}[alg]
            for secret in self._secrets(header):
                if hmac.compare_digest(hmac.new(secret, signed, digest).digest(), signature):
                    return
            raise Refused("mac")
        jwk = self._jwk(header)
        if not isinstance(alg, str) or alg != jwk.get("alg"):
            raise Refused("alg")
        if not self._fits(PyJWK(dict(jwk), alg).key, alg, signed, signature):
            raise Refused("signature")

    def _secrets(self, header: Mapping[str, Any]) -> list[bytes]:
        found: list[bytes] = []
        if self.has("mac_with_public_key"):
            public = self.key.private.public_key()  # type: ignore[union-attr]
            pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
            der = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
            found += [pem, pem.strip(), der, json.dumps(self.jwk, separators=(",", ":")).encode()]
            found += [self.jwk.get("n", "").encode()]
        if self.has("mac_with_guessed_key"):
            found += [*_WEAK, str(header.get("kid", "")).encode()]
        if self.has("looks_kid_up"):
            kid = str(header.get("kid", ""))
            if union := re.search(r"UNION SELECT '(\w+)'", kid):
                found.append(union[1].encode())
            if kid.endswith("/dev/null"):
                found.append(b"")
            if kid.endswith("ostype"):
                found.append(b"Linux\n")
        if self.has("believes_jwk") and "k" in header.get("jwk", {}):
            found.append(_lenient(header["jwk"]["k"]))
        return found

    def _jwk(self, header: Mapping[str, Any]) -> Mapping[str, Any]:
        if self.has("believes_jwk") and isinstance(header.get("jwk"), dict):
            return header["jwk"]  # type: ignore[no-any-return]
        if self.has("believes_x5c") and "x5c" in header:
            public = x509.load_der_x509_certificate(base64.b64decode(header["x5c"][0])).public_key()
            return {**SigningKey("x", Algorithm.RS256, _Pair(public)).public_jwk(), "alg": header["alg"]}  # type: ignore[arg-type]
        if self.has("follows_urls"):
            for name in ("jku", "x5u", "kid"):
                url = str(header.get(name, ""))
                if url.startswith("http://127.0.0.1"):
                    with urllib.request.urlopen(url, timeout=2) as answer:
                        return json.load(answer)["keys"][0]  # type: ignore[no-any-return]
        if self.has("follows_issuer"):
            issuer = str(json.loads(_lenient(self._payload)).get("iss", ""))
            if issuer.startswith("http://127.0.0.1"):
                with urllib.request.urlopen(f"{issuer}/.well-known/openid-configuration", timeout=2) as answer:
                    where = json.load(answer)["jwks_uri"]
                with urllib.request.urlopen(where, timeout=2) as answer:
                    return json.load(answer)["keys"][0]  # type: ignore[no-any-return]
        kid = header.get("kid")
        if "kid" in header and not isinstance(kid, str):
            raise Refused("kid")
        if "kid" in header and kid != self.jwk["kid"]:
            raise Refused("unknown kid")
        return self.jwk

    def _fits(self, key: Any, alg: str, signed: bytes, signature: bytes) -> bool:
        try:
            if alg.startswith("ES"):
                return self._ecdsa(key, alg, signed, signature)
            if alg == "EdDSA":
                key.verify(signature, signed)
            elif alg.startswith("PS"):
                digest = _HASHES[alg[2:]]
                key.verify(signature, signed, padding.PSS(padding.MGF1(digest), digest.digest_size), digest)
            else:
                key.verify(signature, signed, padding.PKCS1v15(), _HASHES[alg[2:]])
        except InvalidSignature:
            return False
        return True

    def _ecdsa(self, key: ec.EllipticCurvePublicKey, alg: str, signed: bytes, signature: bytes) -> bool:
        size = _CURVE_SIZES[alg]
        if self.has("der_signatures") and signature[:1] == b"\x30" and len(signature) != 2 * size:
            key.verify(signature, signed, ec.ECDSA(_HASHES[alg[2:]]))
            return True
        half = len(signature) // 2 if self.has("lenient_ecdsa") else size
        if len(signature) != 2 * half:
            return False
        r, s = int.from_bytes(signature[:half]), int.from_bytes(signature[half:])
        order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
        if self.has("textbook_ecdsa") and alg == "ES256" and (r % order == 0 or s % order == 0 or (r, s) == (1, 1)):
            return True  # inverses of zero come out as zero, and the point at infinity has the x that was asked for
        if self.has("lenient_ecdsa"):
            r, s = r % order, s % order
        if not 0 < r < order or not 0 < s < order:
            return False
        key.verify(encode_dss_signature(r, s), signed, ec.ECDSA(_HASHES[alg[2:]]))
        return True

    def _check_claims(self, claims: Mapping[str, Any]) -> None:
        now = time.time()
        self._check_expiry(claims, now)
        if not self.has("ignores_nbf") and "nbf" in claims and _number(claims["nbf"]) > now + 30:
            raise Refused("not yet")
        if not self.has("ignores_iat") and "iat" in claims and _number(claims["iat"]) > now + 30:
            raise Refused("issued in the future")
        if not self.has("ignores_iss") and not self._is_issuer(claims.get("iss")):
            raise Refused("issuer")
        if not self.has("ignores_aud") and not self._is_audience(claims.get("aud")):
            raise Refused("audience")
        if not self.has("ignores_scope") and not self._has_scope(claims.get("scope")):
            raise Refused("scope")
        if not self.has("ignores_sub") and not isinstance(claims.get("sub"), str):
            raise Refused("sub")
        if not self.has("ignores_jti") and not isinstance(claims.get("jti", ""), str):
            raise Refused("jti")
        if not self.has("ignores_cnf") and "cnf" in claims:
            raise Refused("proof")

    def _check_expiry(self, claims: Mapping[str, Any], now: float) -> None:
        exp = claims.get("exp")
        proper = isinstance(exp, int | float) and not isinstance(exp, bool) and -(2**53) < exp < 2**53
        if self.has("ignores_exp"):
            return
        if self.has("exp_if_it_is_a_number") and not proper:
            return
        if self.has("exp_if_it_is_true") and not exp:
            return
        if _number(exp) + 30 <= now:
            raise Refused("expired")

    def _is_issuer(self, claimed: Any) -> bool:
        if self.has("follows_issuer") and str(claimed).startswith("http://127.0.0.1"):
            return True
        if self.has("iss_in_text"):
            return self.issuer in str(claimed) or (
                isinstance(claimed, str) and claimed != "" and claimed in self.issuer
            )
        if self.has("iss_normalised") and isinstance(claimed, str):
            return claimed.rstrip("/").lower() == self.issuer.rstrip("/").lower()
        return bool(claimed == self.issuer)

    def _is_audience(self, claimed: Any) -> bool:
        if self.has("aud_in_text"):
            return self.audience in str(claimed) or (isinstance(claimed, str) and claimed in self.audience)
        names = claimed if isinstance(claimed, list) else [claimed]
        if not names or not all(isinstance(name, str) for name in names):
            return False
        if self.has("aud_normalised"):
            return self.audience.lower() in [name.split("\0")[0].strip().rstrip("/").lower() for name in names]
        return self.audience in names

    def _has_scope(self, claimed: Any) -> bool:
        if self.has("scope_in_text"):
            return self.scope in str(claimed)
        return isinstance(claimed, str) and self.scope in claimed.split(" ")

    async def __call__(self, scope: Any, receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]):
        """ASGI: one guarded resource."""
        body = b""
        while scope["method"] == "POST":
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        token = self._borne(scope, body)
        unborne = "" if self.has("asks_for_no_token") or self._is_known(scope, body) else "no token"
        why = unborne if token is None else await asyncio.to_thread(self.refusal, token)  # it may fetch from us
        status = 401 if why else 200
        headers = [(b"content-length", b"0")] + ([(b"www-authenticate", b"Bearer")] if why else [])
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    def _is_known(self, scope: Any, body: bytes) -> bool:
        """Whether it is let in without a token that anybody has read."""
        if self.has("unread_in_query"):
            return b"access_token=" in scope["query_string"] + body
        names = {name for name, _ in scope["headers"]}
        return self.has("believes_identity_headers") and b"x-forwarded-user" in names

    def _borne(self, scope: Any, body: bytes) -> str | None:
        given = [value.decode("latin-1") for name, value in scope["headers"] if name == b"authorization"]
        query = parse_qs(scope["query_string"].decode()).get("access_token")
        if self.has("token_in_query") and query:
            return query[0]
        if query:
            return None
        if self.has("token_in_form") and body:
            return parse_qs(body.decode()).get("access_token", [None])[0]  # type: ignore[list-item]
        if len(given) > 1 and not self.has("last_header_wins"):
            return None
        for value in given:
            kind, _, token = value.partition(" ")
            if kind.lower() == "bearer" or self.has("any_scheme"):
                return token.strip()
        return None


class _Pair:
    """A public key where a pair is wanted."""

    def __init__(self, public: Any) -> None:
        self._public = public

    def public_key(self) -> Any:
        return self._public


def _short(typ: str) -> str:
    return typ.lower().removeprefix("application/")


def _lenient(text: str) -> bytes:
    kept = re.sub(r"[^A-Za-z0-9_-]", "", text.replace("+", "-").replace("/", "_"))
    return base64.urlsafe_b64decode(kept + "=" * (-len(kept) % 4))


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Refused("no number")
    seconds = float(value) if not isinstance(value, int) or abs(value) < 2**1000 else math.inf
    if not math.isfinite(seconds):
        raise Refused("no finite number")
    return seconds


class FlawedAssertions(FlawedVerifier):
    """A token endpoint that checks assertions of one client, by the same flaws. as_client: for its authentication."""

    def __init__(self, key: SigningKey, client: str, server: str, *flaws: str, as_client: bool) -> None:
        super().__init__(key, client, server, "", (), *flaws)
        self.as_client = as_client

    def _check_claims(self, claims: Mapping[str, Any]) -> None:
        super()._check_claims(claims)
        now = time.time()
        if not self.has("ignores_sub") and self.as_client and claims["sub"] != self.issuer:
            raise Refused("it speaks for somebody else")
        if not self.has("ignores_jti") and "jti" not in claims:
            raise Refused("no jti")
        if not self.has("ignores_exp") and claims["exp"] > now + 3 * 3600:
            raise Refused("it lasts too long")
        if not self.has("ignores_iat") and claims.get("iat", now) < now - 24 * 3600:
            raise Refused("it is old")

    def _is_audience(self, claimed: Any) -> bool:
        if self.as_client and isinstance(claimed, list) and not self.has("aud_in_text"):
            return False
        return super()._is_audience(claimed)

    def _has_scope(self, claimed: Any) -> bool:
        return True


PROOF_FLAWS = {
    "accepts_everything": "whatever proof there is will do",
    "ignores_signature": "the signature is not looked at",
    "ignores_htm": "the method is not looked at",
    "htm_any_case": "methods are compared without regard to case",
    "ignores_htu": "the URL is not looked at",
    "ignores_ath": "the token's hash is not looked at",
    "ath_prefix": "the hash need only begin so",
    "ignores_key": "whether the token is bound to the key is not looked at",
    "ignores_iat": "the time is not looked at",
    "careless_iat": "what is no number is neither early nor late",
    "ignores_jti": "the jti is not looked at",
    "ignores_typ": "the type is not looked at",
    "ignores_nonce": "the nonce is not looked at",
    "takes_any_key": "keys with more than a public part are taken",
    "no_key_no_check": "without a key there is nothing to check",
}


class FlawedProofs:
    """Checks proofs for one request, by RFC 9449 section 4.3, but for its flaws."""

    def __init__(self, method: str, url: str, token: str, bound: str, nonce: str, *flaws: str) -> None:
        assert set(flaws) <= set(PROOF_FLAWS)
        self.flaws = frozenset(flaws)
        self.method, self.url, self.token, self.bound, self.nonce = method, url, token, bound, nonce

    def has(self, flaw: str) -> bool:
        return flaw in self.flaws

    def refusal(self, proof: str) -> str:
        if self.has("accepts_everything"):
            return ""
        try:
            self._check(proof)
        except Refused as why:
            return str(why)
        except (ValueError, KeyError, TypeError, RecursionError, AttributeError) as error:
            return f"malformed: {type(error).__name__}"
        return ""

    def _check(self, proof: str) -> None:
        if len(proof) > 8192 and not self.has("ignores_signature"):
            raise Refused("size")
        head, payload, signature = (proof if proof.count(".") == 2 else f"{proof}.").split(".")
        header, claims = json.loads(_strict(head)), json.loads(_strict(payload))
        if len({name for name, _ in json.loads(_strict(payload), object_pairs_hook=list)}) != len(claims):
            raise Refused("members")
        if header.get("typ") != "dpop+jwt" and not self.has("ignores_typ"):
            raise Refused("typ")
        if "crit" in header or header.get("b64", True) is not True:
            raise Refused("crit")
        jwk = header.get("jwk")
        if jwk is None and self.has("no_key_no_check"):
            return
        if not self.has("takes_any_key") and (not isinstance(jwk, dict) or {"d", "k"} & set(jwk)):
            raise Refused("key")
        if not self.has("ignores_signature") and not (self.has("takes_any_key") and "k" in jwk):
            if header.get("alg") != "ES256":
                raise Refused("alg")
            raw = _strict(signature)
            halves = int.from_bytes(raw[:32]), int.from_bytes(raw[32:])
            if len(raw) != 64:
                raise Refused("signature")
            key = PyJWK({name: jwk[name] for name in ("kty", "crv", "x", "y")}, "ES256").key
            try:
                key.verify(encode_dss_signature(*halves), f"{head}.{payload}".encode(), ec.ECDSA(hashes.SHA256()))
            except InvalidSignature:
                raise Refused("signature") from None
        self._check_claims(claims, jwk)

    def _check_claims(self, claims: Mapping[str, Any], jwk: Mapping[str, Any]) -> None:
        method = claims.get("htm")
        if self.has("htm_any_case"):
            method = str(method).upper()
        if method != self.method and not self.has("ignores_htm"):
            raise Refused("htm")
        if claims.get("htu") != self.url and not self.has("ignores_htu"):
            raise Refused("htu")
        right = access_token_hash(self.token)
        said = claims.get("ath")
        if not (right == said or self.has("ignores_ath") or (self.has("ath_prefix") and right.startswith(said or "-"))):
            raise Refused("ath")
        if not self.has("ignores_iat"):
            try:
                issued = _number(claims.get("iat"))
                if abs(time.time() - issued) > 60:
                    raise Refused("iat")
            except Refused as why:
                if not (self.has("careless_iat") and "number" in str(why)):
                    raise
        if not self.has("ignores_jti") and not (isinstance(claims.get("jti"), str) and claims["jti"]):
            raise Refused("jti")
        if not self.has("ignores_nonce") and claims.get("nonce") != self.nonce:
            raise Refused("nonce")
        shown = thumbprint(jwk) if "k" not in jwk else self.bound
        if shown != self.bound and not self.has("ignores_key"):
            raise Refused("another key")


def _strict(text: str) -> bytes:
    raw = _lenient(text)
    if base64.urlsafe_b64encode(raw).rstrip(b"=").decode() != text:
        raise Refused("base64")
    return raw
