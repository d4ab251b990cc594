"""Every code of ``mailadmin.pki`` has a sentence, and every sentence finds its parameters."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from mailadmin import pki
from mailadmin.certificates.sentences import SENTENCES, say
from mailadmin.pki.problems import Param, Problem, Severity

CODE = re.compile(r"(name|key|csr|certificate|chain|bundle|pkcs12|zip|predecessor)\.[a-z0-9_]+")

PARAMS: dict[str, dict[str, Param]] = {
    "name.empty": {},
    "name.invalid": {"name": "a b"},
    "name.not_qualified": {"name": "localhost"},
    "name.wildcard_misplaced": {"name": "a*.example.org"},
    "name.wildcard_not_allowed": {"name": "*.example.org"},
    "name.public_suffix": {"name": "*.co.uk"},
    "name.none_given": {},
    "name.too_many": {"count": 101, "limit": 100},
    "csr.field_too_long": {"field": "organization", "limit": 64},
    "csr.field_unprintable": {"field": "locality"},
    "csr.country_invalid": {"country": "Germany"},
    "csr.unreadable": {},
    "csr.signature_wrong": {},
    "csr.weak_signature": {"hash": "sha1"},
    "csr.empty": {},
    "csr.too_large": {"limit": 64},
    "csr.several": {"count": 2},
    "csr.is_certificate": {},
    "csr.is_key": {},
    "csr.no_usable_name": {"name": "Example"},
    "csr.unusable_names": {"names": "localhost", "count": 1},
    "csr.names_in_common_name": {"name": "mail.example.org"},
    "csr.too_many_names": {"count": 101, "limit": 100},
    "csr.asks_for_uses": {"uses": "clientAuth"},
    "csr.asks_for_server_use": {},
    "csr.asks_to_be_ca": {},
    "csr.asks_for_stapling": {},
    "csr.challenge_password": {},
    "csr.names_missing": {"names": "smtp.example.org", "count": 1},
    "csr.names_added": {"names": "www.example.org", "count": 1},
    "csr.all_names_came": {},
    "csr.other_key": {"name": "mail.example.org", "asked": "RSA 2048", "came": "ECDSA P-256"},
    "csr.renewal_names_left_out": {"names": "localhost", "count": 1},
    "csr.renewal_names_cut": {"count": 101, "limit": 100},
    "csr.renewal_field_left_out": {"field": "country"},
    "key.password_needed": {},
    "key.password_wrong": {},
    "key.unreadable": {},
    "key.unsupported": {"key": "Ed25519"},
    "key.encryption_unsupported": {},
    "key.encryption_too_slow": {},
    "key.rsa_too_small": {"name": "mail.example.org", "bits": 1024, "minimum": 2048},
    "key.weak_roca": {"name": "mail.example.org"},
    "key.weak_close_primes": {"name": "mail.example.org"},
    "key.weak_shared_prime": {"name": "mail.example.org"},
    "key.weak_small_factor": {"name": "mail.example.org"},
    "key.weak_prime": {"name": "mail.example.org"},
    "key.weak_private_exponent": {"name": "mail.example.org"},
    "key.weak_pattern": {"name": "mail.example.org"},
    "key.rsa_vanity": {"name": "mail.example.org"},
    "key.weak_debian": {"name": "mail.example.org", "list": "debianssl"},
    "key.weak_published": {"name": "mail.example.org", "list": "firmware"},
    "key.mismatch": {"name": "mail.example.org"},
    "key.missing": {"name": "mail.example.org"},
    "key.unused": {"name": "mail.example.org"},
    "certificate.unreadable": {},
    "certificate.malformed": {"part": 1, "fault": "version", "detail": 8},
    "certificate.expired": {"name": "mail.example.org", "not_after": "2026-11-24T11:59:59+00:00"},
    "certificate.not_yet_valid": {
        "name": "mail.example.org",
        "not_before": "2026-11-24T11:59:59+00:00",
    },
    "certificate.not_for_servers": {"name": "mail.example.org", "lacks": "serverAuth"},
    "certificate.is_ca": {"name": "Example Root"},
    "certificate.no_usable_name": {"name": "Example"},
    "certificate.weak_signature": {"name": "mail.example.org", "hash": "sha1"},
    "certificate.self_signed": {"name": "mail.example.org"},
    "certificate.expires_soon": {
        "name": "mail.example.org",
        "not_after": "2026-11-24T11:59:59+00:00",
        "days": 5,
    },
    "certificate.unusable_names": {"name": "mail.example.org", "names": "localhost", "count": 1},
    "certificate.long_lived": {"name": "mail.example.org", "days": 400, "limit": 200},
    "certificate.no_server_usage": {"name": "mail.example.org"},
    "certificate.any_usage": {"name": "mail.example.org"},
    "certificate.signs_certificates": {"name": "mail.example.org"},
    "certificate.must_staple": {"name": "mail.example.org"},
    "certificate.dates_reversed": {
        "name": "mail.example.org",
        "not_before": "2026-11-24T11:59:59+00:00",
        "not_after": "2026-11-23T11:59:59+00:00",
    },
    "certificate.longer_than_apple": {"name": "mail.example.org", "days": 900, "limit": 825},
    "certificate.no_real_end": {
        "name": "mail.example.org",
        "not_after": "9999-12-31T23:59:59+00:00",
    },
    "certificate.short_lived": {"name": "mail.example.org", "days": 6},
    "certificate.common_name_not_covered": {
        "name": "mail.example.org",
        "common_name": "mail.example.org",
    },
    "certificate.san_not_critical": {"name": "mail.example.org"},
    "certificate.not_version_3": {"name": "mail.example.org", "version": 1},
    "certificate.serial_invalid": {"name": "mail.example.org"},
    "certificate.serial_zero": {"name": "mail.example.org"},
    "certificate.issuer_empty": {"name": "mail.example.org"},
    "certificate.algorithms_differ": {"name": "mail.example.org"},
    "certificate.extension_twice": {"name": "mail.example.org", "extensions": "keyUsage"},
    "certificate.extension_unreadable": {"name": "mail.example.org", "extensions": "keyUsage"},
    "certificate.usages_empty": {"name": "mail.example.org"},
    "certificate.extensions_too_many": {"name": "mail.example.org", "limit": 63},
    "certificate.extension_unknown": {"name": "mail.example.org", "extensions": "1.2.3.4"},
    "certificate.precertificate": {"name": "mail.example.org"},
    "certificate.signature_unknown": {"name": "mail.example.org"},
    "certificate.signature_sha224": {"name": "mail.example.org", "hash": "sha224"},
    "certificate.signature_rare": {"name": "mail.example.org", "algorithm": "Ed25519"},
    "key.rsa_too_large": {"bits": 16384, "maximum": 8192},
    "key.rsa_odd_size": {"bits": 2049},
    "key.rsa_exponent_invalid": {"exponent": 1},
    "key.rsa_exponent_small": {"exponent": 3},
    "key.rsa_exponent_large": {"bits": 300},
    "key.rsa_pss": {"key": "RSA-PSS 2048"},
    "key.curve_unsupported": {"curve": "P-192"},
    "key.curve_explicit": {},
    "key.p521_rare": {},
    "key.ed25519": {"key": "Ed25519"},
    "key.dsa": {"key": "DSA 2048"},
    "key.ed448": {"key": "Ed448"},
    "key.key_agreement": {"key": "X25519"},
    "key.post_quantum": {"key": "MLDSA65"},
    "certificate.wildcard_public_suffix": {
        "name": "mail.example.org",
        "names": "a.example",
        "count": 1,
    },
    "certificate.names_control_characters": {
        "name": "mail.example.org",
        "names": "a.example",
        "count": 1,
    },
    "certificate.wildcard_misplaced": {
        "name": "mail.example.org",
        "names": "a.example",
        "count": 1,
    },
    "certificate.names_not_ascii": {"name": "mail.example.org", "names": "a.example", "count": 1},
    "certificate.names_idn_invalid": {"name": "mail.example.org", "names": "a.example", "count": 1},
    "certificate.names_underscore": {"name": "mail.example.org", "names": "a.example", "count": 1},
    "certificate.names_trailing_dot": {
        "name": "mail.example.org",
        "names": "a.example",
        "count": 1,
    },
    "certificate.addresses_as_names": {
        "name": "mail.example.org",
        "names": "a.example",
        "count": 1,
    },
    "chain.too_many": {"count": 21, "limit": 20},
    "chain.expired": {"name": "Example CA", "not_after": "2026-11-24T11:59:59+00:00"},
    "chain.not_yet_valid": {"name": "Example CA", "not_before": "2026-11-24T11:59:59+00:00"},
    "chain.path_too_long": {"name": "Example CA"},
    "chain.not_for_servers": {"name": "Example CA", "usages": "clientAuth"},
    "chain.key_id_differs": {"name": "mail.example.org", "issuer": "Example CA"},
    "chain.constraints_unreadable": {"name": "Example CA"},
    "chain.names_excluded": {
        "name": "Example CA",
        "below": "mail.example.org",
        "names": "mail.example.org",
        "count": 1,
    },
    "chain.names_not_permitted": {
        "name": "Example CA",
        "below": "mail.example.org",
        "names": "mail.example.org",
        "count": 1,
    },
    "chain.names_not_comparable": {
        "name": "Example CA",
        "below": "mail.example.org",
        "names": "mail.example.org",
        "count": 1,
    },
    "chain.issuer_is_no_authority": {"name": "Example CA", "lacks": "CA:TRUE"},
    "chain.missing_intermediate": {"issuer": "Example CA"},
    "chain.root_unknown": {"issuer": "Example Root"},
    "chain.stranger": {"name": "Other CA", "issuer": "Other Root"},
    "chain.duplicates": {"count": 1},
    "chain.root_left_out": {"name": "Example Root"},
    "chain.completed": {"name": "Example CA"},
    "predecessor.client_use_gone": {},
    "predecessor.uses_changed": {"old_uses": "serverAuth", "uses": "clientAuth, serverAuth"},
    "predecessor.must_staple_new": {},
    "predecessor.names_lost": {"names": "imap.example.org", "count": 1},
    "predecessor.names_gained": {"names": "www.example.org", "count": 1},
    "predecessor.key_kind_changed": {"old_key": "RSA 2048", "key": "ECDSA P-256"},
    "predecessor.key_size_changed": {"old_key": "RSA 2048", "key": "RSA 3072"},
    "predecessor.same_key": {},
    "predecessor.other_key": {},
    "predecessor.ends_earlier": {
        "old_not_after": "2026-12-24T11:59:59+00:00",
        "not_after": "2026-11-24T11:59:59+00:00",
    },
    "predecessor.shorter": {"old_days": 90, "days": 47},
    "predecessor.other_issuer": {"old_issuer": "Old CA", "issuer": "Example CA"},
    "predecessor.other_intermediate": {"old_issuer": "R10", "issuer": "R11"},
    "predecessor.root_changed": {"old_root": "Old Root", "root": "Example Root"},
    "bundle.empty": {},
    "bundle.too_large": {"part": 1, "limit": 64},
    "bundle.too_many_blocks": {"limit": 40},
    "bundle.too_many_keys": {"limit": 4},
    "bundle.garbage": {"part": 2},
    "bundle.foreign": {"part": 1, "kind": "jks"},
    "bundle.file_unreadable": {"part": 1, "kind": "pkcs7"},
    "pkcs12.password_needed": {"part": 1},
    "pkcs12.password_wrong": {"part": 1},
    "pkcs12.unsupported": {"part": 1, "method": "1.2.3"},
    "pkcs12.too_slow": {"part": 1},
    "pkcs12.locked_inside": {"part": 1},
    "pkcs12.unreadable": {"part": 1},
    "zip.unreadable": {"part": 1},
    "zip.too_many_files": {"part": 1, "limit": 60},
    "zip.too_large": {"part": 1, "limit": 1024},
    "zip.encrypted": {"part": 1, "member": "a.pem"},
    "zip.method": {"part": 1, "member": "a.pem"},
    "zip.nested": {"part": 1, "member": "a.zip"},
    "bundle.block_unreadable": {"part": 1, "line": 3, "label": "CERTIFICATE"},
    "bundle.block_ignored": {"label": "EC PARAMETERS", "count": 1},
    "bundle.several_keys": {"count": 2},
    "bundle.no_certificate": {},
    "bundle.no_leaf": {"names": "Example CA", "count": 1},
    "bundle.several_leaves": {"names": "mail.example.org, other.example.org", "count": 2},
}


def codes_of_pki() -> set[str]:
    """Return every text in the package that is a code."""
    texts = set()
    for path in Path(pki.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.add(node.value)
    return {text for text in texts if CODE.fullmatch(text)}


def test_every_code_of_pki_has_a_sentence() -> None:
    codes = codes_of_pki()
    assert {"key.unsupported", "chain.missing_intermediate", "bundle.garbage"} <= codes
    assert codes - set(SENTENCES) == set()
    assert codes == set(PARAMS)


@pytest.mark.parametrize("code", sorted(PARAMS))
def test_a_problem_is_said_in_whole_sentences(code: str) -> None:
    said = say(Problem(code, params=PARAMS[code]))
    assert said[-1] in ".:)"
    assert said[0] in "“%" or said[0].isupper() or said[0].isdigit()
    assert "%(" not in said
    for name, value in PARAMS[code].items():
        if name in ("name", "names", "issuer", "part", "line", "label", "lacks", "limit"):
            assert str(value) in said


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("code", [code for code in PARAMS if "count" in PARAMS[code]])
def test_counts_are_said_for_one_and_for_many(code: str, count: int) -> None:
    said = say(Problem(code, params={**PARAMS[code], "count": count}))
    assert "%(" not in said


def test_times_names_fields_and_hashes_are_said_as_people_read_them() -> None:
    expired = Problem(
        "certificate.expired",
        params={"name": "xn--bcher-kva.example", "not_after": "2026-11-24T11:59:59+00:00"},
    )
    assert "bücher.example (xn--bcher-kva.example)" in say(expired)
    assert "2026-11-24 11:59:59 UTC" in say(expired)
    assert "SHA-1" in say(
        Problem("certificate.weak_signature", params=PARAMS["certificate.weak_signature"])
    )
    assert "“Organization”" in say(
        Problem("csr.field_too_long", params=PARAMS["csr.field_too_long"])
    )


def test_a_single_day_is_said_as_one() -> None:
    params = {**PARAMS["certificate.expires_soon"], "days": 1}
    said = say(Problem("certificate.expires_soon", Severity.WARNING, params=params))
    assert "in 1 day." in said


def test_a_code_of_others_is_said_as_it_is() -> None:
    assert say(Problem("weather.rain")) == "weather.rain"
    assert say(Problem("certificate.expired", params={"label": "x"})) == "certificate.expired"
