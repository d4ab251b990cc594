"""Private keys: every kind and wrapping that is read, and why others are not."""

from __future__ import annotations

import hashlib
import time
import traceback
from collections.abc import Callable
from itertools import product

import gmpy2
import pytest
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa, x25519
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)
from hypothesis import given
from hypothesis import strategies as st

from mailadmin.certificates.bounded import LIMITS
from mailadmin.pki import keys
from mailadmin.pki.keys import (
    KeyAlgorithm,
    KeyKind,
    KeyProblem,
    algorithm_of,
    describe_key,
    generate_key,
    key_problems,
    load_private_key,
    load_written_key,
    private_key_to_der,
    private_key_to_pem,
    public_key_id,
)
from mailadmin.pki.pem import armor, find_blocks
from mailadmin.pki.problems import Problem
from mailadmin.pki.raw_fields import read_element, split
from tests.throwaway_pki import draw_key, encode_der, small_rsa_key

PASSWORD = "correct horse"
EC_PARAMETERS = armor("EC PARAMETERS", bytes.fromhex("06082a8648ce3d030107"))
FORMATS = (PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL)
EC_KEY = draw_key(KeyKind.ECDSA_P256)


def encode(
    key: PrivateKeyTypes,
    form: PrivateFormat = PrivateFormat.PKCS8,
    encryption: KeySerializationEncryption | None = None,
    encoding: Encoding = Encoding.PEM,
) -> bytes:
    return key.private_bytes(encoding, form, encryption or NoEncryption())


def encrypt(key: PrivateKeyTypes, form: PrivateFormat = PrivateFormat.PKCS8) -> bytes:
    return encode(key, form, BestAvailableEncryption(PASSWORD.encode()))


def refusal_of(content: bytes, password: str | None = None) -> KeyProblem:
    with pytest.raises(KeyProblem) as refused:
        load_private_key(content, password)
    return refused.value


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (KeyKind.RSA_2048, "RSA 2048"),
        (KeyKind.RSA_3072, "RSA 3072"),
        (KeyKind.ECDSA_P256, "ECDSA P-256"),
        (KeyKind.ECDSA_P384, "ECDSA P-384"),
    ],
)
def test_a_drawn_key_is_of_its_kind_and_survives_storage(kind: KeyKind, words: str) -> None:
    key = draw_key(kind)
    assert describe_key(key.public_key()) == words
    assert key_problems(key.public_key()) == []
    assert public_key_id(load_private_key(private_key_to_pem(key))) == public_key_id(key)


def test_every_kind_that_is_offered_can_be_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[int] = []

    def note_size(exponent: int, bits: int) -> None:
        assert exponent == 65537
        drawn.append(bits)

    monkeypatch.setattr(rsa, "generate_private_key", note_size)
    for kind in KeyKind:
        generate_key(kind)
    assert drawn == [2048, 3072, 4096]


def test_two_keys_of_one_kind_differ() -> None:
    first, second = generate_key(KeyKind.ECDSA_P256), generate_key(KeyKind.ECDSA_P256)
    assert public_key_id(first) != public_key_id(second)


def test_a_key_and_its_public_key_have_one_id() -> None:
    identifier = public_key_id(EC_KEY)
    assert identifier == public_key_id(EC_KEY.public_key())
    assert len(identifier) == 64
    assert identifier == identifier.lower()


@pytest.mark.parametrize(("kind", "form"), list(product(["rsa-2048", "ecdsa-p384"], FORMATS)))
def test_a_key_is_read_in_every_wrapping(kind: str, form: PrivateFormat) -> None:
    key = draw_key(KeyKind(kind))
    wrapped = [
        encode(key, form),
        encode(key, form, encoding=Encoding.DER),
        encode(key, form).replace(b"\n", b"\r\n").rstrip(),
        encode(key, form).decode().encode("utf-16"),
        b"Bag Attributes\n" + EC_PARAMETERS + encode(key, form),
    ]
    for content in wrapped:
        assert public_key_id(load_private_key(content)) == public_key_id(key)
        assert public_key_id(load_private_key(content, "not needed")) == public_key_id(key)


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("kind", [KeyKind.RSA_2048, KeyKind.ECDSA_P256])
def test_an_encrypted_key_is_opened_by_its_password_only(
    kind: KeyKind, form: PrivateFormat
) -> None:
    key = draw_key(kind)
    content = encrypt(key, form)
    assert public_key_id(load_private_key(content, PASSWORD)) == public_key_id(key)
    assert refusal_of(content).problem.code == "key.password_needed"
    assert refusal_of(content, "").problem.code == "key.password_needed"
    assert refusal_of(content, "wrong").problem.code == "key.password_wrong"
    assert refusal_of(content, "\udcff").problem.code == "key.password_wrong"


