"""What the overview says: is it well, what is odd about the looks, and what to do about a port."""

from __future__ import annotations

from django.utils.functional import Promise
from django.utils.translation import gettext as _now
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from mailadmin.dashboard.matrix import Matrix, Row
from mailadmin.listeners.sentences import service_words
from mailadmin.pki.names import both_forms

_APPLY_AGAIN = _(
    "Somebody may have edited the files by hand, or the daemon was not reloaded. Review shows how "
    "the files differ from what was applied; applying makes them right again and proves it."
)
WHAT_NOW: dict[str, Promise] = {
    "probe.closed": _(
        "Nobody can use this port at the moment. Check on the mail server that the daemon runs; "
        "its log says why if not. If it runs, Review shows whether its files still ask for "
        "this port."
    ),
    "probe.timeout": _(
        "The program accepts connections but does not speak: it may be overloaded or hang. Look "
        "at its log and at the load of the machine, then check again."
    ),
    "probe.still_open": _(
        "Another program may hold the port, or the files were edited by hand. On the mail server "
        "“ss -tlnp” names the program. If it is Postfix or Dovecot, Review shows the difference."
    ),
    "probe.too_many": _(
        "The panel looks oftener than Postfix’s own limit per client allows. Let its address pass "
        "in main.cf, with smtpd_client_event_limit_exceptions."
    ),
    "probe.wrong_greeting": _(
        "Another program may have taken the port. On the mail server “ss -tlnp” names it."
    ),
    "probe.tls_failed": _(
        "Mail programs cannot connect here. The key and the certificate in the daemon’s files may "
        "not belong together, or cannot be read. Review shows whether the files differ from what "
        "was applied; applying writes them anew and proves it."
    ),
    "probe.other_certificate": _APPLY_AGAIN,
    "probe.starttls_missing": _APPLY_AGAIN,
    "probe.mail_without_login": _(
        "Spammers find such a port within hours. Close it now on the Listeners page, or apply "
        "again if Review shows that the files were changed."
    ),
    "probe.login_in_clear": _APPLY_AGAIN,
    "probe.tls_required": _APPLY_AGAIN,
    "probe.tls_not_required": _APPLY_AGAIN,
}
_EXPIRED = _(
    "Mail programs refuse to connect. Get a new certificate on the Certificates page, use it for "
    "this port, then review and apply."
)


def say_headline(matrix: Matrix) -> str:
    """Return whether mail is well right now, in one sentence."""
    host = {"host": both_forms(matrix.server.host_name)}
    count, good = len(matrix.open_rows), matrix.good_count
    if not matrix.is_looked_at:
        return _now("Nobody has looked yet at what %(host)s serves.") % host
    if not count:
        return _now("No port of %(host)s should be open.") % host
    numbers = host | {"good": good, "count": count}
    if good == count:
        said = ngettext(
            "Mail on %(host)s is encrypted and proven on its open port.",
            "Mail on %(host)s is encrypted and proven on all %(count)d open ports.",
            count,
        )
        return said % numbers
    said = ngettext(
        "Mail on %(host)s is encrypted and proven on %(good)d of %(count)d open port.",
        "Mail on %(host)s is encrypted and proven on %(good)d of %(count)d open ports.",
        count,
    )
    return said % numbers


def say_broken(matrix: Matrix) -> str:
    """Return how many ports need somebody now; empty when none does."""
    count = len(matrix.broken_rows)
    if not count:
        return ""
    said = ngettext("%(n)d port needs you now.", "%(n)d ports need you now.", count)
    return said % {"n": count}


def say_what_now(row: Row) -> list[str]:
    """Return what to do about everything that is wrong with a port, each once."""
    codes = [problem.code for problem in row.problems]
    said = [str(WHAT_NOW.get(code, _APPLY_AGAIN)) for code in codes]
    if row.is_expired and "probe.other_certificate" not in codes:
        said.append(str(_EXPIRED))
    return list(dict.fromkeys(said))


def say_in_clear(row: Row) -> str:
    """Return what is wrong with an open port that asks nobody to encrypt."""
    about = {"port": row.listener.port, "who": service_words(row.listener.service)}
    if row.listener.service == "smtp":
        return _now("%(port)d (%(who)s) offers no TLS: mail arrives in clear.") % about
    return _now("%(port)d (%(who)s) still takes passwords in clear.") % about
