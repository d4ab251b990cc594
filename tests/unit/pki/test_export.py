"""A PKCS#12 file holds the key and the whole chain, and opens with its password alone."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization.pkcs12 import load_pkcs12

from mailadmin.pki.export import ContainerKind, pack_pkcs12
from mailadmin.pki.keys import KeyKind, KeyProblem, generate_key, private_key_to_pem
from tests.throwaway_pki import Issued, ThrowawayCa, draw_key

PASSWORD = "correct-battery-staple-7261"


@pytest.fixture(scope="module")
def ca() -> ThrowawayCa:
    return ThrowawayCa("Test Authority")


def pack(issued: Issued, kind: ContainerKind = ContainerKind.MODERN) -> bytes:
    return pack_pkcs12(
        key_pem=issued.key_pem,
        certificates_pem=issued.fullchain_pem,
        password=PASSWORD,
        friendly_name="Bücher 📚\udc80",
        kind=kind,
    )


def openssl(content: bytes, tmp_path: Path, *options: str, password: str = PASSWORD) -> str:
    """Return what openssl says of the file, notes and PEM together."""
    file = tmp_path / "file.p12"
    file.write_bytes(content)
    done = subprocess.run(
        ["openssl", "pkcs12", "-in", file, "-passin", "stdin", "-nodes", "-info", *options],
        input=password.encode(),
        capture_output=True,
        timeout=90,
    )
    assert done.returncode == 0, done.stderr.decode()
    return (done.stdout + done.stderr).decode(errors="replace")


@pytest.mark.parametrize("key_kind", [KeyKind.ECDSA_P256, KeyKind.ECDSA_P384, KeyKind.RSA_2048])
def test_openssl_finds_the_key_and_the_chain(
    key_kind: KeyKind, ca: ThrowawayCa, tmp_path: Path
) -> None:
    issued = ca.issue(key=draw_key(key_kind))
    said = openssl(pack(issued), tmp_path)
    assert said.count("BEGIN CERTIFICATE") == issued.fullchain_pem.count(b"BEGIN CERTIFICATE") > 1
    assert said.count("BEGIN PRIVATE KEY") == 1
    packed = load_pkcs12(pack(issued), PASSWORD.encode())
    assert packed.key is not None
    assert private_key_to_pem(packed.key) == issued.key_pem  # type: ignore[arg-type]
    assert packed.cert is not None
    assert packed.cert.friendly_name == "Bücher ??".encode()


def test_a_modern_file_is_locked_with_aes_and_many_rounds(ca: ThrowawayCa, tmp_path: Path) -> None:
    said = openssl(pack(ca.issue()), tmp_path)
    assert "MAC: sha256" in said
    assert said.count("PBES2, PBKDF2, AES-256-CBC, Iteration 150000, PRF hmacWithSHA256") == 2


def test_a_file_for_old_programs_is_locked_as_they_expect(ca: ThrowawayCa, tmp_path: Path) -> None:
    said = openssl(pack(ca.issue(), ContainerKind.OLD), tmp_path)
    assert "MAC: sha1, Iteration 2048" in said
    assert said.count("pbeWithSHA1And3-KeyTripleDES-CBC, Iteration 2048") == 2


@pytest.mark.parametrize("kind", ContainerKind)
def test_no_other_password_opens_it_and_nothing_is_readable(
    kind: ContainerKind, ca: ThrowawayCa
) -> None:
    issued = ca.issue()
    content = pack(issued, kind)
    with pytest.raises(ValueError, match="password"):
        load_pkcs12(content, b"another")
    packed = load_pkcs12(content, PASSWORD.encode())
    assert packed.cert is not None
    assert packed.cert.certificate.tbs_certificate_bytes not in content


def test_a_key_of_another_certificate_is_not_packed(ca: ThrowawayCa) -> None:
    issued = ca.issue()
    other = private_key_to_pem(generate_key(KeyKind.ECDSA_P256))
    with pytest.raises(ValueError, match=r"key"):
        pack(Issued(issued.cert_pem, issued.chain_pem, other))


def test_what_is_no_key_is_refused_without_a_word_of_it(ca: ThrowawayCa) -> None:
    issued = ca.issue()
    with pytest.raises(KeyProblem) as error:
        pack(Issued(issued.cert_pem, issued.chain_pem, b"hush"))
    assert "hush" not in str(error.value)
