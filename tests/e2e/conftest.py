"""Fixtures of the end-to-end tests. README.md says how to run one and where a failed one's logs are."""
import os
import shutil
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import pytest  # noqa: E402

import daemon as daemon_module  # noqa: E402
import sendmail as sendmail_module  # noqa: E402
import slow_body  # noqa: E402
from daemon import Daemon  # noqa: E402
from postfix import Postfix  # noqa: E402
from sandbox import Sandbox, wait_until  # noqa: E402
from smtp import Client  # noqa: E402


@pytest.fixture(scope="session")
def sandbox():
    assert os.access(daemon_module.BINARY, os.X_OK), f"TIDEGATED names no program: {daemon_module.BINARY}"
    sendmail_module.unpack()  # needs the network that the sandbox does not have
    sandbox = Sandbox().open()
    yield sandbox
    sandbox.close()


@pytest.fixture(scope="session")
def postfix(sandbox):
    instance = Postfix(sandbox.dir, sandbox.milter_port)
    yield instance.start()
    instance.stop()


@pytest.fixture(scope="session")
def sendmail(sandbox):
    instance = sendmail_module.Sendmail(sandbox.milter_port)
    yield instance.start()
    instance.stop()


@pytest.fixture(params=["postfix", "sendmail"])
def mta(request):
    """Each scenario that takes it runs on both MTAs."""
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="session")
def slow_bodies(sandbox, postfix):
    """The transfers of slow_body.py, under way for as long as the other tests run."""
    bodies = slow_body.SlowBodies(sandbox, postfix)
    yield bodies
    bodies.stop()


def pytest_collection_modifyitems(items):
    """What takes a minute comes last, so that hardly anything of it has to be waited for."""
    items.sort(key=lambda item: "slow_bodies" in item.fixturenames)


@pytest.fixture(scope="session", autouse=True)
def begin_slow_bodies(request):
    if any("slow_bodies" in item.fixturenames for item in request.session.items):
        request.getfixturevalue("slow_bodies")


@pytest.fixture
def directory(sandbox, request):
    """An empty directory for one scenario."""
    path = sandbox.dir / "".join(letter if letter.isalnum() else "_" for letter in request.node.name)
    path.mkdir()
    path.chmod(0o755)
    yield path
    if not os.environ.get("TIDEGATE_KEEP"):
        shutil.rmtree(path)


def close_clients():
    for client in Client.opened:
        client.close()
    Client.opened.clear()


@pytest.fixture
def gate(sandbox, directory, request):
    """gate(config) starts the daemon that both MTAs ask. When the scenario is over, every counter must come back to
    zero in the same process, and the daemon must end well."""
    started = []

    def start(config, milter=None):
        daemon = Daemon(directory, sandbox.milter_port, config, milter)
        started.append(daemon)
        request.node.tidegate_daemons = started
        return daemon

    yield start
    conversations = [repr(client) for client in Client.opened]
    request.node.tidegate_conversations = conversations
    close_clients()
    try:
        for daemon in started:
            if daemon.is_running():
                wait_until(daemon.is_empty, lambda: "every counter is 0:\n" + "\n".join(daemon.raw[-50:]), pause=0.02)
                daemon.stop()
            else:
                assert daemon.process.returncode is not None and not daemon.expects_no_sessions, \
                    "tidegated died:\n" + "\n".join(daemon.raw)
                daemon.check_sanitizers()
    finally:
        for daemon in started:
            daemon.kill()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """A failed test's report shows the daemon's configuration and log, the MTAs' logs and the conversations."""
    outcome = yield
    report = outcome.get_result()
    if not report.failed:
        return
    for daemon in getattr(item, "tidegate_daemons", []):
        if daemon.path.exists():
            report.sections.append(("tidegated.conf", daemon.path.read_text()))
        report.sections.append(("tidegated's log", "\n".join(daemon.raw[-200:])))
    for name in ("postfix", "sendmail"):
        if name in item.funcargs or getattr(item.funcargs.get("mta"), "kind", "") == name:
            instance = item.funcargs.get(name) or item.funcargs["mta"]
            report.sections.append((f"{name}'s log (end)", instance.log()[-10000:]))
    conversations = getattr(item, "tidegate_conversations", None) or [repr(client) for client in Client.opened]
    report.sections.append(("conversations (last 40)", "\n".join(conversations[-40:])))
