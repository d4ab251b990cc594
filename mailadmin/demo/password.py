"""The panel's password: drawn on the first start, and the same ever after."""

from __future__ import annotations

import json
import secrets
from pathlib import Path

from mailadmin.demo.errors import DemoError
from mailadmin.demo.files import write_private_file

# Letters and digits that nobody confuses when reading them off a screen.
_ALPHABET = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"
_LENGTH = 20


def load_or_create_password(kept: Path) -> str:
    """Return the password kept in the file (mode 0600), drawing it when there is none."""
    try:
        return str(json.loads(kept.read_text(encoding="utf-8"))["password"])
    except FileNotFoundError:
        password = "".join(secrets.choice(_ALPHABET) for _ in range(_LENGTH))
        write_private_file(kept, json.dumps({"password": password}) + "\n")
        return password
    except (ValueError, KeyError, TypeError) as error:
        raise DemoError(
            f"{kept} cannot be read. `make demo-reset` removes the demo's state, so that it "
            "begins anew."
        ) from error
