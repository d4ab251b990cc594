"""What the workers do: look for what is worth telling, and tell it."""

from mailadmin.notifications.runner.delivering import deliver, release_abandoned
from mailadmin.notifications.runner.evaluating import drop_old, evaluate

__all__ = ["deliver", "drop_old", "evaluate", "release_abandoned"]
