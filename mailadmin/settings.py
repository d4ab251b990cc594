"""Django settings: defaults that run the demo, each overridable by an environment variable."""

from __future__ import annotations

import os
import secrets
import socket
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

import certifi
from csp.constants import NONE, SELF

from mailadmin.sandbox import paths

BASE_DIR = paths.project_dir()
VAR_DIR = paths.var_dir()
RUN_DIR = paths.run_dir(VAR_DIR)
SECRETS_DIR = Path(os.environ.get("MAILADMIN_SECRETS", VAR_DIR / "secrets"))


def _is_on(name: str, default: str = "0") -> bool:
    return os.environ.get(name, default).strip().lower() in {"1", "true", "yes", "on"}


def _words(name: str, default: str) -> list[str]:
    return [word for word in os.environ.get(name, default).replace(",", " ").split() if word]


def _read_or_create_secret(path: Path) -> str:
    """Return the secret kept in the file, drawing it (mode 0600) on the first start."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_text(encoding="ascii").strip()
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(secrets.token_urlsafe(48))
    return path.read_text(encoding="ascii").strip()


def _database(url: str) -> dict[str, object]:
    """Return Django's form of ``postgresql://user:password@host:port/name?option=value``.

    As in libpq, a Unix socket is the folder it lies in, either percent-encoded in the place of the
    host or as ``?host=/run/postgresql``. Other options (``sslmode``, ``sslrootcert``, ...) reach
    the server's library as they are: a misspelt one is refused, never ignored.
    """
    parts = urlsplit(url)
    if parts.scheme not in {"postgres", "postgresql"}:
        raise ValueError("DATABASE_URL must start with postgresql://")
    options = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
    # parts.hostname would be in lower case, which is right for a host and wrong for a folder.
    host = parts.netloc.rpartition("@")[2]
    is_folder = host.lower().startswith(("%2f", "/"))
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(parts.path.removeprefix("/")),
        "USER": options.pop("user", "") or unquote(parts.username or ""),
        "PASSWORD": options.pop("password", "") or unquote(parts.password or ""),
        "HOST": options.pop("host", "")
        or unquote(host.partition(":")[0] if is_folder else parts.hostname or ""),
        "PORT": options.pop("port", "") or str(parts.port or ""),
        "OPTIONS": options,
        "CONN_HEALTH_CHECKS": True,
        "CONN_MAX_AGE": 60,
    }


DEBUG = _is_on("MAILADMIN_DEBUG")
SECRET_KEY = os.environ.get("MAILADMIN_SECRET_KEY") or _read_or_create_secret(
    SECRETS_DIR / "django.key"
)
# The key that encrypts private keys at rest lives in this file, never in the database.
MASTER_KEY_FILE = Path(os.environ.get("MAILADMIN_MASTER_KEY_FILE", SECRETS_DIR / "master.key"))
ALLOWED_HOSTS = _words("MAILADMIN_ALLOWED_HOSTS", "localhost 127.0.0.1 [::1]")
CSRF_TRUSTED_ORIGINS = _words("MAILADMIN_TRUSTED_ORIGINS", "")

# The public authorities a chain may end at: Debian's package ca-certificates.
TRUST_STORE_FILE = Path(
    os.environ.get("MAILADMIN_TRUST_STORE", "/etc/ssl/certs/ca-certificates.crt")
)

# Mozilla's list of them, from the package certifi: what mail programs know is close to it.
MOZILLA_ROOTS_FILE = Path(os.environ.get("MAILADMIN_MOZILLA_ROOTS", certifi.where()))
# Well-known intermediates, to complete chains with; see `manage.py intermediates`.
INTERMEDIATES_FILE = Path(os.environ.get("MAILADMIN_INTERMEDIATES", VAR_DIR / "intermediates.zip"))
# Lists of keys whose private half is known, in the form of badkeys; see `manage.py weak_keys`. The
# first that is there is used: our own, or what `badkeys --update-bl` fetched for this user.
_CACHE_DIR = Path(os.environ.get("XDG_CACHE_HOME") or os.environ.get("HOME", "") + "/.cache")
KNOWN_KEYS_FILES = (
    [Path(os.environ["MAILADMIN_BADKEYS_BLOCKLIST"])]
    if "MAILADMIN_BADKEYS_BLOCKLIST" in os.environ
    else [VAR_DIR / "badkeys" / "blocklist.dat", _CACHE_DIR / "badkeys" / "blocklist.dat"]
)
# A missing certificate is only fetched from the internet, unless the authority is in your network.
IS_PRIVATE_FETCH_ALLOWED = _is_on("MAILADMIN_FETCH_PRIVATE")

# Who is asked, beside the rows themselves, before a certificate and its key are deleted.
CERTIFICATE_USE_FINDERS = [
    "mailadmin.listeners.served.find_served_uses",
    "mailadmin.deployments.uses.find_deployment_uses",
]
# All that is sealed with the master key: it is not replaced silently, and a new one takes it along.
SEALED_STORES = [
    "mailadmin.certificates.rotation.PRIVATE_KEYS",
    "mailadmin.certificates.sealed_uploads.UPLOADS",
    "mailadmin.acme.sealing.ACME_SECRETS",
    "mailadmin.notifications.sealing.WEBHOOK_SECRETS",
]

# Who is asked for names ("address" or "address:port"); by default whom the system asks.
DNS_RESOLVERS = _words("MAILADMIN_DNS_RESOLVERS", "")
# Where the servers of a zone answer: 53 everywhere but in tests and the demo.
DNS_AUTHORITY_PORT = int(os.environ.get("MAILADMIN_DNS_PORT", "53"))
# Where authorities come to look at a challenge: 80 everywhere but in tests and the demo.
ACME_HTTP_PORT = int(os.environ.get("MAILADMIN_ACME_HTTP_PORT", "80"))
# An authority of your own may be in your network, and look up names that lead there.
IS_PRIVATE_ACME_ALLOWED = _is_on("MAILADMIN_ACME_PRIVATE")

AGENT_SOCKET = Path(os.environ.get("MAILADMIN_AGENT_SOCKET", paths.agent_socket(RUN_DIR)))
# Seconds between two deployments; what is asked for meanwhile joins the one that waits.
APPLY_SPACING = float(os.environ.get("MAILADMIN_APPLY_SPACING", "5"))
# How often beat asks the agent to look at every port, in seconds.
PROBE_INTERVAL = int(os.environ.get("MAILADMIN_PROBE_INTERVAL", "300"))
# How long looks at the ports are kept.
OBSERVATION_DAYS = int(os.environ.get("MAILADMIN_OBSERVATION_DAYS", "30"))

# How often beat looks for something worth telling, in seconds; and how long what was told is kept.
NOTICE_INTERVAL = int(os.environ.get("MAILADMIN_NOTICE_INTERVAL", "900"))
NOTICE_DAYS = int(os.environ.get("MAILADMIN_NOTICE_DAYS", "90"))
# The panel's own address, for the links in what it sends; without it there are none.
PANEL_URL = os.environ.get("MAILADMIN_URL", "").strip().rstrip("/")

# Mail goes out through this server: the panel's own machine unless told otherwise. Better another
# one than the mail server the panel looks after, which may be what is broken.
EMAIL_BACKEND = "mailadmin.notifications.runner.mailing.ReplyKeepingBackend"
EMAIL_HOST = os.environ.get("MAILADMIN_SMTP_HOST", "localhost")
EMAIL_PORT = int(os.environ.get("MAILADMIN_SMTP_PORT", "25"))
EMAIL_HOST_USER = os.environ.get("MAILADMIN_SMTP_USER", "")
EMAIL_HOST_PASSWORD = os.environ.get("MAILADMIN_SMTP_PASSWORD", "")
# "starttls" or "implicit"; empty is in clear, for a server on the same machine.
SMTP_TLS = os.environ.get("MAILADMIN_SMTP_TLS", "").strip().lower()
if SMTP_TLS not in {"", "starttls", "implicit"}:
    raise ValueError("MAILADMIN_SMTP_TLS must be starttls, implicit or empty")
EMAIL_USE_TLS, EMAIL_USE_SSL = SMTP_TLS == "starttls", SMTP_TLS == "implicit"
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = os.environ.get("MAILADMIN_MAIL_FROM") or f"mailadmin@{socket.gethostname()}"

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "crispy_forms",
    "crispy_bootstrap5",
    "django_htmx",
    "csp",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "mailadmin.audit",
    "mailadmin.accounts",
    "mailadmin.certificates",
    "mailadmin.servers",
    "mailadmin.listeners",
    "mailadmin.deployments",
    "mailadmin.acme",
    "mailadmin.notifications",
    "mailadmin.dashboard",
]

MIDDLEWARE = [
    # First, so that every log line of a request carries its id.
    "mailadmin.audit.middleware.RequestContextMiddleware",
    # Before the host name is looked at: an authority asks under names of the mail server.
    "mailadmin.acme.middleware.ChallengeMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    # Every page asks for a login unless its view says otherwise (Django 5.1).
    "django.contrib.auth.middleware.LoginRequiredMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
]

ROOT_URLCONF = "mailadmin.urls"
WSGI_APPLICATION = "mailadmin.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "mailadmin.dashboard.context.frame",
            ],
        },
    }
]

if os.environ.get("DATABASE_URL"):
    DATABASES = {"default": _database(os.environ["DATABASE_URL"])}
else:
    DATABASES = {
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": VAR_DIR / "db.sqlite3",
            "OPTIONS": {
                # A writer waits for its turn instead of failing with "database is locked".
                "transaction_mode": "IMMEDIATE",
                "timeout": 20,
                "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;"
                " PRAGMA foreign_keys=ON;",
            },
        }
    }
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# Counts failed logins and remembers used one-time codes: all web processes must see the same.
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.db.DatabaseCache",
        "LOCATION": "accounts_cache",
    }
}

AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = [
    "django.contrib.auth.backends.ModelBackend",
    "allauth.account.auth_backends.AuthenticationBackend",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "dashboard:overview"
ACCOUNT_LOGIN_METHODS = {"username"}
ACCOUNT_SIGNUP_FIELDS = ["username*", "password1*", "password2*"]
ACCOUNT_ADAPTER = "mailadmin.accounts.adapter.ClosedSignupAdapter"
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_LOGOUT_REDIRECT_URL = "account_login"
ACCOUNT_SESSION_REMEMBER = False
MFA_ADAPTER = "mailadmin.accounts.mfa.EncryptingMFAAdapter"
MFA_SUPPORTED_TYPES = ["totp", "recovery_codes"]
MFA_TOTP_ISSUER = "mailadmin"

LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English")]
TIME_ZONE = "UTC"
USE_I18N = True
USE_TZ = True

STATIC_URL = "static/"
STATIC_ROOT = VAR_DIR / "static"
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.InMemoryStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}
WHITENOISE_KEEP_ONLY_HASHED_FILES = True

# Uploads are small; nothing of them may touch the disk.
FILE_UPLOAD_HANDLERS = ["django.core.files.uploadhandler.MemoryFileUploadHandler"]
FILE_UPLOAD_MAX_MEMORY_SIZE = 1024 * 1024
DATA_UPLOAD_MAX_MEMORY_SIZE = 1024 * 1024
DATA_UPLOAD_MAX_NUMBER_FILES = 40

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
        "base-uri": [NONE],
    }
}
# How many proxies of our own stand before the panel and append to X-Forwarded-For.
TRUSTED_PROXY_COUNT = ALLAUTH_TRUSTED_PROXY_COUNT = int(os.environ.get("MAILADMIN_PROXIES", "0"))
IS_BEHIND_TLS = _is_on("MAILADMIN_HTTPS")
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = IS_BEHIND_TLS
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if IS_BEHIND_TLS else None
SECURE_HSTS_SECONDS = 31536000 if IS_BEHIND_TLS else 0
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_AGE = 12 * 3600
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"

CRISPY_ALLOWED_TEMPLATE_PACKS = "bootstrap5"
CRISPY_TEMPLATE_PACK = "bootstrap5"

CELERY_BROKER_URL = os.environ.get(
    "MAILADMIN_BROKER_URL", f"redis+socket://{paths.redis_socket(RUN_DIR)}"
)
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
# A deployment waits at most for another one and its own proof; longer means something is stuck.
CELERY_TASK_TIME_LIMIT = 300
CELERY_BROKER_TRANSPORT_OPTIONS = {"visibility_timeout": 600, "socket_timeout": 5}
# A web request must not wait for a dead Redis: the row stays and beat picks it up later.
CELERY_TASK_PUBLISH_RETRY = False
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TIMEZONE = "UTC"
# The worker logs as the panel does, with the request's id.
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_BEAT_SCHEDULE = {
    "probe-every-port": {
        "task": "mailadmin.deployments.tasks.probe_all_servers",
        "schedule": PROBE_INTERVAL,
    },
    "pick-up-what-was-interrupted": {
        "task": "mailadmin.deployments.tasks.resume_interrupted",
        "schedule": 10,
    },
    "drop-old-observations": {
        "task": "mailadmin.deployments.tasks.drop_old_observations",
        "schedule": 6 * 3600,
    },
    "order-what-is-due": {
        "task": "mailadmin.acme.tasks.order_what_is_due",
        "schedule": 30,
    },
    "ask-when-to-renew": {
        "task": "mailadmin.acme.tasks.ask_for_renewal_info",
        "schedule": 900,
    },
    "note-what-is-served": {
        "task": "mailadmin.acme.tasks.note_what_is_served",
        "schedule": 60,
    },
    "rehearse-what-is-due": {
        "task": "mailadmin.acme.tasks.rehearse_what_is_due",
        "schedule": 3600,
    },
    "look-for-what-is-worth-telling": {
        "task": "mailadmin.notifications.tasks.evaluate_notices",
        "schedule": NOTICE_INTERVAL,
    },
    "send-what-is-due": {
        "task": "mailadmin.notifications.tasks.send_due",
        "schedule": 60,
    },
    "drop-old-notices": {
        "task": "mailadmin.notifications.tasks.drop_old_notices",
        "schedule": 6 * 3600,
    },
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"request_id": {"()": "mailadmin.audit.middleware.RequestIdFilter"}},
    "formatters": {
        "line": {"format": "{asctime} {levelname} {name} [{request_id}] {message}", "style": "{"}
    },
    "handlers": {
        "console": {
            "class": "logging.StreamHandler",
            "formatter": "line",
            "filters": ["request_id"],
        }
    },
    # Beat has something for the worker every ten seconds; that it came and went is no news.
    "loggers": {
        name: {"level": "WARNING"}
        for name in ("celery.beat", "celery.worker.strategy", "celery.app.trace")
    }
    # What DNS providers are asked, and what they answer, holds the secrets of accounts there.
    | {name: {"level": "CRITICAL"} for name in ("lexicon", "urllib3")},
    "root": {"handlers": ["console"], "level": os.environ.get("MAILADMIN_LOG_LEVEL", "INFO")},
}
