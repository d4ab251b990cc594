"""Sentences for what kept an upload from being read or judged at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.utils.translation import gettext_lazy as _

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise as StrPromise

SENTENCES: dict[str, StrPromise] = {
    # certificates.bounded
    "reading.too_slow": _(
        "Reading this took longer than %(seconds)s seconds, so it was given up; nothing was kept, "
        "and it is not known whether the password is right. Most likely a key is encrypted with "
        "very many rounds. Write it anew with fewer, and upload that: for a PKCS#12 file, openssl "
        "pkcs12 -in FILE -out PLAIN.pem -nodes and then openssl pkcs12 -export -iter 10000 "
        "-in PLAIN.pem -out NEW-FILE.p12; for a key, openssl pkcs8 -topk8 -in KEY -out NEW-KEY."
    ),
    "reading.too_much_memory": _(
        "Reading this needs more than %(limit)s MiB of memory, so it was given up, and nothing was "
        "kept. Most likely a key is encrypted with scrypt and far too large numbers. Encrypt it "
        "again, for example with: openssl pkcs8 -topk8 -in KEY -out NEW-KEY."
    ),
    "reading.broken_off": _(
        "The program that reads uploads broke off while it read this, and nothing was kept. Either "
        "a file is damaged, or this machine had no memory left. Upload the certificate, its chain "
        "and its key as plain PEM text; if that breaks off too, look at the machine."
    ),
    "reading.not_started": _(
        "The program that reads uploads could not be started, so nothing was read. This machine "
        "has no memory or no processes left: look at what it runs, and try again."
    ),
}
