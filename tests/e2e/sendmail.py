"""A throw-away Sendmail, unpacked from its Debian packages beside whatever MTA the machine has.

Sendmail refuses to trust files below a world-writable directory, so it does not live in the sandbox's directory but
in the cache named by TIDEGATE_SENDMAIL, as do the unpacked packages.
"""
import contextlib
import fcntl
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile

from mta import Mta
from sandbox import SERVER_IPV6, children_of, connections_held, die_with_parent, free_port, wait_until

CACHE = pathlib.Path(os.environ.get("TIDEGATE_SENDMAIL", "/var/cache/tidegate-tests/sendmail"))
PACKAGES = ("sendmail-bin", "sendmail-cf")

# name: (daemon name, filter)
SERVICES = {
    "main": ("MTA", "tidegate"),
    "second": ("submission", "tidegate"),
    "tempfail": ("tempfail", "tidegate_tempfail"),
}


def unpack():
    """Fetch and unpack the packages unless that is done already; returns the unpacked tree."""
    CACHE.mkdir(parents=True, exist_ok=True, mode=0o755)
    root = CACHE / "root"
    with open(CACHE / "lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if (root / "complete").exists():
            return root
        shutil.rmtree(root, ignore_errors=True)
        for package in PACKAGES:
            if not list(CACHE.glob(f"{package}_*.deb")):
                subprocess.run(["apt-get", "download", "-q", package], cwd=CACHE, check=True,
                               stdout=subprocess.DEVNULL)
            for archive in CACHE.glob(f"{package}_*.deb"):
                subprocess.run(["dpkg", "-x", str(archive), str(root)], check=True)
        root.chmod(0o755)
        (root / "complete").touch()
    return root


class Sendmail(Mta):
    kind = "sendmail"
    forks_per_session = True

    def __init__(self, milter_port, recipe=None):
        """recipe: lines for sendmail.mc in place of the filters of the tests, with /run/tidegate for a folder that this
        one makes; then there is one service, "main"."""
        super().__init__(milter_port)
        self.recipe = recipe
        self.root = unpack()
        self.dir = None
        self.binary = self.root / "usr/libexec/sendmail/sendmail"

    def start(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="run.", dir=CACHE))
        self.dir.chmod(0o755)
        queue = self.dir / "queue"
        queue.mkdir(mode=0o700)
        (self.dir / "tidegate").mkdir(mode=0o755)
        for name in ("aliases", "local-host-names", "trusted-users", "statistics"):
            (self.dir / name).write_text("test.example\n" if name == "local-host-names" else "")
        (self.dir / "sendmail.cf").write_text(self._configuration())
        (self.dir / "sendmail.cf").chmod(0o644)
        with open(self.dir / "start.log", "wb") as output:
            subprocess.run([str(self.binary), "-C", str(self.dir / "sendmail.cf"), "-bi"], stdin=subprocess.DEVNULL,
                           stdout=output, stderr=subprocess.STDOUT, check=False)
            self.process = subprocess.Popen(
                [str(self.binary), "-C", str(self.dir / "sendmail.cf"), "-bD"], stdin=subprocess.DEVNULL,
                stdout=output, stderr=subprocess.STDOUT, start_new_session=True, preexec_fn=die_with_parent)
        wait_until(self._is_up, lambda: f"Sendmail is up:\n{self.log()}")
        return self

    @property
    def milter_socket(self):
        """The unix socket of the recipe's filter."""
        return self.dir / "tidegate" / "milter"

    def _filters(self):
        if self.recipe is not None:
            return self.recipe.replace("/run/tidegate", str(self.dir / "tidegate"))
        milter = f"S=inet:{self.milter_port}@127.0.0.1, T=C:30s;S:60s;R:60s;E:60s"
        return f"""\
define(`confINPUT_MAIL_FILTERS', `tidegate')
MAIL_FILTER(`tidegate', `{milter}')
MAIL_FILTER(`tidegate_tempfail', `{milter}, F=T')
"""

    def _services(self):
        """The lines of the listeners; with a recipe they leave it to that which filters are asked."""
        source = ""
        for name, (daemon, filter_name) in SERVICES.items() if self.recipe is None else [("main", ("MTA", None))]:
            self.ports[name] = free_port()
            filters = f", InputMailFilters={filter_name}" if filter_name else ""
            source += (f"DAEMON_OPTIONS(`Name={daemon}, Family=inet, Addr=127.0.0.1, Port={self.ports[name]}, "
                       f"Listen=500{filters}')\n")
        if self.recipe is None:
            source += (f"DAEMON_OPTIONS(`Name=MTA6, Family=inet6, Addr={SERVER_IPV6}, Port={self.ports['main']}, "
                       f"Listen=500, InputMailFilters=tidegate')\n")
        return source

    def _configuration(self):
        source = f"""\
include(`{self.root}/usr/share/sendmail/cf/m4/cf.m4')
OSTYPE(`linux')
define(`confDOMAIN_NAME', `mx.test.example')
define(`confLOG_LEVEL', `0')
define(`confPID_FILE', `{self.dir}/sendmail.pid')
define(`STATUS_FILE', `{self.dir}/statistics')
define(`ALIAS_FILE', `{self.dir}/aliases')
define(`HELP_FILE', `')
define(`confCW_FILE', `{self.dir}/local-host-names')
define(`confCT_FILE', `{self.dir}/trusted-users')
define(`QUEUE_DIR', `{self.dir}/queue')
define(`confCONTROL_SOCKET_NAME', `')
define(`confSERVICE_SWITCH_FILE', `{self.dir}/no-service-switch')
define(`confDELIVERY_MODE', `queueonly')
define(`confQUEUE_LA', `100000')
define(`confREFUSE_LA', `100000')
define(`confDELAY_LA', `0')
define(`confTO_IDENT', `0')
define(`confTO_COMMAND', `5m')
define(`confBAD_RCPT_THROTTLE', `0')
define(`confPRIVACY_FLAGS', `')
FEATURE(`accept_unresolvable_domains')
FEATURE(`accept_unqualified_senders')
FEATURE(`nocanonify')
FEATURE(`no_default_msa')
FEATURE(`use_cw_file')
"""
        source += self._filters() + self._services() + "MAILER(`local')\nMAILER(`smtp')\n"
        (self.dir / "sendmail.mc").write_text(source)
        result = subprocess.run(["m4", f"-D_CF_DIR_={self.root}/usr/share/sendmail/cf/", str(self.dir / "sendmail.mc")],
                                capture_output=True, text=True, check=True)
        assert not result.stderr, result.stderr
        return result.stdout

    def _is_up(self):
        assert self.process.poll() is None, f"Sendmail did not start:\n{self.log()}"
        listening = {local for local, _ in connections_held(self.process.pid)}
        return listening >= set(self.ports.values())

    def stop(self):
        if self.process is not None:
            session = children_of(self.process.pid)
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(30)
            for pid in session:  # a session process that a failed test left in mid-conversation
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        if self.dir is not None and not os.environ.get("TIDEGATE_KEEP"):
            shutil.rmtree(self.dir)

    def log(self):
        log = self.dir and self.dir / "start.log"
        return log.read_text(errors="replace") if log and log.exists() else ""

    def session_processes(self):
        """The processes that serve SMTP clients, one each."""
        return children_of(self.process.pid)

    def queued(self):
        """The bodies of the messages that were accepted."""
        return [path.read_bytes() for path in (self.dir / "queue").glob("df*")]
