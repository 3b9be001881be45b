"""What tidegate says of itself: --help, the manual page and the completion know the same commands and options."""
import pathlib
import re
import subprocess

import pytest

from sandbox import DEADLINE
from toolside import BINARY, complete, tidegate

SOURCE = pathlib.Path(__file__).parents[2]
PAGE = SOURCE / "src/man/tidegate.1"
COMMON = ["-c", "--socket", "--json", "--help", "--version"]


def commands():
    """{name: what --help says of it}."""
    found = dict(re.findall(r"^  ([a-z]+) +(\S.*)$", tidegate("--help").stdout.partition("\n  -c")[0], re.MULTILINE))
    assert len(found) >= 13
    return found


def options_of(command):
    """The options of its own, as its --help lists them."""
    text = tidegate(command, "--help").stdout
    return sorted(set(re.findall(r"^  (?:-., )?(--?[a-z-]+)", text, re.MULTILINE)) - {*COMMON, "-h", "-V"})


def test_help():
    result = tidegate("--help")
    assert (result.returncode, result.stderr) == (0, "")
    assert tidegate("help").stdout == tidegate("-h").stdout == result.stdout
    texts = [result.stdout]
    for command in commands():
        text = tidegate(command, "--help")
        assert (text.returncode, text.stderr) == (0, "")
        assert text.stdout.startswith(f"usage: tidegate {command}")
        assert tidegate("help", command).stdout == tidegate(command, "-h").stdout == text.stdout
        texts.append(text.stdout)
    assert not [line for text in texts for line in text.splitlines() if len(line) > 80]


def test_version():
    result = tidegate("--version")
    assert result.returncode == 0
    assert re.fullmatch(r"tidegate [0-9.]+\n", result.stdout)
    assert tidegate("-V").stdout == tidegate("status", "--version").stdout == result.stdout


@pytest.mark.parametrize("arguments, said", [
    ([], "usage: tidegate"),
    (["nonsense"], "nonsense: no such command; tidegate help lists them"),
    (["statsu"], "statsu: no such command; is status meant?"),
    (["help", "nonsense"], "nonsense: no such command"),
    (["-x"], "-x: no such option"),
    (["--nonsense"], "--nonsense: no such option"),
    (["status", "--nonsense"], "--nonsense: no such option"),
    (["status", "too", "many"], "usage: tidegate status;"),
    (["status", "--limit", "x"], "--limit: status has no such option"),
    (["--limit", "x", "bans"], "--limit: that option stands behind a command"),
    (["-c"], "-c: a value must follow"),
    (["bans", "--limit"], "--limit: a value must follow"),
    (["--socket", "", "status"], "--socket: a value must follow"),
    (["status", "--socket="], "--socket: a value must follow"),
    (["-c", "", "check"], "-c: a value must follow"),
    (["explain", "192.0.2.1", "--listen", ""], "--listen: a value must follow"),
    (["bans", "--count="], "--count: a value must follow"),
    (["bans", "-n", "0"], "-n: "),
    (["bans", "-n", "ten"], "-n: "),
    (["ban"], "usage: tidegate ban TARGET [for DURATION]"),
    (["ban", "192.0.2.1", "2h"], "usage: tidegate ban TARGET [for DURATION]"),
    (["ban", "192.0.2.1", "during", "2h"], "usage: tidegate ban TARGET [for DURATION]"),
    (["ban", "192.0.2.1", "for", "ever"], "for: "),
    (["ban", "192.0.2.1", "for", "0"], "for: "),
    (["ban", "192.0.2.1", "for", "2y"], "for: "),
    (["unban"], "unban: say whose bans to lift"),
    (["unban", "--since", "10m"], "unban: say whose bans to lift"),
    (["unban", "192.0.2.1", "--since", "-5"], "--since: "),
    (["explain"], "usage: tidegate explain WHO"),
    (["explain", "192.0.2.1", "192.0.2.2"], "one client's address and one name at most"),
    (["explain", "a.example", "b.example"], "one client's address and one name at most"),
    (["eval"], "usage: tidegate eval CLIENT"),
    (["--json", "top"], "top is for people"),
    (["nonsense\x1b[2J"], "nonsense\\x1b[2J: no such command"),
], ids=" ".join)
def test_bad_usage(arguments, said):
    """One line that says what is wrong, status 64; no daemon is asked for it."""
    result = tidegate("--socket", "/nonexistent/socket", *arguments) if arguments else tidegate()
    assert (result.returncode, result.stdout) == (64, "")
    assert said in result.stderr
    assert not arguments or (len(result.stderr.splitlines()) == 1 and result.stderr.startswith("tidegate: "))


def test_manual_page_names_every_command_and_option():
    rendered = subprocess.run(["mandoc", "-Tlint", "-W", "warning", PAGE], capture_output=True, text=True,
                              timeout=DEADLINE, check=False)
    assert (rendered.returncode, rendered.stdout) == (0, "")
    page = PAGE.read_text().partition(".Sh COMMANDS")[2].partition(".Sh ENVIRONMENT")[0]
    entries = dict(re.findall(r"^\.It Ic ([a-z]+)(.*?)(?=^\.It Ic|\Z)", page, re.MULTILINE | re.DOTALL))
    assert list(entries) == list(commands())
    for command, text in entries.items():
        said = {f"-{name}" for name in re.findall(r"Fl (-?[a-z-]+)", text.partition("\n")[0])}
        assert said == set(options_of(command)) - {"--count"} | ({"-n"} if "--count" in options_of(command) else set())
    for option in COMMON:
        assert re.search(rf"^\.It Fl .*(?<![a-z]){option[1:]}\b", PAGE.read_text(), re.MULTILINE), option
    for status in (0, 1, 64, 69, 70, 74, 75):
        assert f"\n.It {status}\n" in PAGE.read_text()


def test_completion_of_commands_and_options(tmp_path):
    known = commands()
    assert complete("") == sorted([*known, *COMMON])
    assert complete("un") == ["unban"]
    assert complete("--json", "-c", "status", "re") == ["reload"]
    for command in known:
        offered = complete(command, "-")
        wanted = {*COMMON, *options_of(command)} | ({"-n"} if "--count" in options_of(command) else set())
        assert offered == sorted(wanted), command
    assert complete("clients", "--sort", "m") == ["messages", "monitored"]
    assert complete("domains", "--sort", "c") == []
    assert complete("ban", "192.0.2.1", "f") == complete("ban", "--json", "192.0.2.1", "f") == ["for"]
    assert complete("ban", "f") == complete("ban", "192.0.2.1", "for", "2h", "f") == []
    assert complete("help", "s") == ["status"]
    # bash takes an option apart at the sign in it.
    assert complete("clients", "--sort", "=", "m") == ["messages", "monitored"]
    assert complete("bans", "--json", "--limit", "=", binary=tmp_path / "missing") == ["ban"]
    assert complete("--socket", "=", "/nonexistent/socket", "un") == ["unban"]
    (tmp_path / "some.conf").touch()
    assert complete("--socket", "=", tmp_path / "so") == [str(tmp_path / "some.conf")]
    assert complete("check", tmp_path / "so") == complete("-c", tmp_path / "so") == [str(tmp_path / "some.conf")]
    assert complete("--socket", "/nonexistent/socket", "bans", "--limit", "", binary=BINARY) == ["ban"]
