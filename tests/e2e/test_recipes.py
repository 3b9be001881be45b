"""contrib/postfix and contrib/sendmail, line for line on the real mail servers: the limits hold with the daemon, mail
flows when it has been killed, and the limits are back when it is."""
import pathlib
import re
import subprocess
import textwrap

import pytest

from daemon import Daemon
from policyside import turned_away
from postfix import Postfix
from sendmail import Sendmail
from smtp import enter, enter_soon, refused

CONTRIB = pathlib.Path(__file__).resolve().parents[2] / "contrib"
MILTER = 'milter { socket = "inet:7357@127.0.0.1" }'


def recipe(file, title):
    """The block of the file that begins with this comment, up to "end", without its indentation."""
    text = (CONTRIB / file).read_text()
    found = re.findall(rf"^    (?:#|dnl) {re.escape(title)}\n((?:    .*\n)+?)    (?:#|dnl) end\n", text, re.M)
    assert len(found) == 1, f"{file} has {len(found)} blocks {title}"
    return textwrap.dedent(found[0])


@pytest.fixture
def mta_of(sandbox, request):
    """mta_of(mta) starts the mail server of one recipe, which ends with the test. Its daemon, at the ports that the
    recipe names, is alone in the tests' own network."""
    started = []

    def start(mta):
        started.append(mta)
        request.node.tidegate_mtas = started
        return mta.start()

    yield start
    for mta in started:
        mta.stop()


def accepts_mail(client):
    assert client.deliver().startswith(b"250 ")


def limits_then_flows(mta, gate, directory, config, milter, is_refused):
    """One session is let in, the next one is not; the daemon is killed: both are; it is there again: as before."""
    daemon = gate(config, milter)
    held = enter(mta.port)
    is_refused(mta.port)
    daemon.expects_no_sessions = False
    daemon.kill()
    accepts_mail(held)
    others = [enter(mta.port) for _ in range(3)]
    for client in others:
        accepts_mail(client)
        client.quit()
    held.quit()
    again = Daemon(directory, None, config, milter)
    try:
        held = enter_soon(mta.port)
        is_refused(mta.port)
        accepts_mail(held)
        held.quit()
    finally:
        again.kill()


ONE = "service_sessions = 1\n"


def test_postfix_with_the_milter_alone(sandbox, mta_of, gate, directory):
    lines = recipe("postfix/postfix.md", "main.cf: milter")
    assert "milter_default_action = accept\n" in lines
    postfix = mta_of(Postfix(sandbox.dir, 0, "recipe-milter", {"main": ("-", {})}, lines))
    limits_then_flows(postfix, gate, directory, ONE, MILTER, refused)


def test_postfix_with_both_doors(sandbox, mta_of, gate, directory):
    lines = recipe("postfix/postfix.md", "main.cf: both doors")
    assert "default_action=DUNNO" in lines
    postfix = mta_of(Postfix(sandbox.dir, 0, "recipe-doors", {"main": ("-", {})}, lines))
    limits_then_flows(postfix, gate, directory, ONE + 'policy { socket = "inet:7358@127.0.0.1" }\n', MILTER, turned_away)


def test_postfix_with_the_policy_service_alone(sandbox, mta_of, gate, directory):
    lines = recipe("postfix/postfix.md", "main.cf: policy service alone") + "smtpd_milters =\n"
    postfix = mta_of(Postfix(sandbox.dir, 0, "recipe-policy", {"main": ("-", {})}, lines))
    limits_then_flows(postfix, gate, directory,
                      ONE + 'policy { socket = "inet:7358@127.0.0.1"  sessions = kernel }\n', MILTER, turned_away)


@pytest.mark.parametrize("chroot", [False, True])
def test_postfix_with_a_unix_socket(sandbox, mta_of, gate, directory, chroot):
    lines = recipe("postfix/postfix.md", "main.cf: unix socket")
    postfix = mta_of(Postfix(sandbox.dir, 0, f"recipe-unix-{chroot}", {"main": ("-", {})}, lines, chroot))
    folder = postfix.dir / "queue" / "tidegate"
    subprocess.run(["install", "-d", "-g", "postfix", "-m", "750", str(folder)], check=True)
    limits_then_flows(postfix, gate, directory, ONE,
                      f'milter {{ socket = "unix:{folder}/milter"  group = "postfix"  mode = "0660" }}', refused)


def test_postfix_says_what_the_recipe_says_of_it(sandbox, mta_of):
    """The commands by which an administrator makes sure."""
    postfix = mta_of(Postfix(sandbox.dir, 0, "recipe-sure", {"main": ("-", {"milter_default_action": "tempfail"})},
                             recipe("postfix/postfix.md", "main.cf: milter")))
    etc = str(postfix.dir / "etc")
    said = subprocess.run(["postconf", "-c", etc, "smtpd_milters", "milter_default_action", "milter_command_timeout",
                           "default_process_limit"], capture_output=True, text=True, check=True).stdout
    assert said == ("smtpd_milters = inet:127.0.0.1:7357\nmilter_default_action = accept\n"
                    "milter_command_timeout = 30s\ndefault_process_limit = 100\n")
    services = subprocess.run(["postconf", "-c", etc, "-P"], capture_output=True, text=True, check=True).stdout
    assert "milter_default_action = tempfail" in services


def test_sendmail(mta_of, gate, directory):
    lines = recipe("sendmail/sendmail.md", "sendmail.mc: milter")
    assert "F=" not in lines
    sendmail = mta_of(Sendmail(0, lines))
    filters = [line for line in (sendmail.dir / "sendmail.cf").read_text().splitlines()
               if line.startswith(("O InputMailFilters", "Xtidegate"))]
    assert len(filters) == 2 and "F=" not in filters[1]
    limits_then_flows(sendmail, gate, directory, ONE, f'milter {{ socket = "unix:{sendmail.milter_socket}" }}', refused)


def test_the_manual_and_the_readme_have_the_recipes_lines():
    """What they quote is what is tested here."""
    source = CONTRIB.parent
    postfix = recipe("postfix/postfix.md", "main.cf: milter").splitlines()
    for path in ("README.md", "src/man/tidegated.8"):
        text = (source / path).read_text()
        for line in postfix[:4]:
            assert line in text, f"{path} lacks {line}"
        for word in re.findall(r"S=local:[^,]*|T=\S+?(?=')", recipe("sendmail/sendmail.md", "sendmail.mc: milter")):
            assert word in text, f"{path} lacks {word}"
    readme = (source / "README.md").read_text()
    assert recipe("postfix/postfix.md", "main.cf: unix socket").splitlines()[0] + "\n" in readme
    assert re.search(r"milter { socket = .unix:/var/spool.*", (CONTRIB / "postfix/postfix.md").read_text()).group() in readme
