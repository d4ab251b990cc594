"""A private Postfix and Dovecot in a folder of its own, for the demo and for the tests."""

from __future__ import annotations

import base64
import grp
import hashlib
import os
import pwd
import re
import secrets
import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import psutil

from mailadmin.agent.config import FRONT_CONFIG, FRONT_SUFFIX
from mailadmin.agent.host.dovecot_instance import DovecotInstance
from mailadmin.agent.host.processes import end_all, find_processes, wait_until
from mailadmin.sandbox.dovecot_files import (
    MAIL_GID,
    MAIL_UID,
    DovecotLayout,
    adapt_shipped_files,
)
from mailadmin.sandbox.errors import SandboxError
from mailadmin.sandbox.paths import is_open_to_all, make_open_folder, short_runtime_dir
from mailadmin.sandbox.postfix_files import (
    MailPeers,
    PostfixLayout,
    render_main_cf,
    render_master_cf,
)
from mailadmin.sandbox.programs import find_program, name_port_holder, read_pid, run_program
from mailadmin.sandbox.settings import SandboxSettings, load_or_create_settings
from mailadmin.sandbox.snakeoil import make_snakeoil

_POSTFIX_SHIPPED = Path("/usr/share/postfix")
_DOVECOT_SHIPPED = Path("/usr/share/dovecot")
_LONGEST_ROOT = 60  # bytes
_START_LIMIT = 15.0  # seconds; a start takes about a third of one
_PATIENCE = 1.0  # seconds that a daemon gets to end by itself


