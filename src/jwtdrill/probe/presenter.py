"""What a client shows in mutual TLS (RFC 8705): its certificate, or in an attack another, or none."""

import base64
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import replace
from urllib.parse import quote

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from jwtdrill.errors import BadInputError
from jwtdrill.flows.exchange import Request
from jwtdrill.target.load import present, tls_context
from jwtdrill.target.model import Client, Target
from jwtdrill.tokens.cases import Carrier, NotApplicableError
from jwtdrill.tokens.certificates import self_signed


class Presenter:
    """One client's certificate. another: a client whose certificate it might show instead."""

    def __init__(self, target: Target, client: Client, another: Client | None) -> None:
        """Raises BadInputError for a certificate that cannot be read."""
        assert client.certificate is not None
        self._target = target
        self._own = tls_context(target, client)
        self._another = another
        pem = target.read(client.certificate)
        key = target.read(client.certificate_key) if client.certificate_key is not None else pem
        try:
            certificate = x509.load_pem_x509_certificates(pem)[0]
            self._key = serialization.load_pem_private_key(key, password=None)
        except (ValueError, TypeError):
            raise BadInputError(f"{target.path}: client {client.id}: {client.certificate} cannot be read") from None
        self._pem = certificate.public_bytes(serialization.Encoding.PEM)
        self.der = certificate.public_bytes(serialization.Encoding.DER)
        names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        self._name = str(names[0].value) if names else "client"

    def shown(self, request: Request, carrier: Carrier) -> Request:
        """The request as that carrier has it. Raises NotApplicableError where that cannot be made."""
        match carrier:
            case Carrier.NO_CERTIFICATE:
                return replace(request, tls=tls_context(self._target))
            case Carrier.IN_HEADERS:
                headers = {**request.headers, **self._headers()}
                return replace(request, headers=headers, tls=tls_context(self._target))
            case Carrier.STRANGE:
                return replace(request, tls=self._with(self_signed(self._name).pem))
            case Carrier.SAME_KEY:
                if not isinstance(self._key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
                    raise NotApplicableError("a certificate is made for RSA and EC keys alone")
                return replace(request, tls=self._with(self_signed(self._name, self._key).pem))
            case Carrier.ANOTHERS:
                if self._another is None:
                    raise NotApplicableError("the target file has no second [[client]] with a certificate")
                return replace(request, tls=tls_context(self._target, self._another))
            case _:
                return replace(request, tls=self._own)

    def _with(self, pem: bytes) -> ssl.SSLContext:
        context = tls_context(self._target)
        present(context, pem)
        return context

    def _headers(self) -> Mapping[str, str]:
        """Those by which edges tell of certificates: RFC 9440, and of Envoy, nginx, Apache, HAProxy, Azure."""
        encoded = base64.b64encode(self.der).decode()
        escaped = quote(self._pem.decode(), safe="")
        return {
            "Client-Cert": f":{encoded}:",
            "X-Forwarded-Client-Cert": f'Cert="{escaped}"',
            "X-SSL-Client-Cert": escaped,
            "SSL-Client-Cert": escaped,
            "X-SSL-Cert": escaped,
            "X-SSL-Client-Verify": "SUCCESS",
            "X-ARR-ClientCert": encoded,
        }


def presenter_of(target: Target, clients: Sequence[Client]) -> tuple[Client, Presenter] | None:
    """The first of these clients with a certificate, and how it shows it; None where there is none.

    Raises BadInputError.
    """
    described = next((client for client in clients if client.certificate is not None), None)
    if described is None:
        return None
    certified = [one for one in target.client if one.certificate is not None]
    another = [one.numbered(number) for one in certified for number in range(1, min(2, one.count) + 1)][1:2]
    return described, Presenter(target, described, another[0] if another else None)
