"""A throw-away Postfix: own configuration, queue, data and log, on free loopback ports."""
import os
import pathlib
import re
import signal
import subprocess

from mta import Mta
from sandbox import (HOST_NAME, SERVER_IPV6, children_of, connections_held, free_port, process_name,
                     wait_until)

MAIN_CF = """\
compatibility_level = 3.6
multi_instance_name = {name}-{token}
queue_directory = {dir}/queue
data_directory = {dir}/data
maillog_file = {dir}/mail.log
maillog_file_prefixes = {dir}
myhostname = {host_name}
mydestination = test.example
mynetworks = 127.0.0.0/8 [::1]/128 [2001:db8::]/32
inet_interfaces = all
inet_protocols = all
local_transport = discard:
default_transport = discard:
local_recipient_maps =
transport_maps = inline:{{ {{ read@test.example = read: }} }}
alias_maps =
alias_database =
smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination
recipients = check_recipient_access inline:{{ {{ nobody-here@test.example = 550 5.1.1 Unknown user }} }}
smtpd_recipient_restrictions = $recipients
smtpd_peername_lookup = no
smtpd_authorized_xclient_hosts = 127.0.0.0/8
smtpd_client_connection_count_limit = 0
smtpd_error_sleep_time = 0
smtpd_timeout = 300s
service_throttle_time = 1s
max_idle = 600s
in_flow_delay = 0
milter_default_action = accept
smtpd_milters = {milter}
"""

INTERNAL_SERVICES = """\
pickup    unix  n - n 60 1 pickup
cleanup   unix  n - n - 0 cleanup
qmgr      unix  n - n 300 1 qmgr
rewrite   unix  - - n - - trivial-rewrite
bounce    unix  - - n - 0 bounce
defer     unix  - - n - 0 bounce
trace     unix  - - n - 0 bounce
flush     unix  n - n 1000? 0 flush
proxymap  unix  - - n - - proxymap
showq     unix  n - n - - showq
error     unix  - - n - - error
retry     unix  - - n - - error
discard   unix  - - n - - discard
read      unix  - n n - 5 pipe flags= user=nobody argv={dir}/etc/read
anvil     unix  - - n - 1 anvil
postlog   unix-dgram n - n - 1 postlogd
"""

# Delivers to read@test.example: each message is a file, there at once and whole.
READ = """\
#!/bin/sh
set -e
file=$(mktemp {dir}/read/.XXXXXXXX)
cat >"$file"
mv "$file" "{dir}/read/${{file##*/.}}"
"""

# Postfix's questions to a policy service. It is asked before recipients are rejected, or it would never hear of those.
POLICY = "check_policy_service inet:127.0.0.1:{policy_port}"
EVERYWHERE = {f"smtpd_{stage}_restrictions": POLICY
              for stage in ("client", "helo", "sender", "data", "end_of_data", "etrn")}
EVERYWHERE["smtpd_recipient_restrictions"] = f"{POLICY} $recipients"
EARLY = {"smtpd_delay_reject": "no"}
NO_MILTER = {"smtpd_milters": ""}

# What each port is for, and the options of its smtpd. The second column is the most processes it may run.
SERVICES = {
    "main": (250, {}),
    "second": (250, {"milter_macro_daemon_name": "submission"}),
    "tempfail": (50, {"milter_default_action": "tempfail"}),
    "sixty": (60, {}),
    "kill": (50, {}),
    "unix": (50, {"smtpd_milters": "unix:{dir}/milter.sock"}),
    "balanced": (50, {"smtpd_upstream_proxy_protocol": "haproxy"}),
    "bytes": (50, {"smtputf8_enable": "no"}),  # takes 8-bit text that is no UTF-8
    "slow": (10, {"smtpd_milters": "inet:127.0.0.1:{slow_port}"}),
    "slow_too": (10, {"smtpd_milters": "inet:127.0.0.1:{slow_port}"}),
    # The policy service is asked: in all lists, as each command comes, or as Postfix would by itself, at RCPT
    "policy": (100, {**EVERYWHERE, **EARLY, **NO_MILTER}),
    "policy_late": (100, {**EVERYWHERE, **NO_MILTER}),
    "policy_unix": (20, {**EARLY, **NO_MILTER,
                         "smtpd_client_restrictions": "check_policy_service unix:{policy_socket}"}),
    "policy_unshared": (1, {**EARLY, **NO_MILTER, "smtpd_client_restrictions": POLICY}),
    # at one stage alone
    "policy_mail": (20, {**EARLY, **NO_MILTER, "smtpd_sender_restrictions": POLICY}),
    "policy_rcpt": (20, {**NO_MILTER, "smtpd_recipient_restrictions": f"{POLICY} $recipients"}),
    "policy_data": (20, {**NO_MILTER, "smtpd_data_restrictions": POLICY}),
    "policy_end": (20, {**NO_MILTER, "smtpd_end_of_data_restrictions": POLICY}),
    # with other ways to fall back, and a policy context
    "policy_context": (20, {**EARLY, **NO_MILTER, "smtpd_client_restrictions":
                            "check_policy_service {{ inet:127.0.0.1:{policy_port}, default_action=DUNNO, "
                            "policy_context=submission }}"}),
    # The milter door too: in the recommended way, with a restriction behind, and asked at every turn
    "doors": (100, {**EARLY, "smtpd_client_restrictions":
                    POLICY + " check_client_access inline:{{ {{ 127.3 = 554 5.7.1 Go away }} }}"}),
    "doors_slow": (20, {**EARLY, "smtpd_client_restrictions": f"{POLICY} sleep 20"}),
    "doors_late": (50, {"smtpd_client_restrictions": POLICY}),
    "doors_everywhere": (50, {**EVERYWHERE, **EARLY}),
}