class Sandbox:
    """One private mail server: files, daemons, and what is needed to talk to them."""

    def __init__(self, settings: SandboxSettings) -> None:
        self.settings = settings
        home, base_dir = _choose_home(settings.root)
        self.certificate = home / "ssl" / "snakeoil.pem"
        self.certificate_key = home / "ssl" / "snakeoil.key"
        postfix, dovecot = home / "postfix", home / "dovecot"
        self._postfix = PostfixLayout(
            config_directory=postfix / "etc",
            queue_directory=postfix / "queue",
            data_directory=postfix / "data",
            log=home / "log" / "postfix.log",
            mailboxes=postfix / "etc" / "mailboxes",
            aliases=postfix / "etc" / "virtual",
        )
        self._dovecot = DovecotLayout(
            config_directory=dovecot / "etc",
            base_dir=base_dir,
            # Without "dovecot" in it, Dovecot puts that before it in the title of its processes.
            instance_name=f"sandbox-{hashlib.sha256(os.fsencode(settings.root)).hexdigest()[:10]}",
            state_dir=dovecot / "state",
            log=home / "log" / "dovecot.log",
            mail=home / "mail",
            users=dovecot / "etc" / "users",
            certificate=self.certificate,
            certificate_key=self.certificate_key,
        )
        # There once the panel splits Dovecot in two (mailadmin.agent.config).
        self._front = DovecotInstance(
            config_file=self._dovecot.config_directory / FRONT_CONFIG,
            base_dir=base_dir.with_name(f"{base_dir.name}{FRONT_SUFFIX}"),
            command_directory=Path(find_program("dovecot")).parent,
        )

    @classmethod
    def create(cls, root: Path, *, address: str | None = None) -> Sandbox:
        """Return the sandbox kept in ``root``; a new one is made when the folder holds none.

        Without ``address`` a spare loopback address is picked. Raises SandboxError when the
        folder or the address cannot be used.
        """
        if os.geteuid() != 0:
            raise SandboxError("Postfix can only be started by root. Run this as root.")
        root = root.absolute()
        make_open_folder(root)
        _refuse_unreachable_folder(root)
        sandbox = cls(load_or_create_settings(root, address))
        _link_home(_choose_home(root)[0], root)
        sandbox._write_files()
        return sandbox

    @property
    def postfix_config_directory(self) -> Path:
        """Folder of main.cf and master.cf."""
        return self._postfix.config_directory

    @property
    def postfix_log(self) -> Path:
        """Postfix' maillog_file."""
        return self._postfix.log

    @property
    def dovecot_config(self) -> Path:
        """dovecot.conf, which includes conf.d/*.conf."""
        return self._dovecot.config_directory / "dovecot.conf"

    @property
    def dovecot_base_dir(self) -> Path:
        """Dovecot's base_dir, where its sockets are."""
        return self._dovecot.base_dir

    @property
    def dovecot_log(self) -> Path:
        """Dovecot's log_path."""
        return self._dovecot.log

    def start(self) -> None:
        """Start both daemons, unless they run. Raises SandboxError saying why they did not."""
        if not self.is_dovecot_running():
            self._start_dovecot()
        if not self.is_postfix_running():
            self._start_postfix()

    def stop(self) -> None:
        """Stop both daemons and end every process that belongs to them."""
        # All at once: Dovecot's master alone would wait a second for its log process. With the
        # sessions that ``shutdown_clients = no`` lets outlive it.
        end_all(self.find_processes, _PATIENCE)

    def remove(self) -> None:
        """Stop the daemons and remove all of the sandbox, its mail included."""
        self.stop()
        root = self.settings.root
        shutil.rmtree(root, ignore_errors=True)
        home, _ = _choose_home(root)
        if home != root:
            shutil.rmtree(home.parent, ignore_errors=True)

    def find_processes(self) -> list[psutil.Process]:
        """Return all running processes of this sandbox."""
        folders = [self._postfix.queue_directory, self._dovecot.base_dir, self._front.base_dir]
        name = self._dovecot.instance_name
        titles = (f"dovecot-{name}/", f"dovecot-{name}-front/")
        return find_processes(folders, titles)

    def is_postfix_running(self) -> bool:
        """Say whether Postfix' master is alive."""
        return self._find_postfix_master() is not None

    def is_dovecot_running(self) -> bool:
        """Say whether Dovecot's master is alive; of two instances, whether both are."""
        is_front = not self._front.config_file.exists() or self._front.is_running()
        return self._find_dovecot_master() is not None and is_front

    def restart_dead(self) -> list[str]:
        """Start the daemon that died, if one did; return the names of those started."""
        dead = [
            name
            for name, is_running in (
                ("Dovecot", self.is_dovecot_running()),
                ("Postfix", self.is_postfix_running()),
            )
            if not is_running
        ]
        if dead:
            self.start()
        return dead

    def run_postfix(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run postfix(1) for this sandbox, for example ``run_postfix("reload")``."""
        return run_program("postfix", ["-c", str(self.postfix_config_directory), *arguments])

    def run_postconf(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run postconf(1) for this sandbox."""
        return run_program("postconf", ["-c", str(self.postfix_config_directory), *arguments])

    def run_doveadm(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run doveadm(1) for this sandbox, for example ``run_doveadm("reload")``."""
        return run_program("doveadm", ["-c", str(self.dovecot_config), *arguments])

    def _find_postfix_master(self) -> psutil.Process | None:
        pid_file = self._postfix.queue_directory / "pid" / "master.pid"
        return _find_master(pid_file, "master", self._postfix.queue_directory)

    def _find_dovecot_master(self) -> psutil.Process | None:
        pid_file = self._dovecot.base_dir / "master.pid"
        return _find_master(pid_file, "dovecot", self._dovecot.base_dir)

    def _start_dovecot(self) -> None:
        if self._find_dovecot_master() is None:
            self._start_instance(self.dovecot_config, self._dovecot.base_dir)
        if not self.is_dovecot_running():
            # The panel split Dovecot in two, and this one has the ports.
            self._start_instance(self._front.config_file, self._front.base_dir)

    def _start_instance(self, config: Path, base_dir: Path) -> None:
        make_open_folder(base_dir)
        # Left by a master that was killed. Dovecot would not start while anything has its number,
        # be it what remains of that master until somebody collects it.
        (base_dir / "master.pid").unlink(missing_ok=True)
        answer = run_program("dovecot", ["-c", str(config)])
        deadline = time.monotonic() + _START_LIMIT
        pid_file = base_dir / "master.pid"

        def is_up() -> bool:
            return _find_master(pid_file, "dovecot", base_dir) is not None

        if answer.returncode != 0 or not wait_until(is_up, deadline):
            raise SandboxError(self._explain("Dovecot", answer, self.dovecot_log))

    def _start_postfix(self) -> None:
        answer = self.run_postfix("start")
        if answer.returncode != 0 or not self.is_postfix_running():
            raise SandboxError(self._explain("Postfix", answer, self.postfix_log))

    def _explain(self, daemon: str, answer: subprocess.CompletedProcess[str], log: Path) -> str:
        for service, port in self.settings.ports.items():
            holder = name_port_holder(self.settings.address, port)
            is_own = holder is not None and re.match(r"(master|dovecot)\b", holder)
            if holder and not is_own:
                return (
                    f"{daemon} did not start: {self.settings.address}:{port} ({service}) is held "
                    f"by {holder}. Stop that program and start again."
                )
        words = (answer.stderr or answer.stdout).strip() or _read_tail(log)
        return f"{daemon} did not start. It says: {words}. Its log is {log}."

    def _write_files(self) -> None:
        self._make_folders()
        self._write_snakeoil()
        self._write_postfix()
        self._write_dovecot()

    def _make_folders(self) -> None:
        postfix_user = pwd.getpwnam("postfix").pw_uid
        for folder in (
            self.certificate.parent,
            self._postfix.config_directory.parent,
            self._postfix.config_directory,
            self._postfix.queue_directory,
            self._postfix.data_directory,
            self._postfix.log.parent,
            self._dovecot.config_directory.parent,
            self._dovecot.config_directory,
            self._dovecot.config_directory / "conf.d",
            self._dovecot.state_dir,
            self._dovecot.mail,
        ):
            make_open_folder(folder)
        os.chown(self._postfix.data_directory, postfix_user, -1)
        os.chown(self._dovecot.mail, MAIL_UID, MAIL_GID)
        # postsuper writes the log as postfix, and does not start Postfix when it cannot.
        self._postfix.log.touch(mode=0o644)
        os.chown(self._postfix.log, postfix_user, -1)

    def _write_snakeoil(self) -> None:
        if self.certificate.exists() and self.certificate_key.exists():
            return
        certificate, key = make_snakeoil(self.settings.host_name)
        _write(self.certificate_key, key, 0o600)
        _write(self.certificate, certificate, 0o644)

    def _write_postfix(self) -> None:
        main_cf = self.postfix_config_directory / "main.cf"
        if main_cf.exists():
            return
        settings, layout = self.settings, self._postfix
        peers = MailPeers(
            certificate=self.certificate,
            certificate_key=self.certificate_key,
            auth_socket=self._dovecot.base_dir / "auth-postfix",
            lmtp_socket=self._dovecot.base_dir / "lmtp",
        )
        _write(layout.mailboxes, f"{settings.mailbox}  OK\n".encode())
        alias = f"postmaster@{settings.mail_domain}  {settings.mailbox}\n"
        _write(layout.aliases, alias.encode())
        master_cf = render_master_cf(_read_shipped(_POSTFIX_SHIPPED / "master.cf.dist"), settings)
        _write(self.postfix_config_directory / "master.cf", master_cf.encode())
        shipped = _read_shipped(_POSTFIX_SHIPPED / "main.cf.debian") + _read_shipped(
            _POSTFIX_SHIPPED / "main.cf.tls"
        )
        # Last, because its presence says that the set is complete.
        _write(main_cf, render_main_cf(shipped, settings, layout, peers).encode())

    def _write_dovecot(self) -> None:
        if self.dovecot_config.exists():
            return
        shipped = {
            str(path.relative_to(_DOVECOT_SHIPPED)): _read_shipped(path)
            for path in [
                _DOVECOT_SHIPPED / "dovecot.conf",
                *sorted((_DOVECOT_SHIPPED / "conf.d").iterdir()),
            ]
            if path.name != "99-local.conf"  # an example which packages do not install
        }
        version = read_dovecot_version()
        files = adapt_shipped_files(shipped, self.settings, self._dovecot, version)
        users = self._dovecot.users
        _write(users, self._render_users().encode(), 0o640)
        os.chown(users, 0, grp.getgrnam("dovecot").gr_gid)
        # dovecot.conf comes last, because its presence says that the set is complete.
        for name in sorted(files):
            _write(self._dovecot.config_directory / name, files[name].encode())

    def _render_users(self) -> str:
        salt = secrets.token_bytes(16)
        digest = hashlib.sha512(self.settings.mailbox_password.encode() + salt).digest()
        hashed = base64.b64encode(digest + salt).decode("ascii")
        return f"{self.settings.mailbox}:{{SSHA512}}{hashed}\n"


def read_dovecot_version() -> tuple[int, int]:
    """Return the installed Dovecot's version, for example (2, 3)."""
    answer = run_program("dovecot", ["--version"])
    match = re.match(r"(\d+)\.(\d+)", answer.stdout)
    if match is None:
        raise SandboxError(f"{find_program('dovecot')} does not tell its version.")
    return int(match[1]), int(match[2])


def _choose_home(root: Path) -> tuple[Path, Path]:
    """Return the folder as the daemons are told it, and Dovecot's folder for sockets.

    Dovecot adds up to 40 bytes for a socket, Postfix 30, and 107 is the limit (unix(7)). Where
    the path is too long for that both are in /run: a link to the folder, which is enough for
    Postfix, and a real folder for Dovecot, which follows links before it connects.
    """
    if len(os.fsencode(root)) <= _LONGEST_ROOT:
        return root, root / "dovecot" / "run"
    runtime = short_runtime_dir(root)
    return runtime / "home", runtime / "dovecot"


def _link_home(home: Path, root: Path) -> None:
    """Make the short link, again after each boot: /run is empty then."""
    if home != root and not home.is_symlink():
        make_open_folder(home.parent)
        home.symlink_to(root)


def _find_master(pid_file: Path, name: str, works_in: Path) -> psutil.Process | None:
    pid = read_pid(pid_file)
    if pid is None:
        return None
    try:
        process = psutil.Process(pid)
        is_master = process.name() == name and Path(process.cwd()) == works_in.resolve()
        is_alive = process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return None
    return process if is_master and is_alive else None


def _refuse_unreachable_folder(root: Path) -> None:
    """Raise SandboxError when the daemons' own users cannot enter the folder."""
    if not is_open_to_all(root):
        raise SandboxError(
            f"The mail server's own users cannot enter {root}, or a folder above it. Choose a "
            "folder that everybody may pass through (chmod a+x)."
        )


def _write(path: Path, content: bytes, mode: int = 0o644) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "wb") as stream:
        os.fchmod(descriptor, mode)
        stream.write(content)
    # Postfix' programs wait for up to two seconds when a file they load is younger than that,
    # as somebody might still be writing it (dict_load_file). This one is complete.
    written_at = time.time() - 5
    os.utime(path, (written_at, written_at))


def _read_shipped(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise SandboxError(
            f"Debian's file {path} is missing. Install the packages again: apt-get install "
            "--reinstall postfix dovecot-core."
        ) from error


def _read_tail(log: Path, lines: Sequence[int] = (-3,)) -> str:
    try:
        text = log.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return "nothing"
    return " / ".join(text.splitlines()[lines[0] :]) or "nothing"
