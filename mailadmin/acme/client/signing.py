"""The key of an account, and what is signed with it (RFC 8555, section 6.2)."""

from __future__ import annotations

import json
import re

from acme import jws, messages
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from josepy import b64, jwa, jwk

from mailadmin.acme.client.failures import AcmeFailure
from mailadmin.pki.problems import Problem

_BASE64 = re.compile(r"[A-Za-z0-9_+/-]+=*")
_CURVES = {"secp256r1": jwa.ES256, "secp384r1": jwa.ES384, "secp521r1": jwa.ES512}


class AccountKey:
    """A private key that signs requests: RSA or ECDSA. Nothing of it is ever shown."""

    def __init__(self, pem: str | bytes) -> None:
        self._jwk, self._algorithm = _load(pem.encode() if isinstance(pem, str) else pem)

    def __repr__(self) -> str:
        return "<AccountKey>"

    @property
    def thumbprint(self) -> str:
        """The digest of the public key in its canonical form (RFC 7638), base64url."""
        return b64.b64encode(self._jwk.thumbprint()).decode("ascii")

    @property
    def public_jwk(self) -> dict[str, object]:
        """The public key as JSON."""
        shown: dict[str, object] = self._jwk.public_key().to_json()
        return shown

    def authorize(self, token: str) -> str:
        """Return the key authorization of a challenge (RFC 8555, section 8.1)."""
        return f"{token}.{self.thumbprint}"

    def sign(
        self, payload: bytes, *, url: str, nonce: bytes | None, account_url: str = ""
    ) -> bytes:
        """Return the signed form of a payload; with the key itself unless there is an account.

        An empty payload is a POST-as-GET (RFC 8555, section 6.3).
        """
        signed = jws.JWS.sign(
            payload,
            key=self._jwk,
            alg=self._algorithm,
            nonce=nonce,
            url=url,
            kid=account_url or None,
        )
        return str(signed.json_dumps()).encode("ascii")

    def bind_external(self, key_id: str, hmac_key: str, new_account_url: str) -> dict[str, object]:
        """Bind this key to an account elsewhere (RFC 8555, section 7.3.4).

        ``hmac_key`` is what that place gave out, base64url. Raises :class:`AcmeFailure`.
        """
        if not _BASE64.fullmatch(hmac_key):
            raise AcmeFailure(Problem("ca.eab_key_invalid"))
        directory = messages.Directory({"newAccount": new_account_url})
        try:
            return messages.ExternalAccountBinding.from_data(
                self._jwk.public_key(), key_id, hmac_key, directory
            )
        except ValueError:
            raise AcmeFailure(Problem("ca.eab_key_invalid")) from None

    def sign_successor(self, successor: AccountKey, *, url: str, account_url: str) -> bytes:
        """Return the payload that hands the account over to another key (section 7.3.5).

        The inner signature is the successor's, with its key and without a nonce.
        """
        handed_over = {"account": account_url, "oldKey": self.public_jwk}
        return successor.sign(json.dumps(handed_over).encode("ascii"), url=url, nonce=None)


def _load(pem: bytes) -> tuple[jwk.JWK, jwa.JWASignature]:
    refusal = AcmeFailure(Problem("ca.key_unusable"))
    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError):
        raise refusal from None
    if isinstance(key, rsa.RSAPrivateKey):
        return jwk.JWKRSA(key=key), jwa.RS256
    if isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name in _CURVES:
        return jwk.JWKEC(key=key), _CURVES[key.curve.name]
    raise refusal
