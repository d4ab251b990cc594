"""``docs/judgement.md`` tells every code that is judged, and no other."""

from __future__ import annotations

import re

from mailadmin.certificates.sentences import SENTENCES
from tests.judgement_page import PAGE, draw_page

JUDGED = re.compile(
    r"(certificate|key|chain|bundle|pkcs12|zip|pairing|predecessor|authority|csr)\.[a-z0-9_]+"
)
# What a page or a form refuses, or tells of where a key is: nothing is judged by it.
NOT_JUDGED = {
    "certificate.deleted",
    "certificate.in_use",
    "certificate.key_not_here",
    "csr.answered",
    "csr.country_invalid",
    "csr.empty",
    "csr.field_too_long",
    "csr.field_unprintable",
    "csr.is_certificate",
    "csr.is_key",
    "csr.key_elsewhere",
    "csr.key_not_here",
    "csr.key_of_tracked",
    "csr.key_waits_already",
    "csr.not_pending",
    "csr.several",
    "csr.too_large",
    "csr.tracked_already",
    "key.completes_stored",
    "key.of_another",
    "key.on_mail_server",
}


def told() -> list[str]:
    return re.findall(r"^\| `([a-z0-9_.]+)` \|", PAGE.read_text(), re.MULTILINE)


def test_every_code_is_told_once_and_no_other() -> None:
    judged = {code for code in SENTENCES if JUDGED.fullmatch(code)} - NOT_JUDGED
    assert sorted(told()) == sorted(judged)
    assert SENTENCES.keys() >= NOT_JUDGED


def test_the_tables_say_what_the_sources_say() -> None:
    """If this fails: ``python -m tests.judgement_page``."""
    assert draw_page(SENTENCES) == PAGE.read_text()
