"""The icons the panel uses, by their Tabler names. ``bin/vendor-assets`` draws the sprite from it.

Add a name here and run the script again.
"""

from __future__ import annotations

NAMES = frozenset(
    {
        "activity", "adjustments", "alert-circle", "alert-triangle", "archive", "arrow-back-up",
        "arrow-left", "arrow-right", "ban", "bell", "calendar", "certificate", "certificate-off",
        "check", "chevron-down", "chevron-left", "chevron-right", "chevron-up", "circle",
        "circle-check", "circle-dashed", "circle-minus", "circle-x", "clipboard", "clock", "copy",
        "device-desktop", "dots", "download", "edit", "external-link", "eye", "file-certificate",
        "file-code", "file-diff", "file-import", "file-plus", "filter", "fingerprint", "hash",
        "help", "history", "home", "hourglass", "info-circle", "key", "keyboard", "link",
        "link-off", "list-check", "list-details", "loader", "lock", "lock-open", "lock-password",
        "logout", "mail", "mail-check", "minus", "moon", "network", "pencil", "player-play",
        "plug", "plug-connected", "plug-off", "plus", "point", "power", "progress", "question-mark",
        "refresh", "robot", "rocket", "rotate", "route", "search", "server", "server-2",
        "settings", "shield", "shield-check", "shield-lock", "shield-off", "shield-x", "signature",
        "sun", "switch-horizontal", "terminal-2", "timeline", "trash", "upload", "user",
        "user-circle", "users", "wand", "world", "x",
    }
)  # fmt: skip
