"""PKCS#12: every method that is met is read, and what is not read is told from a wrong password."""

from __future__ import annotations

import base64
import hmac
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
    pkcs12,
)
from cryptography.x509 import load_der_x509_certificate, load_pem_x509_certificate
from hypothesis import given
from hypothesis import strategies as st

from mailadmin.pki.certificate import read_certificate
from mailadmin.pki.der import Element, encode, read_element, to_der
from mailadmin.pki.keys import public_key_id
from mailadmin.pki.pbe.derivations import Pkcs12Derivation
from mailadmin.pki.pkcs12 import Pkcs12Content, is_pkcs12, read_pkcs12
from tests.throwaway_pki import ThrowawayCa, draw_key

FOLDER = Path(__file__).parent / "containers"
PASSWORD = "open sesame"
CA = ThrowawayCa(now=datetime(2026, 11, 24, 12, tzinfo=UTC))
KEY = draw_key()
CERTIFICATE = CA.issue(key=KEY).cert_pem
OTHERS = [read_certificate(pem).der for pem in (*CA.intermediate_pems, CA.root_pem)]

DATA, SIGNED, ENVELOPED = (
    encode(6, bytes.fromhex(f"2a864886f70d0107{n}")) for n in ["01", "02", "03"]
)
ENCRYPTED = encode(6, bytes.fromhex("2a864886f70d010706"))
BAG = "2a864886f70d010c0a01"
PBES2, PBKDF2 = "2a864886f70d01050d", "2a864886f70d01050c"
AES_256 = "60864801650304012a"


def load(name: str) -> bytes:
    return base64.b64decode((FOLDER / f"{name}.b64").read_text())


def parse(content: bytes) -> Element:
    return read_element(to_der(content)[0])


def read(content: bytes, password: str | None = PASSWORD, max_keys: int = 4) -> Pkcs12Content:
    element = parse(content)
    assert is_pkcs12(element)
    return read_pkcs12(element, password, max_keys=max_keys)


def codes(content: Pkcs12Content) -> list[str]:
    return [problem.code for problem in content.problems]


def is_whole(content: Pkcs12Content) -> bool:
    """Tell whether there is one certificate with its own key."""
    (certificate,), (key,) = content.certificates, content.keys
    private = load_der_private_key(key, None)
    return public_key_id(private) == read_certificate(certificate).public_key_id


# Building what no program writes


def seq(*items: bytes) -> bytes:
    return encode(0x30, b"".join(items))


def octets(content: bytes) -> bytes:
    return encode(4, content)


def oid(text: str) -> bytes:
    return encode(6, bytes.fromhex(text))


