"""A private Postfix and Dovecot in a folder of its own: for the demo, and for the tests."""

from mailadmin.sandbox.errors import SandboxError
from mailadmin.sandbox.server import Sandbox
from mailadmin.sandbox.settings import SandboxSettings

__all__ = ["Sandbox", "SandboxError", "SandboxSettings"]
