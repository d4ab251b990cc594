"""What is said of those who would notice a change."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from mailadmin.listeners.sentences import service_words
from mailadmin.mailconf.maillog.foresight import Foreseen, Taking
from mailadmin.mailconf.maillog.outlook import Outlook
from mailadmin.mailconf.services import SERVICES, Protocol
from mailadmin.pki.names import both_forms

_MOST_NAMES = 5
_MOST_SOURCES = 3


def say_foreseen(found: Foreseen) -> str:
    """Return who would notice what, in one sentence; whose names they are stands elsewhere."""
    if found.code in {"usage.name_goes", "usage.name_missing"}:
        return _say_names(found)
    words = {
        "who": _who(found),
        "others": _(" or ").join(service_words(name) for name in found.others),
        "port": found.port or found.service,
        "versions": ", ".join(item.replace("TLSv", "TLS ") for item in found.versions),
        "counts": _counts(found),
    }
    return _sentence(found) % words


def _sentence(found: Foreseen) -> str:
    if not found.is_certain:
        return _unsure_sentence(found)
    if not found.sessions:
        return _("The log tells of nobody on port %(port)s, which would close, yet %(counts)s.")
    match found.code:
        case "usage.port_goes":
            return _("%(who)s on port %(port)s, which would close (%(counts)s).")
        case "usage.clear_goes":
            return _("%(who)s on port %(port)s without TLS, which would be refused (%(counts)s).")
        case "usage.version_goes":
            return _(
                "%(who)s on port %(port)s with a TLS version or cipher suite that would be "
                "refused: %(versions)s (%(counts)s)."
            )
        case _:
            return _(
                "%(who)s on port %(port)s with TLS of a version that the log does not tell: some "
                "might be refused (%(counts)s)."
            )


def _unsure_sentence(found: Foreseen) -> str:
    match found.code:
        case "usage.ports_go":
            return _("%(who)s on port %(port)s or by %(others)s, which would close (%(counts)s).")
        case "usage.port_goes":
            return _(
                "%(who)s on port %(port)s, which would close, or by %(others)s: the log does not "
                "tell which (%(counts)s)."
            )
        case "usage.clear_goes":
            return _(
                "%(who)s, perhaps on port %(port)s without TLS, which would be refused, perhaps by "
                "%(others)s: the log does not tell which (%(counts)s)."
            )
        case "usage.version_goes":
            return _(
                "%(who)s on port %(port)s or by %(others)s with a TLS version or cipher suite that "
                "would be refused: %(versions)s (%(counts)s)."
            )
        case _:
            return _(
                "%(who)s on port %(port)s or by %(others)s with TLS of a version that the log does "
                "not tell: some might be refused (%(counts)s)."
            )


def _who(found: Foreseen) -> str:
    service = SERVICES.get(found.service)
    n = found.people
    if service is None or not service.is_for_clients:
        said = ngettext("%(n)s mail server delivers", "%(n)s mail servers deliver", n)
    elif service.protocol is Protocol.SMTP:
        said = ngettext("%(n)s person sends mail", "%(n)s people send mail", n)
    elif service.protocol is Protocol.SIEVE:
        said = ngettext("%(n)s person edits mail filters", "%(n)s people edit mail filters", n)
    else:
        said = ngettext("%(n)s person still reads mail", "%(n)s people still read mail", n)
    number = _("at least %(n)d") % {"n": n} if found.is_more else str(n)
    said = said % {"n": number}
    return said[:1].upper() + said[1:]


def _counts(found: Foreseen) -> str:
    parts: list[str] = []
    if found.sessions:
        said = ngettext("%(n)d time", "%(n)d times", found.sessions)
        parts.append(said % {"n": found.sessions})
    last_at = max((person.last_at for person in found.shown), default=0)
    if last_at:
        parts.append(_("last on %(day)s") % {"day": day_words(last_at)})
    if found.live:
        said = ngettext(
            "%(n)d connection is open now", "%(n)d connections are open now", len(found.live)
        )
        parts.append(said % {"n": len(found.live)})
    return ", ".join(parts)


def _say_names(found: Foreseen) -> str:
    names = [both_forms(item.name) for item in found.names]
    if found.code == "usage.name_goes":
        said = ngettext(
            "Clients ask for %(names)s, which no certificate would cover any more (%(n)d time).",
            "Clients ask for %(names)s, which no certificate would cover any more (%(n)d times).",
            found.sessions,
        )
    else:
        said = ngettext(
            "Clients ask for %(names)s, which no certificate covers, now or then (%(n)d time).",
            "Clients ask for %(names)s, which no certificate covers, now or then (%(n)d times).",
            found.sessions,
        )
    return said % {"names": _listed(names, _MOST_NAMES), "n": found.sessions}


def say_unused(outlook: Outlook) -> list[str]:
    """Return what would go and nobody was seen to use, a sentence for each kind.

    Where something could not be read, none of them says more than what was read.
    """
    said = {
        "usage.port_goes": _("Nobody was seen on %(ports)s, which would close."),
        "usage.clear_goes": _("Nobody was seen without TLS on %(ports)s."),
        "usage.version_goes": _(
            "Nobody was seen with a TLS version or cipher suite that would be refused on %(ports)s."
        ),
        "usage.name_goes": _(
            "Nobody was seen to ask for a host name that would lose its certificate."
        ),
    }
    found: list[str] = []
    for code, sentence in said.items():
        taken = [item for item in outlook.unused if item.code == code]
        if taken:
            found.append(sentence % {"ports": _ports(taken)} + _caution(outlook))
    return found


def _caution(outlook: Outlook) -> str:
    return "" if outlook.is_whole else " " + _("But not everything could be read: see below.")


def _ports(taken: Iterable[Taking]) -> str:
    numbers = [item.port for item in taken]
    if len(numbers) == 1:
        return _("port %(port)d") % {"port": numbers[0]}
    listed = ", ".join(map(str, numbers[:-1]))
    return _("ports %(ports)s and %(last)d") % {"ports": listed, "last": numbers[-1]}


def say_source(outlook: Outlook) -> str:
    """Return of which time and where it was counted; empty if there was nothing to read."""
    if not outlook.sources:
        return ""
    said = ngettext(
        "Counted in %(n)d line of %(sources)s, from %(since)s to %(until)s.",
        "Counted in %(n)d lines of %(sources)s, from %(since)s to %(until)s.",
        outlook.lines,
    )
    return said % {
        "n": outlook.lines,
        "sources": _listed(list(outlook.sources), _MOST_SOURCES),
        "since": day_words(max(outlook.since, outlook.reaches_to)),
        "until": day_words(outlook.until),
    }


def day_words(at: int) -> str:
    """Return the day of a moment (seconds since 1970, in UTC), as everywhere in the panel."""
    return datetime.fromtimestamp(at, UTC).date().isoformat()


def say_people(found: Foreseen) -> str:
    """Return the list behind the sentence, a line each: people, names, open connections."""
    lines = [_line(item.who, item.sessions, item.last_at, item.address) for item in found.shown]
    if found.people > len(found.shown):
        more = found.people - len(found.shown)
        lines.append(_("and %(n)d more, seen earlier") % {"n": more})
    lines += [_line(item.name, item.sessions, item.last_at) for item in found.names]
    for session in found.live:
        who = session.user or _("(whose it is cannot be told)")
        lines.append(f"{who}\t{_('connected now')}\t{session.address}")
    return "\n".join(lines)


def _line(who: str, sessions: int, last_at: int, address: str = "") -> str:
    times = ngettext("%(n)d time", "%(n)d times", sessions) % {"n": sessions}
    last = _("last on %(day)s") % {"day": day_words(last_at)}
    return "\t".join(item for item in (who, times, last, address) if item)


def _listed(names: list[str], most: int) -> str:
    more = _(" and %(n)d more") % {"n": len(names) - most} if len(names) > most else ""
    return ", ".join(names[:most]) + more
