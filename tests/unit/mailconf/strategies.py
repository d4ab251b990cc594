"""Random states and files for the tests that hold for all of them."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import strategies as st

from mailadmin.mailconf.profiles import PROFILES
from mailadmin.mailconf.services import SERVICES
from mailadmin.mailconf.state import CertificateMaterial, DesiredState, ListenerState, SniBinding
from tests.unit.mailconf.builders import fingerprint

LABELS = ("mail", "office", "wild")
ADDRESSES = ("*", "127.0.0.1", "192.0.2.1", "::1", "2001:db8::25")

times = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - Hypothesis adds the zone
host_names = st.sampled_from(["mail.one.test", "mail.two.test", "mail.xn--bcher-kva.test"])
texts = st.text(max_size=20)


@st.composite
def certificates(draw: st.DrawFn, label: str) -> CertificateMaterial:
    return CertificateMaterial(
        fingerprint=fingerprint(label),
        label=draw(texts),
        names=tuple(draw(st.lists(texts, max_size=3))),
        not_before=draw(times),
        not_after=draw(times),
        leaf_pem=draw(texts),
        chain_pem=draw(texts),
        key_pem=draw(texts),
        companion=draw(st.sampled_from(["", *map(fingerprint, LABELS)])),
        key_algorithm=draw(st.sampled_from(["", "rsa", "ecdsa"])),
    )


@st.composite
def listeners(draw: st.DrawFn, service: str) -> ListenerState:
    definition = SERVICES[service]
    return ListenerState(
        service=service,
        is_enabled=draw(st.booleans()),
        address=draw(st.sampled_from(ADDRESSES)),
        # Each service keeps to its own ports, as the rules see to it.
        port=draw(st.sampled_from([definition.port, definition.port + 10000])),
        tls_mode=draw(st.sampled_from(definition.tls_modes)),
        is_login_required=draw(st.booleans()),
        certificate=draw(st.sampled_from(["", *map(fingerprint, LABELS)])),
    )


@st.composite
def states(draw: st.DrawFn) -> DesiredState:
    services = draw(st.lists(st.sampled_from(list(SERVICES)), unique=True))
    names = draw(st.lists(host_names, unique=True))
    return DesiredState(
        host_name=draw(host_names),
        listeners=tuple(draw(listeners(name)) for name in services),
        default_certificate=draw(st.sampled_from(["", *map(fingerprint, LABELS)])),
        certificates=tuple(draw(certificates(label)) for label in LABELS),
        sni_bindings=tuple(
            SniBinding(name, fingerprint(draw(st.sampled_from(LABELS)))) for name in names
        ),
        tls_profile=draw(st.sampled_from(list(PROFILES))),
    )


def pieces(*parts: str) -> st.SearchStrategy[str]:
    """Return texts put together from these parts, most of them fit for the daemon's parser."""
    return st.lists(st.sampled_from(parts), max_size=12).map("".join)


main_cf_files = pieces(
    "smtpd_tls_security_level = may\n", "smtpd_tls_security_level=none\r\n",
    "smtpd_tls_cert_file\n", "  = /a.pem\n", "smtpd_tls_chain_files = /a,\n", "\t/b\n",
    "myhostname = a.test\n", "x-y_limit = 1\n", "# comment\n", "  # indented\n", "\n", " \n",
    "  continued\n", "# \f smtpd_use_tls = yes\n", "# f\udcfcr alle\n", "\u2028", "smtpd_use_tls",
    "= yes", "$x ${y}\n", "\r", "#",
)  # fmt: skip
master_cf_files = pieces(
    "smtp inet n - y - - smtpd\n", "25 inet n - n - 1 smtpd -v\n", "smtps\tinet n - y - - smtpd\n",
    "[::1]:465 inet n - y - - smtpd\n", "192.0.2.1:submission inet n - y - - smtpd\n",
    "587 inet n - y - - smtpd -o a=1\n", "127.0.0.1:10025 inet n - n - - smtpd\n",
    "pickup unix n - y 60 1 pickup\n", "mailman unix - n n - - pipe\n", "  flags=FR argv=/x ${y}\n",
    "  -o content_filter=x:y\n", "  -o smtpd_sasl_auth_enable=no\n", "\t-o { a = b,\n", "  c }\n",
    "  -oa=1 -o b=2\n", "# comment\n", "#  -o commented=yes\n", "\n", "  \n", "  }", "  {", "\r\n",
    "# f\udcfcr alle\n", "25 inet n - y - - smtpd", "short line\n",
)  # fmt: skip