def test_an_encrypted_der_key_is_opened() -> None:
    encryption = BestAvailableEncryption(PASSWORD.encode())
    content = encode(EC_KEY, encryption=encryption, encoding=Encoding.DER)
    assert public_key_id(load_private_key(content, PASSWORD)) == public_key_id(EC_KEY)
    assert refusal_of(content).problem.code == "key.password_needed"


@pytest.mark.parametrize("password", [None, PASSWORD])
def test_a_refusal_holds_neither_key_nor_password(password: str | None) -> None:
    content = encrypt(EC_KEY).replace(b"\nMI", b"\nMJ") if password else encrypt(EC_KEY)
    refused = refusal_of(content, password)
    told = "".join(traceback.format_exception(refused))
    assert PASSWORD not in told
    assert content.split(b"\n")[1].decode() not in told
    assert refused.__suppress_context__ or refused.__context__ is None
    assert refused.__cause__ is None


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no key at all",
        armor("CERTIFICATE", b"abc"),
        armor("PRIVATE KEY", b"abc"),
        armor("RSA PRIVATE KEY", b"\x30\x03\x02\x01\x00"),
        b"-----BEGIN PRIVATE KEY-----\nAAAA",
        b"\x30\x82\x00\x01\x00",
    ],
)
def test_what_is_no_key_is_unreadable(content: bytes) -> None:
    assert refusal_of(content).problem.code == "key.unreadable"


@pytest.mark.parametrize(
    ("key", "code", "params"),
    [
        (ed25519.Ed25519PrivateKey.generate(), "key.ed25519", {"key": "Ed25519"}),
        (ed448.Ed448PrivateKey.generate(), "key.ed448", {"key": "Ed448"}),
        (x25519.X25519PrivateKey.generate(), "key.key_agreement", {"key": "X25519"}),
        (dsa.generate_private_key(2048), "key.dsa", {"key": "DSA 2048"}),
        (
            ec.generate_private_key(ec.SECP256K1()),
            "key.curve_unsupported",
            {"curve": "secp256k1"},
        ),
        (ec.generate_private_key(ec.SECP192R1()), "key.curve_unsupported", {"curve": "P-192"}),
    ],
)
def test_a_key_of_an_odd_kind_is_named_and_refused(
    key: PrivateKeyTypes, code: str, params: dict[str, str]
) -> None:
    problem = refusal_of(encode(key)).problem
    assert (problem.code, problem.params) == (code, params)
    assert key_problems(key.public_key()) == [problem]


def test_an_openssh_key_is_named_and_refused() -> None:
    content = encode(EC_KEY, PrivateFormat.OpenSSH)
    assert refusal_of(content).problem.params == {"key": "OpenSSH"}


def test_a_key_on_p_521_is_taken() -> None:
    key = ec.generate_private_key(ec.SECP521R1())
    assert describe_key(key.public_key()) == "ECDSA P-521"
    assert describe_key(load_private_key(encode(key)).public_key()) == "ECDSA P-521"


def test_a_small_rsa_key_is_read_but_judged_too_small() -> None:
    key = load_private_key(encode(small_rsa_key()))
    (problem,) = key_problems(key.public_key())
    assert (problem.code, problem.params) == (
        "key.rsa_too_small",
        {"bits": 1024, "minimum": 2048},
    )