def number(value: int) -> bytes:
    return encode(2, value.to_bytes(value.bit_length() // 8 + 1, signed=True))


def explicit(content: bytes) -> bytes:
    return encode(0xA0, content)


def content_info(kind: bytes, content: bytes) -> bytes:
    return seq(kind, explicit(content))


def bag(kind: int, value: bytes) -> bytes:
    return seq(oid(f"{BAG}0{kind}"), explicit(value))


def certificate_bag(der: bytes, kind: str = "2a864886f70d01091601") -> bytes:
    return bag(3, seq(oid(kind), explicit(octets(der))))


def file_of(*safes: bytes, mac: bytes = b"") -> bytes:
    return seq(number(3), content_info(DATA, octets(seq(*safes))), mac)


def plain_safe(*bags: bytes) -> bytes:
    return content_info(DATA, octets(seq(*bags)))


def locked_safe(algorithm: bytes, ciphertext: bytes) -> bytes:
    inner = seq(DATA, algorithm, encode(0x80, ciphertext))
    return content_info(ENCRYPTED, seq(number(0), inner))


def mac_of(digest: str, rounds: int = 2048) -> bytes:
    return seq(seq(seq(oid(digest)), octets(bytes(20))), octets(b"salt"), number(rounds))


# What is read

METHODS = sorted(
    path.stem
    for path in FOLDER.glob("*.b64")
    if not path.stem.startswith(("rfc9579", "umlauts", "empty", "nothing"))
    and "camellia" not in path.stem
    and "sha3" not in path.stem
)


def loosen(der: bytes) -> bytes:
    """Write it with the freedoms of BER: every length left open, the outer string in pieces."""
    version, content, *mac = read_element(der).children()
    kind, holder = content.children()
    safes = read_element(holder.content).content
    half = len(safes) // 2
    string = b"\x24\x80" + octets(safes[:half]) + octets(safes[half:]) + b"\0\0"
    opened = b"\x30\x80" + kind.encoded + b"\xa0\x80" + string + b"\0\0\0\0"
    return b"\x30\x80" + version.encoded + opened + mac[0].encoded + b"\0\0"


def right_mac(*safes: bytes) -> bytes:
    """Return the MAC of a file of these safes under the password."""
    wide = PASSWORD.encode("utf-16-be") + b"\0\0"
    key = Pkcs12Derivation("sha1", b"salt", 1).derive(wide, 3, 20)
    digest = hmac.digest(key, seq(*safes), "sha1")
    return seq(seq(seq(oid("2b0e03021a")), octets(digest)), octets(b"salt"))


@pytest.mark.parametrize("method", METHODS)
def test_every_method_is_read_and_its_password_asked_for(method: str) -> None:
    content = read(load(method))
    assert is_whole(content)
    assert content.problems == ()
    assert codes(read(load(method), None)) == ["pkcs12.password_needed"]
    assert codes(read(load(method), "")) == ["pkcs12.password_needed"]
    assert codes(read(load(method), "wrong")) == ["pkcs12.password_wrong"]


@pytest.mark.parametrize("number", [1, 2, 3])
def test_the_right_examples_of_rfc_9579_are_read(number: int) -> None:
    content = read(load(f"rfc9579-a{number}"), "1234")
    assert is_whole(content)
    assert codes(read(load(f"rfc9579-a{number}"), "123")) == ["pkcs12.password_wrong"]


def test_the_wrong_examples_of_rfc_9579_are_not() -> None:
    assert codes(read(load("rfc9579-a4"), "1234")) == ["pkcs12.password_wrong"]
    assert codes(read(load("rfc9579-a5"), "1234")) == ["pkcs12.password_wrong"]
    assert codes(read(load("rfc9579-a6"), "1234")) == ["pkcs12.unreadable"]


@pytest.mark.parametrize("password", [None, "", "not needed"])
@pytest.mark.parametrize("name", ["empty-password", "nothing-locked"])
def test_a_password_that_is_not_needed_is_not_asked_for(name: str, password: str | None) -> None:
    assert is_whole(read(load(name), password))


def test_what_is_not_locked_is_read_while_the_key_waits_for_its_password() -> None:
    content = read(load("only-the-key-locked"), None)
    assert (len(content.certificates), content.keys) == (1, ())
    assert codes(content) == ["pkcs12.password_needed"]


def test_a_password_with_umlauts_is_understood() -> None:
    assert is_whole(read(load("umlauts"), "pässwörd"))
    assert codes(read(load("umlauts"), "passwort")) == ["pkcs12.password_wrong"]


@pytest.mark.parametrize("name", ["pbes2-camellia-256-cbc", "mac-sha3-256"])
@pytest.mark.parametrize("password", [PASSWORD, "wrong"])
def test_an_unknown_method_is_never_called_a_wrong_password(name: str, password: str) -> None:
    content = read(load(name), password)
    if name.startswith("mac") and password == PASSWORD:
        assert is_whole(content)  # the MAC is not needed where everything opens
        assert content.problems == ()
    else:
        assert codes(content) == ["pkcs12.unsupported"]
        assert content.problems[0].params["method"]


def test_no_password_is_asked_for_where_none_could_help() -> None:
    assert codes(read(load("pbes2-camellia-256-cbc"), None)) == ["pkcs12.unsupported"]
    assert codes(read(load("mac-sha3-256"), None)) == ["pkcs12.password_needed"]


def test_what_cryptography_writes_is_read() -> None:
    certificate = load_pem_x509_certificate(CERTIFICATE)
    authorities = [load_der_x509_certificate(der) for der in OTHERS]
    sha1 = hashes.SHA1()  # noqa: S303 - as old programs do
    old = PrivateFormat.PKCS12.encryption_builder().kdf_rounds(50).hmac_hash(sha1)
    for encryption in (
        NoEncryption(),
        BestAvailableEncryption(PASSWORD.encode()),
        old.key_cert_algorithm(pkcs12.PBES.PBESv1SHA1And3KeyTripleDESCBC).build(PASSWORD.encode()),
    ):
        written = pkcs12.serialize_key_and_certificates(
            b"name", KEY, certificate, authorities, encryption
        )
        content = read(written)
        assert content.certificates == (certificate.public_bytes(Encoding.DER), *OTHERS)
        assert [public_key_id(load_der_private_key(key, None)) for key in content.keys] == [
            public_key_id(KEY)
        ]
        assert content.problems == ()


def test_lengths_left_open_and_strings_in_pieces_are_understood() -> None:
    for name in ("rc2-40", "pbes2-aes-256-cbc", "rfc9579-a1"):
        password = "1234" if name.startswith("rfc") else PASSWORD
        assert is_whole(read(loosen(load(name)), password))


def test_ciphertext_in_pieces_is_understood() -> None:
    safes = read_element(read_element(load("rc2-40")).children()[1].children()[1].content).content
    first, second = read_element(safes).children()
    encrypted = read_element(first.children()[1].content)
    _, algorithm, ciphertext = encrypted.children()[1].children()
    half = len(ciphertext.content) // 2
    pieces = octets(ciphertext.content[:half]) + octets(ciphertext.content[half:])
    inner = seq(DATA, algorithm.encoded, encode(0xA0, pieces))
    loose = content_info(ENCRYPTED, seq(number(0), inner))
    assert is_whole(read(file_of(loose, second.encoded)))


def test_bags_may_be_in_bags_and_other_things_are_passed_over() -> None:
    packed = plain_safe(
        bag(6, seq(certificate_bag(OTHERS[0]))),
        bag(4, seq()),
        certificate_bag(OTHERS[1], "2a864886f70d01091602"),  # an SDSI certificate
    )
    content = read(file_of(packed), None)
    assert content.certificates == (OTHERS[0],)
    assert content.problems == ()


def test_only_so_many_keys_are_opened() -> None:
    keys = plain_safe(*[bag(1, seq(number(0)))] * 6)
    content = read(file_of(keys), None, max_keys=4)
    assert (len(content.keys), content.keys_left) == (4, 2)


# What is not


@pytest.mark.parametrize(
    ("kinds", "method"),
    [((SIGNED, DATA), "1.2.840.113549.1.7.2"), ((DATA, ENVELOPED), "1.2.840.113549.1.7.3")],
)
def test_files_that_are_locked_without_a_password_are_named(
    kinds: tuple[bytes, bytes], method: str
) -> None:
    outer, inner = kinds
    safes = octets(seq(content_info(inner, octets(seq())), plain_safe(certificate_bag(OTHERS[0]))))
    content = read(seq(number(3), content_info(outer, safes)), PASSWORD)
    assert codes(content) == ["pkcs12.unsupported"]
    assert content.problems[0].params["method"] == method
    assert content.certificates == ((OTHERS[0],) if outer == DATA else ())


def pbes2(rounds: int = 1000, derivation: str = PBKDF2, cipher: str = AES_256) -> bytes:
    parameters = seq(octets(b"salt"), number(rounds))
    return seq(
        oid(PBES2), seq(seq(oid(derivation), parameters), seq(oid(cipher), octets(bytes(16))))
    )


SCRYPT = "2b06010401da47040b"


def scrypt(cost: int, block: int, lanes: int, *more: bytes) -> bytes:
    parameters = seq(octets(b"salt"), number(cost), number(block), number(lanes), *more)
    cipher = seq(oid(AES_256), octets(bytes(16)))
    return seq(oid(PBES2), seq(seq(oid(SCRYPT), parameters), cipher))


@pytest.mark.parametrize(
    "algorithm",
    [
        pbes2(20_000_001),
        scrypt(2**20, 8, 1),
        scrypt(2**30, 8, 1),
        scrypt(2**14, 8, 2**7),
        seq(oid("2a864886f70d010c0106"), seq(octets(b"salt"), number(2**40))),
    ],
)
def test_what_would_take_long_is_not_tried(algorithm: bytes) -> None:
    content = read(file_of(locked_safe(algorithm, bytes(32)), mac=mac_of("2b0e03021a")))
    assert codes(content) == ["pkcs12.too_slow"]
    content = read(file_of(plain_safe(), mac=mac_of("2b0e03021a", 2**31)))
    assert codes(content) == ["pkcs12.too_slow"]


@pytest.mark.parametrize(
    "algorithm",
    [
        pbes2(0),
        pbes2(-5),
        scrypt(1000, 8, 1),  # not a power of two
        scrypt(1024, 8, 1, number(0)),
        seq(oid(PBES2), seq(seq(oid(PBKDF2)))),
        seq(oid(PBES2), seq(seq(oid(PBKDF2), seq(octets(b"s"), encode(2, b""))), seq())),
        seq(
            oid(PBES2),
            seq(
                seq(oid(PBKDF2), seq(octets(b"s"), number(1))),
                seq(oid(AES_256), octets(bytes(8))),
            ),
        ),
        seq(),
        octets(b"x"),
    ],
)
def test_parameters_that_make_no_sense_are_damage(algorithm: bytes) -> None:
    content = read(
        file_of(plain_safe(certificate_bag(OTHERS[0])), locked_safe(algorithm, bytes(32)))
    )
    assert content.certificates == (OTHERS[0],)
    assert codes(content) in (["pkcs12.unreadable"], ["pkcs12.password_wrong"])


@pytest.mark.parametrize(
    ("algorithm", "method"),
    [
        (seq(oid("2a0304")), "1.2.3.4"),
        (pbes2(derivation="2a0304"), "1.2.3.4"),
        (pbes2(cipher="2a0304"), "1.2.3.4"),
        (
            seq(
                oid(PBES2),
                seq(
                    seq(oid(PBKDF2), seq(octets(b"s"), number(1), seq(oid("2a0304")))),
                    seq(oid(AES_256), octets(bytes(16))),
                ),
            ),
            "1.2.3.4",
        ),
        (
            seq(
                oid(PBES2),
                seq(
                    seq(oid(PBKDF2), seq(octets(b"s"), number(1))),
                    seq(oid("2a864886f70d0302"), seq(number(7), octets(bytes(8)))),
                ),
            ),
            "1.2.840.113549.3.2",
        ),
    ],
)
def test_an_unknown_method_is_named(algorithm: bytes, method: str) -> None:
    content = read(file_of(locked_safe(algorithm, bytes(32))))
    assert codes(content) == ["pkcs12.unsupported"]
    assert content.problems[0].params == {"method": method}


@pytest.mark.parametrize(
    ("key_bytes", "code"), [(19, "pkcs12.unreadable"), (20, "pkcs12.password_wrong")]
)
def test_a_mac_key_shorter_than_rfc_9579_allows_is_refused(key_bytes: int, code: str) -> None:
    sha256 = seq(oid("2a864886f70d0209"))
    numbers = seq(octets(b"salt"), number(1), number(key_bytes), sha256)
    method = seq(oid("2a864886f70d01050e"), seq(seq(oid(PBKDF2), numbers), sha256))
    mac = seq(seq(method, octets(bytes(32))), octets(b""))
    content = read(file_of(locked_safe(pbes2(), bytes(32)), mac=mac))
    assert codes(content) == [code]


def test_rc2_of_more_bits_than_its_key_has_is_no_method_that_anybody_knows() -> None:
    derivation = seq(oid(PBKDF2), seq(octets(b"s"), number(1), number(16)))
    rc2 = seq(oid("2a864886f70d0302"), seq(number(258), octets(bytes(8))))
    algorithm = seq(oid(PBES2), seq(derivation, rc2))
    assert codes(read(file_of(locked_safe(algorithm, bytes(32))))) == ["pkcs12.unsupported"]


@pytest.mark.parametrize("length", [0, 15, 32])
def test_ciphertext_that_no_password_opens_is_told_with_the_password(length: int) -> None:
    content = read(file_of(locked_safe(pbes2(), bytes(length))))
    assert codes(content) == ["pkcs12.password_wrong"]


def test_rc2_of_odd_sizes_and_scrypt_are_tried() -> None:
    rc2 = seq(oid("2a864886f70d0302"), seq(octets(bytes(8))))
    wide_rc2 = seq(oid("2a864886f70d0302"), seq(number(258), octets(bytes(8))))
    derivation = seq(oid(PBKDF2), seq(octets(b"s"), number(1)))
    for algorithm in (
        seq(oid(PBES2), seq(derivation, rc2)),
        seq(oid(PBES2), seq(derivation, wide_rc2)),
        scrypt(2, 1, 1),
        scrypt(2, 1, 1, number(32)),
    ):
        assert codes(read(file_of(locked_safe(algorithm, bytes(32))))) == ["pkcs12.password_wrong"]


def test_a_part_with_a_password_of_its_own_is_told_from_a_wrong_one() -> None:
    safe = locked_safe(pbes2(), bytes(32))
    content = read(file_of(safe, plain_safe(certificate_bag(OTHERS[0])), mac=b""))
    assert codes(content) == ["pkcs12.password_wrong"]
    safes = safe, plain_safe(certificate_bag(OTHERS[0]))
    content = read(file_of(*safes, mac=right_mac(*safes)))
    assert codes(content) == ["pkcs12.locked_inside"]
    assert content.certificates == (OTHERS[0],)


def test_a_mac_with_a_round_untold_is_taken_as_one() -> None:
    written = seq(seq(seq(oid("2b0e03021a")), octets(bytes(20))), octets(b"salt"))
    content = read(file_of(locked_safe(pbes2(), bytes(32)), mac=written))
    assert codes(content) == ["pkcs12.password_wrong"]


def test_structures_without_end_are_refused() -> None:
    inner = seq(certificate_bag(OTHERS[0]))
    for _ in range(6):
        inner = seq(bag(6, inner))
    assert codes(read(file_of(content_info(DATA, octets(inner))))) == ["pkcs12.unreadable"]
    many = read(file_of(plain_safe(*[certificate_bag(OTHERS[0])] * 300)))
    assert codes(many) == ["pkcs12.unreadable"]
    assert len(many.certificates) == 200


@pytest.mark.parametrize(
    "content",
    [
        seq(),
        seq(number(3)),
        seq(number(2), content_info(DATA, octets(b""))),
        octets(b"x"),
        seq(number(3), seq()),
    ],
)
def test_other_structures_are_none(content: bytes) -> None:
    assert not is_pkcs12(parse(content))


def test_no_secret_is_shown() -> None:
    content = read(load("nothing-locked"))
    assert content.keys[0].hex() not in repr(content)
    assert repr(content.keys[0]) not in repr(content)


@given(st.sampled_from(METHODS), st.data())
def test_damage_is_told_and_never_raised(method: str, data: st.DataObject) -> None:
    content = bytearray(load(method))
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        element = parse(bytes(content))
    except ValueError:
        return
    if is_pkcs12(element):
        found = read_pkcs12(element, PASSWORD, max_keys=4)
        assert all(code.startswith("pkcs12.") for code in codes(found))
