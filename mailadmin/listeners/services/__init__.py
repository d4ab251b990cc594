"""Changing what the listeners should be. Saving is not applying.

Every verb runs in one transaction under the lock of its server, records one audit event with
what was before and after, and records nothing when nothing changed. A state that the rules call
wrong may be saved (Review refuses it); nonsense may not: see
:class:`mailadmin.servers.errors.ChangeRefusedError`.
"""

from mailadmin.listeners.services.assignment import assign_certificate, bind_name, unbind_name
from mailadmin.listeners.services.editing import (
    change_listener,
    create_listeners,
    disable_listener,
    enable_listener,
)
from mailadmin.listeners.services.restoring import restore_state, undo_change
from mailadmin.listeners.services.succession import take_place, want_exchanged

__all__ = [
    "assign_certificate",
    "bind_name",
    "change_listener",
    "create_listeners",
    "disable_listener",
    "enable_listener",
    "restore_state",
    "take_place",
    "unbind_name",
    "undo_change",
    "want_exchanged",
]