class Postfix(Mta):
    kind = "postfix"
    forks_per_session = False

    def __init__(self, base, milter_port, name="postfix", services=None, main_cf="", chroot=False):
        """main_cf are lines to add to main.cf, in place of those of the same name. chroot: of the SMTP services."""
        self.dir = pathlib.Path(base) / name
        super().__init__(milter_port)
        self.name = name
        self.services = SERVICES if services is None else services
        self.main_cf = main_cf
        self.chroot = "y" if chroot else "n"
        self.unix_socket = self.dir / "milter.sock"
        self.slow_port = free_port()  # of the daemon of test_slow_body.py
        self.policy_port = free_port()
        self.policy_socket = self.dir / "policy.sock"

    def start(self):
        for directory in (self.dir, self.dir / "etc", self.dir / "queue"):
            directory.mkdir()
        data = self.dir / "data"
        data.mkdir()
        subprocess.run(["chown", "postfix:postfix", str(data)], check=True)
        (self.dir / "read").mkdir()
        (self.dir / "read").chmod(0o1777)
        (self.dir / "etc" / "read").write_text(READ.format(dir=self.dir))
        (self.dir / "etc" / "read").chmod(0o755)
        settings = MAIN_CF.format(dir=self.dir, name=self.name, token=os.getpid(), host_name=HOST_NAME,
                                  milter=f"inet:127.0.0.1:{self.milter_port}")
        for name in re.findall(r"^(\w+) =", self.main_cf, re.M):
            settings = re.sub(rf"^{name} = .*\n", "", settings, flags=re.M)
        (self.dir / "etc" / "main.cf").write_text(settings + self.main_cf)
        master = ""
        for name, (maxproc, options) in self.services.items():
            self.ports[name] = free_port()
            addresses = ["127.0.0.1"] + ([f"[{SERVER_IPV6}]"] if name in ("main", "policy", "doors") else [])
            for address in addresses:
                master += f"{address}:{self.ports[name]} inet n - {self.chroot} - {maxproc} smtpd\n"
                for option, value in options.items():
                    master += f"  -o {{ {option} = {value.format(**vars(self))} }}\n"
        (self.dir / "etc" / "master.cf").write_text(master + INTERNAL_SERVICES.format(dir=self.dir))
        with open(self.dir / "start.log", "wb") as output:
            subprocess.run(["/usr/sbin/postfix", "-c", str(self.dir / "etc"), "check"], stdin=subprocess.DEVNULL,
                           stdout=output, stderr=subprocess.STDOUT, check=True)
            # -e: a master whose test run was killed ends by itself (it drops a parent-death signal as it changes users)
            self.process = subprocess.Popen(
                ["/usr/lib/postfix/sbin/master", "-c", str(self.dir / "etc"), "-s", "-e", "1800"],
                stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True)
        wait_until(self._is_up, lambda: f"Postfix is up:\n{self.log()}")
        return self

    def _is_up(self):
        assert self.process.poll() is None, f"Postfix did not start:\n{self.log()}"
        listening = {local for local, _ in connections_held(self.process.pid)}
        return listening >= set(self.ports.values())

    @property
    def policy(self):
        """The policy service's socket, in libmilter's notation, as the daemon is told it."""
        return f"inet:{self.policy_port}@127.0.0.1"

    def stop(self):
        if self.process is None:
            return
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)

    def log(self):
        text = ""
        for name in ("start.log", "mail.log"):
            if (self.dir / name).exists():
                text += (self.dir / name).read_text(errors="replace")
        return text

    def delivered(self, text):
        """The message to read@test.example that contains the text, once it has arrived: bytes, without envelope."""
        def find():
            messages = [path.read_bytes() for path in (self.dir / "read").glob("[!.]*")]
            return next((message for message in messages if text in message), None)
        return wait_until(find, lambda: f"{text} is delivered:\n{self.log()[-3000:]}", pause=0.02)

    def session_processes(self):
        """The processes that serve, or wait to serve, SMTP clients."""
        return [pid for pid in children_of(self.process.pid) if process_name(pid) == "smtpd"]
