"""Sentences for private keys, and their custody."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext_lazy

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise as StrPromise

SENTENCES: dict[str, StrPromise] = {
    # pki.keys
    "key.password_needed": _(
        "The private key is protected by a password. Enter the password, and the key is read."
    ),
    "key.password_wrong": _(
        "The private key could not be opened with this password. Check it and try again; the key "
        "itself may also be damaged."
    ),
    "key.of_another": _(
        "The key that was found does not belong to %(label)s. It was not stored, and the mail "
        "server was not touched. Upload the certificate and its key together."
    ),
    "key.unreadable": _(
        "The private key is damaged or in a form that is not understood. Copy it again, with its "
        "BEGIN and END lines."
    ),
    "key.unsupported": _(
        "The key is of a kind that mail programs do not accept (%(key)s). Use an RSA key of at "
        "least 2048 bits or an ECDSA key on P-256 or P-384."
    ),
    "key.rsa_too_small": _(
        "The RSA key of %(name)s has only %(bits)s bits: mail programs refuse fewer than "
        "%(minimum)s. Create a new request with a larger key."
    ),
    # pki.key_rules
    "key.rsa_too_large": _(
        "The RSA key has %(bits)s bits. More than %(maximum)s make every login slow and protect "
        "nothing more, and some mail programs refuse them. Create a new request with 3072 or 4096."
    ),
    "key.rsa_odd_size": _(
        "The RSA key has %(bits)s bits, which is not a multiple of 8: no public authority signs "
        "it, and some mail programs refuse it. Create a new request with a usual size."
    ),
    "key.rsa_exponent_invalid": _(
        "The public exponent of the RSA key is %(exponent)s, with which RSA protects nothing: it "
        "must be odd and at least 3. Create a new request; never use this key."
    ),
    "key.rsa_exponent_small": _(
        "The public exponent of the RSA key is only %(exponent)s. It works, but it has helped "
        "attackers before; 65537 is usual. Draw a new key when you renew."
    ),
    "key.rsa_exponent_large": _(
        "The public exponent of the RSA key has %(bits)s bits, more than some mail programs can "
        "work with. Draw a new key with the usual 65537."
    ),
    "key.rsa_pss": _(
        "The key is an %(key)s key, bound to one way of signing that most mail programs do not "
        "accept in a certificate. Create a new request with an ordinary RSA key."
    ),
    "key.curve_unsupported": _(
        "The ECDSA key is on the curve %(curve)s, which mail programs do not accept. Create a new "
        "request with a key on P-256 or P-384."
    ),
    "key.curve_explicit": _(
        "The ECDSA key spells out its curve instead of naming it: mail programs refuse that, for "
        "it was used to forge certificates. Create a new request with a key on P-256 or P-384."
    ),
    "key.p521_rare": _(
        "The key is on P-521. It is strong, but mail programs on Android and some others do not "
        "accept it. Use P-256 or P-384 unless you know who connects."
    ),
    "key.ed25519": _(
        "The key is an Ed25519 key. Postfix and Dovecot could use it, but few mail programs "
        "accept it and no public authority signs it, so most people could no longer connect. Use "
        "an ECDSA key on P-256, which is as fast."
    ),
    "key.dsa": _(
        "The key is a DSA key, which mail programs gave up long ago. Create a new request with an "
        "RSA or ECDSA key."
    ),
    "key.ed448": _(
        "The key is an Ed448 key, which hardly any mail program accepts. Create a new request with "
        "an ECDSA key on P-256 or P-384."
    ),
    "key.key_agreement": _(
        "The key (%(key)s) can agree on secrets but not sign, so no server can prove with it who "
        "it is. Create a new request with an RSA or ECDSA key."
    ),
    "key.post_quantum": _(
        "The key (%(key)s) is made for the time of quantum computers, and mail programs do not "
        "accept it yet. Create a new request with an RSA or ECDSA key."
    ),
    # pki.weak_keys
    "key.weak_roca": _(
        "Anyone can compute the private key of %(name)s: it was drawn by a chip or card with a "
        "known fault (ROCA, CVE-2017-15361). Draw a new key elsewhere, get a new certificate, and "
        "have the old one revoked. Never use this key."
    ),
    "key.weak_close_primes": _(
        "Anyone can compute the private key of %(name)s: the two primes of its RSA key are too "
        "close to each other (Fermat’s method, CVE-2022-26320). Draw a new key with another "
        "program, get a new certificate, and have the old one revoked. Never use this key."
    ),
    "key.weak_shared_prime": _(
        "Anyone can compute the private key of %(name)s: its RSA key shares a prime with keys of "
        "other people, as machines without enough randomness draw them. Draw a new key on another "
        "machine, get a new certificate, and have the old one revoked. Never use this key."
    ),
    "key.weak_small_factor": _(
        "Anyone can compute the private key of %(name)s: its RSA key can be divided by a small "
        "number, so it is damaged or was drawn by a faulty program. Copy the file again; if it is "
        "the same, draw a new key, get a new certificate, and have the old one revoked."
    ),
    "key.weak_prime": _(
        "Anyone can compute the private key of %(name)s: its RSA key is one prime number and not "
        "the product of two. Draw a new key with another program, get a new certificate, and have "
        "the old one revoked. Never use this key."
    ),
    "key.weak_private_exponent": _(
        "Anyone can compute the private key of %(name)s: its private exponent is too small "
        "(Wiener’s method). Draw a new key with the usual exponent 65537, get a new certificate, "
        "and have the old one revoked. Never use this key."
    ),
    "key.weak_pattern": _(
        "The RSA key of %(name)s was not drawn at random: its number repeats a pattern, and others "
        "can compute the private key of such keys. Draw a new key with another program, get a new "
        "certificate, and have the old one revoked. Never use this key."
    ),
    "key.rsa_vanity": _(
        "Half of the RSA key of %(name)s was chosen instead of drawn at random. Nobody is known to "
        "have broken such a key, but draw a new one when you renew."
    ),
    "key.weak_debian": _(
        "Anyone has the private key of %(name)s: it is one of the few that Debian and Ubuntu could "
        "draw before May 2008 (CVE-2008-0166; list “%(list)s”). Draw a new key, get a new "
        "certificate, and have the old one revoked. Never use this key."
    ),
    "key.weak_published": _(
        "Anyone has the private key of %(name)s: it was published, for example in a program or a "
        "device (list “%(list)s”). Draw a new key, get a new certificate, and have the old one "
        "revoked. Never use this key."
    ),
    "known_keys.not_found": _(
        "There is no file of known keys at %(path)s. Get one with “badkeys --update-bl” on a "
        "machine with internet access, and name its blocklist.dat here."
    ),
    "known_keys.not_a_list": _(
        "%(path)s is not a list of known keys in the form of badkeys (records of 16 bytes in "
        "order, as in its blocklist.dat). The list here stays as it was."
    ),
    "known_keys.no_names": _(
        "%(path)s says nothing of the lists that the file of known keys is made of. It comes with "
        "that file as badkeysdata.json; put both into the same folder. The list here stays as it "
        "was."
    ),
    "known_keys.not_kept": _(
        "The list of known keys cannot be written to %(path)s. Check that the folder exists, is "
        "writable and has room. The list here stays as it was."
    ),
    "key.encryption_unsupported": _(
        "The private key is encrypted with a method that is not understood here. Encrypt it with "
        "AES, for example with: openssl pkcs8 -topk8 -v2 aes256 -in KEY -out NEW-KEY."
    ),
    "key.encryption_too_slow": _(
        "The private key is encrypted so that opening it would take very long. Encrypt it again "
        "with fewer rounds, for example with: openssl pkcs8 -topk8 -in KEY -out NEW-KEY."
    ),
    "key.mismatch": _(
        "The private key belongs to another certificate, not to the one for %(name)s: no mail "
        "program could connect. Upload the key that this certificate was requested with."
    ),
    "key.missing": _(
        "The private key for %(name)s is missing: it is not in the upload, and no request made "
        "here has it. Upload the key together with the certificate."
    ),
    "key.unused": _(
        "The uploaded private key does not belong to the certificate for %(name)s and is left "
        "aside. The right key is here already, so this changes nothing."
    ),
    # certificates.custody
    "custody.master_key_missing": ngettext_lazy(
        "The master key %(path)s is missing, and %(count)d secret here (a private key, the secret "
        "of a webhook or of an access to DNS, or an upload that waits) can be opened only with it. "
        "Nothing was changed. Put the file back from your backup.",
        "The master key %(path)s is missing, and %(count)d secrets here (private keys, secrets of "
        "webhooks and of accesses to DNS, uploads that wait) can be opened only with it. Nothing "
        "was changed. Put the file back from your backup.",
        "count",
    ),
    "custody.master_key_exposed": _(
        "Others can read the master key %(path)s (mode %(mode)s), so it is not used and nothing "
        "was changed. Take their access away: chmod 600 %(path)s"
    ),
    "custody.master_key_unreadable": _(
        "The master key %(path)s cannot be read, or does not hold 32 bytes in base64 per line. "
        "Nothing was changed. Check who owns the file, or put it back from your backup."
    ),
    "custody.master_key_not_kept": _(
        "The master key cannot be written to %(path)s, and without it no private key can be "
        "stored. Nothing was changed. Check that the folder exists, is writable and has room."
    ),
    "custody.master_key_not_replaced": _(
        "The new master key cannot be written to %(path)s. The file is as it was, and every "
        "private key can still be opened. Check who owns the file and its folder, that both are "
        "writable, and that the file is not mounted by itself; then run this again."
    ),
    "custody.rotation_under_way": _(
        "The master key %(path)s is being replaced by another program just now. Nothing was "
        "changed here. Wait until that one is done."
    ),
    "custody.keys_not_opened": ngettext_lazy(
        "%(count)d private key cannot be opened with the master key %(path)s, so the master key is "
        "not replaced: %(labels)s. Every other private key still opens. Put the newest copy of "
        "that file back from your backup, upload the private key again, or delete its certificate.",
        "%(count)d private keys cannot be opened with the master key %(path)s, so the master key "
        "is not replaced: %(labels)s. Every other private key still opens. Put the newest copy of "
        "that file back from your backup, upload the private keys again, or delete their "
        "certificates.",
        "count",
    ),
    "custody.master_key_other": _(
        "The private key (%(key)s) cannot be opened with the master key %(path)s: it was stored "
        "with the master key %(master_key_id)s, which is not in that file. Perhaps the file is a "
        "copy from before the master key was replaced. Put the newest copy back from your backup, "
        "or upload the private key again."
    ),
    "custody.key_damaged": _(
        "The private key (%(key)s) cannot be opened with the master key %(path)s although it was "
        "stored with it: its row in the database was damaged or changed. Restore the database "
        "from your backup, or upload the private key again."
    ),
    "custody.key_not_opened": _(
        "The private key (%(key)s) cannot be opened with the master key %(path)s: it was stored "
        "with another one. Put that file back from your backup, or upload the private key again."
    ),
}