def rsa_numbers(bits: int) -> rsa.RSAPrivateNumbers:
    """Return numbers of the right shape that belong to no key."""
    p = (1 << (bits // 2)) - 1
    q = p - 2
    public = rsa.RSAPublicNumbers(65537, p * q)
    return rsa.RSAPrivateNumbers(p, q, p * q - 4, p - 2, q - 2, 3, public)


@pytest.mark.parametrize(
    ("bits", "code"),
    [(2048, "key.unreadable"), (2050, "key.rsa_odd_size"), (8320, "key.rsa_too_large")],
)
def test_rsa_numbers_are_checked_but_only_of_a_usual_size(bits: int, code: str) -> None:
    key = rsa_numbers(bits).private_key(unsafe_skip_rsa_key_validation=True)
    assert refusal_of(encode(key)).problem.code == code


# The first two primes after 3 * 2^4094, so that no test has to look for one for seconds.
LARGE_P, LARGE_Q = (3 << 4094) + 3389, (3 << 4094) + 8099


def rsa_numbers_of(p: int, q: int) -> rsa.RSAPrivateNumbers:
    """Return the numbers of an RSA key; they belong together if both are primes."""
    d = pow(65537, -1, (p - 1) * (q - 1))
    public = rsa.RSAPublicNumbers(65537, p * q)
    return rsa.RSAPrivateNumbers(p, q, d, d % (p - 1), d % (q - 1), pow(q, -1, p), public)


NAMES_OF_NUMBERS = ("d", "p", "q", "dmp1", "dmq1", "iqmp")


def encode_rsa(*numbers: int) -> bytes:
    """Write a private key with these numbers, of whatever value (RFC 8017, appendix A.1.2)."""
    parts = (number.to_bytes(number.bit_length() // 8 + 1) for number in (0, *numbers))
    content = b"".join(encode_der(0x02, part) for part in parts)
    return armor("RSA PRIVATE KEY", encode_der(0x30, content))


def test_the_largest_rsa_key_is_read_long_before_an_upload_is_given_up() -> None:
    key = rsa_numbers_of(LARGE_P, LARGE_Q).private_key(unsafe_skip_rsa_key_validation=True)
    content = encode(key)
    began = time.process_time()
    assert public_key_id(load_private_key(content)) == public_key_id(key)
    assert time.process_time() - began < LIMITS.seconds / 2


WRONG_BY: dict[str, dict[str, int]] = {
    "nothing": {},
    "the modulus": {"n": 2},
    "a prime": {"p": 2},
    "the exponent for one prime": {"dmp1": 2},
    "the exponent for the other": {"dmq1": 2},
    "the private exponent": {"d": 2, "dmp1": 2, "dmq1": 2},
    "the coefficient": {"iqmp": 2},
    "the size of the coefficient": {"iqmp": LARGE_P},
}


@pytest.mark.parametrize("wrong", WRONG_BY)
def test_a_wrong_number_in_an_rsa_key_is_found(wrong: str) -> None:
    good = rsa_numbers_of(LARGE_P, LARGE_Q)
    of_primes = [getattr(good, name) + WRONG_BY[wrong].get(name, 0) for name in NAMES_OF_NUMBERS]
    n = good.public_numbers.n + WRONG_BY[wrong].get("n", 0)
    content = encode_rsa(n, 65537, *of_primes)
    if wrong == "nothing":
        assert load_private_key(content)
    else:
        assert refusal_of(content).problem.code == "key.unreadable"


@pytest.mark.parametrize(
    ("p", "q"),
    [
        ((3 << 4094) + 1, LARGE_Q),  # can be divided by 13
        # No prime, but a strong pseudoprime to base 2, as 2^r - 1 is for every prime r.
        (2**1021 - 1, int(gmpy2.next_prime(3 << 1025))),
    ],
)
def test_the_primes_of_an_rsa_key_are_primes(p: int, q: int) -> None:
    key = rsa_numbers_of(p, q).private_key(unsafe_skip_rsa_key_validation=True)
    assert refusal_of(encode(key)).problem.code == "key.unreadable"


@pytest.mark.parametrize("is_first", [True, False])
def test_one_is_no_prime_of_an_rsa_key(is_first: bool) -> None:
    good = rsa_numbers_of(LARGE_P, LARGE_Q)
    n = good.public_numbers.n
    primes = (1, n) if is_first else (n, 1)
    content = encode_rsa(n, 65537, good.d, *primes, 0, 0, 1)
    assert refusal_of(content).problem.code == "key.unreadable"


def test_an_algorithm_nobody_knows_is_unsupported() -> None:
    der = bytes.fromhex("3012020100300706052a0304050604043002020 1".replace(" ", ""))
    problem = refusal_of(armor("PRIVATE KEY", der)).problem
    assert (problem.code, problem.params) == ("key.unsupported", {"key": "unknown"})


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        (b"AES-256-CBC", b"ROT-13-CBC", "key.encryption_unsupported"),
        (b"AES-256-CBC,", b"AES-256-CBC;", "key.unreadable"),
        (b"AES-256-CBC,", b"AES-256-CBC,x", "key.unreadable"),
    ],
)
def test_a_password_is_called_wrong_only_if_it_was_tried(old: bytes, new: bytes, code: str) -> None:
    content = encrypt(EC_KEY, PrivateFormat.TraditionalOpenSSL)
    assert old in content
    assert refusal_of(content.replace(old, new), PASSWORD).problem.code == code


def test_an_encryption_that_the_library_lacks_is_unsupported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(_: bytes, password: bytes | None, **__: bool) -> None:
        raise UnsupportedAlgorithm("RC2") if password else TypeError

    monkeypatch.setattr(keys, "load_pem_private_key", refuse)
    traditional = encrypt(EC_KEY, PrivateFormat.TraditionalOpenSSL)
    assert refusal_of(traditional, PASSWORD).problem.code == "key.encryption_unsupported"


SALT, IV = bytes(range(8)), bytes(range(16))


def oid(encoded: str) -> bytes:
    return encode_der(0x06, bytes.fromhex(encoded))


def integer(number: int) -> bytes:
    return encode_der(0x02, number.to_bytes(number.bit_length() // 8 + 1))


def pbes2(derivation: bytes, secret: bytes, plain: bytes = b"") -> bytes:
    """Return EC_KEY, or other bytes, encrypted as in RFC 8018 with AES-128-CBC."""
    padded = pad(plain or encode(EC_KEY, encoding=Encoding.DER), 16)
    encryptor = Cipher(algorithms.AES(secret), modes.CBC(IV)).encryptor()
    cipher = encode_der(0x30, oid("60864801650304 0102") + encode_der(0x04, IV))
    scheme = encode_der(0x30, oid("2a864886f70d01050d") + encode_der(0x30, derivation + cipher))
    return encrypted_pkcs8(scheme, encryptor.update(padded))


def pad(content: bytes, block: int) -> bytes:
    length = block - len(content) % block
    return content + bytes([length]) * length


def encrypted_pkcs8(scheme: bytes, ciphertext: bytes) -> bytes:
    return armor("ENCRYPTED PRIVATE KEY", encode_der(0x30, scheme + encode_der(0x04, ciphertext)))


def pbkdf2_key(rounds: int, told_rounds: int | None = None) -> bytes:
    sha256 = encode_der(0x30, oid("2a864886f70d0209") + b"\x05\x00")
    numbers = (
        encode_der(0x04, SALT) + integer(rounds if told_rounds is None else told_rounds) + sha256
    )
    derivation = encode_der(0x30, oid("2a864886f70d01050c") + encode_der(0x30, numbers))
    secret = PBKDF2HMAC(hashes.SHA256(), 16, SALT, rounds).derive(PASSWORD.encode())
    return pbes2(derivation, secret)


def scrypt_key(cost: int, told_cost: int | None = None) -> bytes:
    numbers = encode_der(0x04, SALT) + integer(told_cost or cost) + integer(8) + integer(1)
    derivation = encode_der(0x30, oid("2b06010401da47040b") + encode_der(0x30, numbers))
    secret = Scrypt(salt=SALT, length=16, n=cost, r=8, p=1).derive(PASSWORD.encode())
    return pbes2(derivation, secret)


@pytest.mark.parametrize("content", [pbkdf2_key(1_000_000), scrypt_key(2**14)])
def test_a_key_that_is_somewhat_slow_to_open_is_opened(content: bytes) -> None:
    assert public_key_id(load_private_key(content, PASSWORD)) == public_key_id(EC_KEY)
    assert refusal_of(content, "wrong").problem.code == "key.password_wrong"


def md5_des_key() -> bytes:
    """Return EC_KEY encrypted as programs of the last century did (RFC 8018, section 6.1)."""
    derived = PASSWORD.encode() + SALT
    for _ in range(3):
        derived = hashlib.md5(derived).digest()  # noqa: S324 - as the method says
    cipher = Cipher(TripleDES(derived[:8] * 3), modes.CBC(derived[8:]))
    plain = encode(EC_KEY, encoding=Encoding.DER)
    parameters = encode_der(0x30, encode_der(0x04, SALT) + integer(3))
    scheme = encode_der(0x30, oid("2a864886f70d010503") + parameters)
    return encrypted_pkcs8(scheme, cipher.encryptor().update(pad(plain, 8)))


@pytest.mark.parametrize("is_der", [False, True])
def test_a_key_under_a_method_that_the_library_lacks_is_opened(is_der: bool) -> None:
    pem = md5_des_key()
    (block,) = find_blocks(pem.decode())
    content = block.content if is_der else pem
    assert content is not None
    assert public_key_id(load_private_key(content, PASSWORD)) == public_key_id(EC_KEY)
    assert refusal_of(content, "wrong").problem.code == "key.password_wrong"
    assert refusal_of(content).problem.code == "key.password_needed"


def test_rounds_that_no_method_allows_and_methods_that_nobody_knows_are_no_wrong_password() -> None:
    unknown = encrypted_pkcs8(encode_der(0x30, oid("2a03")), bytes(16))
    for content in (pbkdf2_key(1, 0), unknown):
        assert refusal_of(content, PASSWORD).problem.code == "key.encryption_unsupported"


def test_what_opens_by_chance_is_not_taken_for_a_key() -> None:
    sha256 = encode_der(0x30, oid("2a864886f70d0209"))
    numbers = encode_der(0x30, encode_der(0x04, SALT) + integer(1) + sha256)
    derivation = encode_der(0x30, oid("2a864886f70d01050c") + numbers)
    secret = PBKDF2HMAC(hashes.SHA256(), 16, SALT, 1).derive(PASSWORD.encode())
    for plain in (b"nothing", encode_der(0x04, b"x")):
        content = pbes2(derivation, secret, plain)
        assert refusal_of(content, PASSWORD).problem.code == "key.password_wrong"


def test_an_encrypted_block_that_holds_something_else_is_unreadable() -> None:
    content = armor("ENCRYPTED PRIVATE KEY", encode_der(0x30, integer(1)))
    assert refusal_of(content, PASSWORD).problem.code == "key.unreadable"


def test_what_was_written_between_two_ends_of_a_pipe_is_read_back() -> None:
    assert public_key_id(load_written_key(private_key_to_der(EC_KEY))) == public_key_id(EC_KEY)
    other = encode(ed25519.Ed25519PrivateKey.generate(), encoding=Encoding.DER)
    for content in (b"", other):
        with pytest.raises(ValueError, match="key"):
            load_written_key(content)


@pytest.mark.parametrize("content", [pbkdf2_key(1, 20_000_001), scrypt_key(2, 2**19)])
def test_a_key_that_takes_too_much_to_open_is_not_tried(content: bytes) -> None:
    assert refusal_of(content, PASSWORD).problem.code == "key.encryption_too_slow"
    assert refusal_of(content).problem.code == "key.password_needed"


@given(st.binary(max_size=300), st.none() | st.text(max_size=5))
def test_any_bytes_are_a_key_or_refused(content: bytes, password: str | None) -> None:
    labels = ("PRIVATE KEY", "ENCRYPTED PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY")
    for attempt in (content, b"\x30\x82" + content, *(armor(label, content) for label in labels)):
        assert refusal_of(attempt, password).problem.code.startswith("key.")


@pytest.mark.parametrize(
    ("description", "algorithm"),
    [
        ("RSA 2048", KeyAlgorithm.RSA),
        ("RSA 4096", KeyAlgorithm.RSA),
        ("ECDSA P-256", KeyAlgorithm.ECDSA),
        ("ECDSA P-384", KeyAlgorithm.ECDSA),
        ("Ed25519", None),
        ("DSA 2048", None),
        ("", None),
    ],
)
def test_the_algorithm_of_a_key_is_known_by_its_description(
    description: str, algorithm: KeyAlgorithm | None
) -> None:
    assert algorithm_of(description) is algorithm


def as_rsa_pss(key: rsa.RSAPrivateKey) -> bytes:
    """Return a PKCS#8 key that says it may sign by PSS only (RFC 4055, section 1.2)."""
    plain = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    version, algorithm, numbers = split(read_element(plain, 0).content)
    assert algorithm.whole == bytes.fromhex("300d06092a864886f70d0101010500")
    pss = bytes.fromhex("300b06092a864886f70d01010a")
    return encode_der(0x30, version.whole + pss + numbers.whole)


@pytest.mark.parametrize("wrap", [bytes, lambda der: armor("PRIVATE KEY", der)])
def test_an_rsa_key_for_pss_only_is_called_so(wrap: Callable[[bytes], bytes]) -> None:
    key = draw_key(KeyKind.RSA_2048)
    assert isinstance(key, rsa.RSAPrivateKey)
    with pytest.raises(KeyProblem) as refused:
        load_private_key(wrap(as_rsa_pss(key)))
    assert refused.value.problem == Problem("key.rsa_pss", params={"key": "RSA-PSS 2048"})
    assert refused.value.public_key_id == public_key_id(key)


def test_a_refused_key_tells_whose_it_is() -> None:
    key = ec.generate_private_key(ec.SECP256K1())
    content = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    with pytest.raises(KeyProblem) as refused:
        load_private_key(content)
    assert refused.value.public_key_id == public_key_id(key)
