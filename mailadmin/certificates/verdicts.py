"""A verdict as people read it, on the web and the command line: sentences, and the chain."""

from __future__ import annotations

from collections.abc import Container, Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from mailadmin.accounts.relative_time import exact_words, relative_words
from mailadmin.certificates.known_keys import weak_key_checks
from mailadmin.pki.bundle import Found, KeySource, Verdict
from mailadmin.pki.certificate import CertificateFacts
from mailadmin.pki.chain import MISSING_INTERMEDIATE
from mailadmin.pki.names import both_forms
from mailadmin.pki.parts import FileKind
from mailadmin.pki.roots import Store

_NAMES_SHOWN = 8


class LinkRole(StrEnum):
    """What a link of the chain is; a gap is one that should be there."""

    LEAF = "leaf"
    INTERMEDIATE = "intermediate"
    GAP = "gap"
    ROOT = "root"
    OWN_ROOT = "own_root"
    UNKNOWN_ROOT = "unknown_root"


@dataclass(frozen=True, slots=True)
class ChainLink:
    """One certificate in the picture of a chain."""

    role: LinkRole
    title: str
    facts: CertificateFacts | None = None

    @property
    def words(self) -> str:
        """Return its role in words."""
        return str(
            {
                LinkRole.LEAF: _("Server certificate"),
                LinkRole.INTERMEDIATE: _("Intermediate"),
                LinkRole.GAP: _("Missing intermediate"),
                LinkRole.ROOT: _("Root, known to clients"),
                LinkRole.OWN_ROOT: _("Root, trusted here as an authority of your own"),
                LinkRole.UNKNOWN_ROOT: _("Issuer, not known here"),
            }[self.role]
        )


def draw_chain(verdict: Verdict) -> list[ChainLink]:
    """Return the links from the server's certificate up to the root, with the gap if there is one.

    A certificate signed by itself is the whole of its chain.
    """
    if verdict.leaf is None:
        return []
    links = link_certificates(verdict.leaf, verdict.chain)
    if verdict.leaf.is_self_signed:
        return links
    codes = {problem.code: problem for problem in verdict.problems}
    issuer = (verdict.chain or (verdict.leaf,))[-1].issuer_title
    if MISSING_INTERMEDIATE in codes:
        return [*links, ChainLink(LinkRole.GAP, issuer)]
    return [*links, ChainLink(_root_role(verdict, codes), issuer)]


def _root_role(verdict: Verdict, codes: Container[str]) -> LinkRole:
    if "chain.root_unknown" in codes:
        return LinkRole.UNKNOWN_ROOT
    return LinkRole.OWN_ROOT if verdict.trusted_by == {Store.PRIVATE} else LinkRole.ROOT


def link_certificates(
    leaf: CertificateFacts, chain: tuple[CertificateFacts, ...]
) -> list[ChainLink]:
    """Return the links for the certificates that are really there."""
    return [
        ChainLink(LinkRole.LEAF, both_forms(leaf.title), leaf),
        *(ChainLink(LinkRole.INTERMEDIATE, facts.title, facts) for facts in chain),
    ]


def describe_verdict(verdict: Verdict, now: datetime) -> list[str]:
    """Say what was found, which names it covers, until when, and where its key is."""
    sentences = list(_found_sentences(verdict))
    leaf = verdict.leaf
    if leaf is not None:
        sentences += [names_sentence(leaf), _validity_sentence(leaf, now)]
        sentences += trust_sentences(verdict)
        sentences += _key_sentences(verdict)
    return sentences


def _found_sentences(verdict: Verdict) -> Iterator[str]:
    """Say what was found, and in what kind of file each part of it was."""
    words = _found_words(verdict.found)
    if not words:
        yield _("Nothing that belongs to a certificate was found.")
    elif len(verdict.files) == 1 and verdict.files[0].kind is not FileKind.TEXT:
        kind = _kind_words(verdict.files[0].kind)
        yield _("Found: %(kind)s with %(content)s.") % {"kind": kind, "content": words}
    else:
        yield _("Found: %(content)s.") % {"content": words}
    if len(verdict.files) > 1:
        for file in verdict.files:
            params = {
                "part": file.part,
                "kind": _kind_words(file.kind),
                "content": _found_words(file.found) or _("nothing that could be read"),
            }
            yield _("Part %(part)s is %(kind)s with %(content)s.") % params


