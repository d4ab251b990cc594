"""Sentences for what changes when a certificate takes the place of another one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext_lazy

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise as StrPromise

SENTENCES: dict[str, StrPromise] = {
    # pki.predecessor
    "predecessor.client_use_gone": _(
        "The old certificate could also be used to log in to other servers (clientAuth); this one "
        "is for servers only. Mail that comes in, and mail programs, do not notice. If your server "
        "shows the certificate when it sends mail through a relay, that relay will refuse it: give "
        "that job a certificate of its own."
    ),
    "predecessor.uses_changed": _(
        "It may be used for other things than the old one (old: %(old_uses)s; new: %(uses)s). "
        "Programs and relays that check this may refuse it. Ask the authority for the old uses if "
        "anybody relies on them."
    ),
    "predecessor.must_staple_new": _(
        "The old certificate did not ask for a stapled proof that it is not revoked (must-staple), "
        "this one does. Programs that insist on it connected until now and will not any more. Ask "
        "the authority for one without it."
    ),
    "predecessor.names_lost": ngettext_lazy(
        "%(count)d name of the old certificate is missing: %(names)s. Mail programs that connect "
        "to it will refuse this certificate. Ask for one with that name, or keep the old one for "
        "it.",
        "%(count)d names of the old certificate are missing, among them %(names)s. Mail programs "
        "that connect to them will refuse this certificate. Ask for one with those names, or keep "
        "the old one for them.",
        "count",
    ),
    "predecessor.names_gained": ngettext_lazy(
        "%(count)d name is new: %(names)s.",
        "%(count)d names are new, among them %(names)s.",
        "count",
    ),
    "predecessor.key_kind_changed": _(
        "The kind of key changes from %(old_key)s to %(key)s. Old programs that know only the old "
        "kind will not connect any more, and TLSA records (DANE) of the old key do not fit. To "
        "serve both kinds, let it replace nothing and pair the two after saving."
    ),
    "predecessor.key_size_changed": _(
        "The key changes from %(old_key)s to %(key)s. Mail programs that take one take the other."
    ),
    "predecessor.same_key": _(
        "It has the same key as the old certificate. TLSA records (DANE) of that key stay right. "
        "If you have none, a new key is better: whoever copied the old one could use it on."
    ),
    "predecessor.other_key": _(
        "It has another key than the old certificate. If you publish TLSA records (DANE), publish "
        "that of the new key first and wait until caches have forgotten the old answer, then apply."
    ),
    "predecessor.ends_earlier": _(
        "It ends before the old one does: on %(not_after)s instead of %(old_not_after)s. Check "
        "that you have not picked up an older file."
    ),
    "predecessor.shorter": _(
        "It is valid for %(days)s days, the old one was for %(old_days)s: it has to be renewed "
        "more often."
    ),
    "predecessor.other_issuer": _(
        "Another authority issued it: %(issuer)s; the old one is from %(old_issuer)s. If your "
        "domain has CAA records, see that they allow both, so that the next renewal works."
    ),
    "predecessor.other_intermediate": _(
        "The same authority issued it with another of its intermediates: %(issuer)s; the old one "
        "is from %(old_issuer)s. This matters only for TLSA records of the intermediate (usage 2), "
        "which would not fit any more."
    ),
    "predecessor.root_changed": _(
        "Its chain leads to %(root)s; that of the old one led to %(old_root)s. Old devices may "
        "know only the old root, and trust it no more."
    ),
    # certificates.succession
    "succession.not_offered": _(
        "The certificate that it should replace is not one of those offered any more. Nothing was "
        "stored. Choose again."
    ),
}
