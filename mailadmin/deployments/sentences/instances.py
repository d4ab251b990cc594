"""What can stand in the way of Dovecot in two instances, and what changing over costs."""

from __future__ import annotations

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

INSTANCES: dict[str, Promise] = {
    "front.price": _(
        "New connections to IMAP, POP3 and Sieve ports are refused for a moment (measured: a tenth "
        "of a second on the way there, one second on the way back) while the ports move from one "
        "instance to the other; who is connected stays connected."
    ),
    "front.not_running": _(
        "The instance of Dovecot that has the ports (mailadmin-front.conf) does not run, so nobody "
        "reaches IMAP, POP3 and Sieve. Applying starts it, and so does the agent when it is "
        "restarted. If it does not stay up, Dovecot’s log says why."
    ),
    "front.key_password": _(
        "Dovecot’s own files give the password of a private key (ssl_key_password). An instance "
        "for the ports would need it too, and the panel copies no password into a second file. "
        "Nothing was changed. Store that key without a password and remove the setting, or leave "
        "Dovecot in one instance (server settings)."
    ),
    "front.login_service_changed": _(
        "Dovecot’s own files set %(setting)s of service %(service)s. An instance for the ports "
        "starts that service in its own way and would lose this setting. Nothing was changed. "
        "Remove it there, or leave Dovecot in one instance (server settings)."
    ),
    "front.core_not_closed": _(
        "A file that Dovecot reads after the panel’s opens port %(port)s (inet_listener "
        "%(listener)s) in the main instance again, and two instances cannot share a port. Nothing "
        "was changed. Remove the port from that file, or let the file be read before "
        "99z-mailadmin-core.conf."
    ),
}