def _kind_words(kind: FileKind) -> str:
    return {
        FileKind.TEXT: _("PEM text"),
        FileKind.DER: _("a binary file (DER)"),
        FileKind.PKCS7: _("a PKCS#7 file"),
        FileKind.PKCS12: _("a PKCS#12 file"),
        FileKind.ZIP: _("a zip file"),
    }[kind]


def _found_words(found: Found) -> str:
    """Return ``1 server certificate, 2 intermediate certificates and 1 private key``."""
    parts = list(_count_parts(found))
    if len(parts) <= 1:
        return "".join(parts)
    return _("%(parts)s and %(last)s") % {"parts": ", ".join(parts[:-1]), "last": parts[-1]}


def _count_parts(found: Found) -> Iterator[str]:
    for count, words in (
        (
            found.leaves,
            ngettext("%(n)d server certificate", "%(n)d server certificates", found.leaves),
        ),
        (
            found.intermediates,
            ngettext(
                "%(n)d intermediate certificate",
                "%(n)d intermediate certificates",
                found.intermediates,
            ),
        ),
        (found.roots, ngettext("%(n)d root certificate", "%(n)d root certificates", found.roots)),
        (found.keys, ngettext("%(n)d private key", "%(n)d private keys", found.keys)),
        (found.requests, ngettext("%(n)d request", "%(n)d requests", found.requests)),
    ):
        if count:
            yield words % {"n": count}


def names_sentence(leaf: CertificateFacts) -> str:
    """Say which names a certificate covers; of many only the first are told."""
    shown = ", ".join(both_forms(name) for name in leaf.names[:_NAMES_SHOWN])
    more = len(leaf.names) - _NAMES_SHOWN
    if not leaf.names:
        return _("It covers no name at all.")
    if more <= 0:
        return _("It covers %(names)s.") % {"names": shown}
    return ngettext(
        "It covers %(names)s and %(more)d more name.",
        "It covers %(names)s and %(more)d more names.",
        more,
    ) % {"names": shown, "more": more}


def _validity_sentence(leaf: CertificateFacts, now: datetime) -> str:
    words = {
        "begin": exact_words(leaf.not_before),
        "end": exact_words(leaf.not_after),
        "begins_in": relative_words(leaf.not_before, now),
        "ends_in": relative_words(leaf.not_after, now),
    }
    if now < leaf.not_before:
        return _("It is valid from %(begin)s (%(begins_in)s) until %(end)s.") % words
    if leaf.is_expired(now):
        return _("It was valid until %(end)s (%(ends_in)s).") % words
    return _("It is valid until %(end)s (%(ends_in)s).") % words


def weak_key_sentences(verdict: Verdict) -> Iterator[str]:
    """Say which known weaknesses the key was looked at for, and which not."""
    if verdict.leaf is None and not verdict.found.keys:
        return
    if weak_key_checks()["not_made"]:
        yield _(
            "Its key was looked at for weaknesses that show in its numbers (ROCA, close and shared "
            "primes and others). It was not compared with those that Debian drew until 2008 or "
            "that were published, because the lists of them are not all here (manage.py weak_keys "
            "update)."
        )
    else:
        yield _(
            "Its key was looked at for weaknesses that show in its numbers (ROCA, close and shared "
            "primes and others), and compared with those that Debian drew until 2008 and those "
            "that were published."
        )


def trust_sentences(verdict: Verdict) -> Iterator[str]:
    """Say which root the chain leads to, and who trusts it."""
    if verdict.anchor is None or not verdict.trusted_by:
        return
    words = {
        Store.SYSTEM: _("this system"),
        Store.MOZILLA: _("Mozilla’s list"),
        Store.PRIVATE: _("your list of own authorities"),
    }
    known = [words[store] for store in Store if store in verdict.trusted_by]
    title = verdict.anchor.title
    if len(known) == 1:
        sentence = _("Its chain leads to %(root)s, which %(store)s trusts.")
        yield sentence % {"root": title, "store": known[0]}
    else:
        sentence = _("Its chain leads to %(root)s, which %(stores)s and %(last)s trust.")
        yield sentence % {"root": title, "stores": ", ".join(known[:-1]), "last": known[-1]}


def _key_sentences(verdict: Verdict) -> Iterator[str]:
    if verdict.key_source is KeySource.UPLOADED:
        yield _("Its private key was in the upload and matches.")
    elif verdict.key_source is KeySource.PENDING:
        yield _("Its private key is already here and matches.")
