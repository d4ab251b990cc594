"""Settings of the test suite: the project's own, in a folder of its own, without Redis."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile

# One folder per test process; the settings below draw their secrets into it.
_VAR = tempfile.mkdtemp(prefix="mailadmin-tests-")
atexit.register(shutil.rmtree, _VAR, ignore_errors=True)
os.environ["MAILADMIN_VAR"] = _VAR
os.environ.pop("MAILADMIN_RUN", None)
os.environ.pop("MAILADMIN_SECRETS", None)
# Never the database of a panel; which one the suite runs on is asked for by a name of its own.
os.environ["DATABASE_URL"] = os.environ.get("MAILADMIN_TEST_DATABASE_URL", "")

from mailadmin.settings import *  # noqa: E402, F403  # after the environment is set

if DATABASES["default"]["ENGINE"].endswith("sqlite3"):  # noqa: F405
    DATABASES["default"]["TEST"] = {"NAME": f"{_VAR}/tests.sqlite3"}  # noqa: F405

# The programs that a test starts are told theirs, or use SQLite in the folder they are given.
del os.environ["DATABASE_URL"]

# Not what `badkeys --update-bl` fetched for who runs the tests.
KNOWN_KEYS_FILES = KNOWN_KEYS_FILES[:1]  # noqa: F405

# Deployments of a test follow each other at once; where the distance matters, a test sets it.
APPLY_SPACING = 0.0
DEBUG = False
ALLOWED_HOSTS = ["testserver", "localhost", "127.0.0.1"]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
# Sending a task must not need Redis: the memory broker takes it and nobody runs it.
CELERY_BROKER_URL = "memory://"
CELERY_TASK_ALWAYS_EAGER = False
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.InMemoryStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
STATIC_ROOT.mkdir(exist_ok=True)  # noqa: F405  # comes with the star
CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
