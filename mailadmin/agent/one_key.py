"""A TLS client that knows one kind of key only: it makes a server show one certificate of a pair.

Python's ``ssl`` can't ask so in TLS 1.3, where the kind of key is no part of the cipher's name but
of the extension ``signature_algorithms`` (RFC 8446 4.2.3); it can't set that one before 3.15. The
OpenSSL that comes with ``cryptography`` can, and is the same on every release of Debian.
"""

from __future__ import annotations

import socket
import time
from types import MappingProxyType

from cryptography.hazmat.bindings.openssl.binding import Binding
from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import SSL

from mailadmin.pki.keys import KeyAlgorithm

# In TLS 1.2 the same list leaves only the cipher suites that fit (RFC 5246 7.4.1.4.1).
_SIGNATURES = MappingProxyType(
    {
        KeyAlgorithm.RSA: "rsa_pss_rsae_sha256:rsa_pss_rsae_sha384:rsa_pss_rsae_sha512"
        ":rsa_pkcs1_sha256:rsa_pkcs1_sha384:rsa_pkcs1_sha512",
        KeyAlgorithm.ECDSA: "ecdsa_secp256r1_sha256:ecdsa_secp384r1_sha384:ecdsa_secp521r1_sha512",
    }
)
_PART = 16 * 1024
# No public call of pyOpenSSL leads here; asked for at import, so that a release without it shows.
_set_signatures = Binding.lib.SSL_CTX_set1_sigalgs_list


class OneKeyConnection:
    """TLS over a connected socket, begun at once. Verifies nothing: what is served is evidence.

    Raises ``OSError``: a refused handshake, a peer that hangs up, or one that is slower than the
    socket's own time limit.
    """

    def __init__(
        self, connection: socket.socket, algorithm: KeyAlgorithm, server_name: str = ""
    ) -> None:
        self._socket = connection
        context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        if _set_signatures(context._context, _SIGNATURES[algorithm].encode()) != 1:
            raise OSError(0, "the kind of key could not be chosen")
        self._tls = SSL.Connection(context, None)
        if server_name:
            self._tls.set_tlsext_host_name(server_name.encode("ascii"))
        self._tls.set_connect_state()
        self._shake_hands()

    def version(self) -> str:
        """Return the TLS version, for example ``TLSv1.3``."""
        return self._tls.get_protocol_version_name()

    def cipher(self) -> tuple[str]:
        """Return the name of the cipher suite, first as in ``SSLSocket.cipher``."""
        return (self._tls.get_cipher_name() or "",)

    def presented(self) -> list[bytes]:
        """Return the certificates as presented, leaf first, in DER."""
        chain = self._tls.get_peer_cert_chain(as_cryptography=True) or []
        return [item.public_bytes(Encoding.DER) for item in chain]

    def sendall(self, content: bytes) -> None:
        """Send all of it."""
        try:
            self._tls.sendall(content)
        except SSL.Error as error:
            raise _as_os_error(error) from None
        self._flush()

    def recv(self, size: int) -> bytes:
        """Return what has come, or nothing when the peer has ended."""
        while True:
            try:
                return self._tls.recv(size)
            except SSL.WantReadError:
                self._flush()
                part = self._socket.recv(_PART)
                if not part:
                    return b""
                self._tls.bio_write(part)
            except SSL.ZeroReturnError:
                return b""
            except SSL.Error as error:
                raise _as_os_error(error) from None

    def _shake_hands(self) -> None:
        limit = self._socket.gettimeout()
        given_up_at = None if limit is None else time.monotonic() + limit
        while True:
            try:
                self._tls.do_handshake()
            except SSL.WantReadError:
                self._flush()
                self._take(given_up_at)
            except SSL.Error as error:
                self._flush()
                raise _as_os_error(error) from None
            else:
                self._flush()
                return

    def _take(self, given_up_at: float | None) -> None:
        if given_up_at is not None and time.monotonic() > given_up_at:
            raise TimeoutError
        part = self._socket.recv(_PART)
        if not part:
            raise ConnectionResetError("the connection was closed")
        self._tls.bio_write(part)

    def _flush(self) -> None:
        """Send what TLS has made ready."""
        while True:
            try:
                part = self._tls.bio_read(_PART)
            except SSL.WantReadError:
                return
            self._socket.sendall(part)


def _as_os_error(error: SSL.Error) -> OSError:
    """Return the reason as OpenSSL words it, the innermost last."""
    queue = error.args[0] if error.args and isinstance(error.args[0], list) else []
    reasons = [str(item[-1]) for item in queue if item]
    return OSError(0, reasons[-1] if reasons else "the handshake failed")
