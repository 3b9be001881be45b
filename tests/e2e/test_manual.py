"""The manual pages, the sample configurations and the program say the same. tests/unit/test_manual.c holds the page
and the tables of the parser together; here page, samples and what the program prints are."""
import pathlib
import re
import subprocess

import pytest

from daemon import BINARY, run

SOURCE = pathlib.Path(__file__).resolve().parents[2]
CONF = SOURCE / "conf"
SAMPLES = sorted(path.name for path in CONF.glob("*.conf"))
SOCKETS = {
    "milter": ['socket = "inet:7357@127.0.0.1"', 'socket = "unix:/run/x/milter"'],
    "policy": ['socket = "inet:7358@127.0.0.1"', 'socket = "unix:/run/x/policy"'],
    "http": [""],
    "control": [""],
}


def page_path(name):
    """The page as it was built: beside the program, or, of an archive, in the source."""
    built = BINARY.parent / "src" / "man" / name
    return built if built.exists() else SOURCE / "src" / "man" / name


PAGES = ["tidegated.8", "tidegate.conf.5"] + [path.name for path in (SOURCE / "src" / "man").glob("tidegate.1")]


class Option:
    """An entry of tidegate.conf(5)'s reference."""

    def __init__(self, name, text):
        self.name = name
        found = re.search(r"\n\.br\n(?:No default|Default (.*?))(?:; .*)?\.\n\.br\nIn (.*?)(; needs a restart)?\.\n", text)
        assert found, f"{name}: {text}"
        self.initial = found.group(1) and found.group(1).replace("\\(dq", "")
        self.places = set(re.split(", | and ", found.group(2)))


@pytest.fixture(scope="module")
def options():
    text = page_path("tidegate.conf.5").read_text()
    return [Option(name, body) for name, body in
            re.findall(r"^\.It Ic (\w+) No = Ar .*((?:\n(?!\.It|\.El).*)+\n)", text, re.M)]


def the_option(options, name, place):
    """What the page says of an option of that section; just one may be called so there."""
    found = [option for option in options if option.name == name and place in option.places]
    assert len(found) == 1, f"tidegate.conf(5) has {len(found)} entries for {name} in {place}"
    return found[0]


# ---- the program ----

def dump(path, text):
    """What -d prints of a file of that text: {section: {option: value}}, the top level as "the top level"."""
    path.write_text(text)
    result = run("-d", "-c", path)
    assert result.returncode == 0, result.stderr
    found, stack = {}, ["the top level"]
    for line in map(str.strip, result.stdout.splitlines()):
        if line.endswith(" {"):
            stack.append(line.split()[0])
        elif line == "}":
            stack.pop()
        else:
            name, value = line.split(" = ", 1)
            found.setdefault(stack[-1], {})[name] = value.strip('"')
    return found


def test_documented_defaults_are_those_of_an_empty_file(options, tmp_path):
    said = dump(tmp_path / "x.conf", "")["the top level"]
    documented = {option.name: option.initial for option in options if "the top level" in option.places}
    assert {name: initial for name, initial in documented.items() if initial is not None} == said


@pytest.mark.parametrize("section", SOCKETS)
def test_documented_defaults_are_those_of_a_sockets_section(options, tmp_path, section):
    seen = set()
    for text in SOCKETS[section]:
        for name, value in dump(tmp_path / "x.conf", f"{section} {{ {text} }}")[section].items():
            seen.add(name)
            assert f'{name} = "{value}"' == text or the_option(options, name, section).initial == value
    assert seen == {option.name for option in options if section in option.places
                    and (option.initial is not None or option.name == "socket")}


def test_every_option_of_the_command_line_is_in_the_page():
    said = set(re.findall(r"^  -(\w)", run("-h").stdout, re.M))
    assert said
    assert set(re.findall(r"^\.It Fl (\w)", page_path("tidegated.8").read_text(), re.M)) == said


# ---- the samples ----

def statements(text):
    """All (section, option, value, whether it is a comment's default) of a configuration, those of the examples in its
    comments too. A line of a comment is an example when it begins as a statement does; at the top level it is a default,
    unless more than one blank stands in front."""
    stack = ["the top level"]
    for line in text.splitlines():
        commented = line.lstrip().startswith("#")
        default = bool(re.match(r"# \S", line))
        line = re.sub(r"^[\s#]*", "", line)
        if not re.match(r'(\w+ = |\w+( \w+| "[^"]*")? \{|\})', line):
            assert commented or not line, f"not understood: {line}"
            continue
        line = re.sub(r"\s#.*", "", line)
        tokens = re.findall(r'"[^"]*"|[{}=]|[^\s{}="]+', line)
        words = []
        at = 0
        while at < len(tokens):
            token = tokens[at]
            if token == "{":
                stack.append(words[0])
                words = []
            elif token == "}":
                stack.pop()
            elif token == "=":
                value = tokens[at + 1]
                if value == "{":
                    at = tokens.index("}", at) - 1
                yield stack[-1], words.pop(), value.strip('"'), default
                at += 1
            else:
                words.append(token)
            at += 1
        assert not words, line
    assert stack == ["the top level"]


def sections_of_page():
    return set(re.findall(r"^\.It Ic (\w+) (?:Ar .* )?No \\\(lC", page_path("tidegate.conf.5").read_text(), re.M))


def test_the_sample_has_every_option_with_its_default_and_no_other(options):
    text = (CONF / "tidegate.conf").read_text()
    said = list(statements(text))
    for section, name, _, _ in said:
        the_option(options, name, section)
    for option in options:
        values = [value for section, name, value, _ in said if name == option.name and section in option.places]
        if option.initial is None and re.search(rf"[ #]{option.name} = ", text):
            continue  # its example may stand in a sentence
        assert values, f"conf/tidegate.conf does not name {option.name} of {option.places}"
        if option.initial is not None and not option.places & {"limit", "key", "deny", "exempt"}:
            assert option.initial in values, f"conf/tidegate.conf says {values} of {option.name} of {option.places}"
    for section in sections_of_page():
        assert re.search(rf"^[# ]*{section} [^=]*{{", text, re.M), f"conf/tidegate.conf has no {section}"


def test_what_stands_in_a_comment_is_the_default(options):
    """So the sample says of its top level."""
    for section, name, value, default in statements((CONF / "tidegate.conf").read_text()):
        if default and section == "the top level":
            assert the_option(options, name, section).initial == value


@pytest.mark.parametrize("sample", SAMPLES)
def test_samples_load_without_a_warning(sample):
    result = run("-t", "-c", CONF / sample)
    assert result.returncode == 0, result.stderr
    warnings = result.stderr.splitlines()
    if sample == "momentum.conf":  # as Momentum's manual has it; its comment says the same
        assert len(warnings) == 1 and '"::/0"' in warnings[0]
        assert 'Peer "::/0" beside it' in (CONF / sample).read_text()
    else:
        assert not warnings


@pytest.mark.parametrize("sample", [sample for sample in SAMPLES if sample != "momentum.conf"])
def test_samples_begin_as_a_dry_run(sample, tmp_path):
    assert dump(tmp_path / "x.conf", (CONF / sample).read_text())["the top level"]["mode"] == "monitor"


def test_the_page_names_the_samples():
    named = set(re.findall(r"[\w-]+\.conf\b", page_path("tidegate.conf.5").read_text().split("\n.Sh FILES")[1]))
    assert named == set(SAMPLES) - {"momentum.conf"}


# ---- what is installed ----

def test_links_lead_somewhere_where_they_are_installed(tmp_path):
    subprocess.run(["make", "-s", "-C", str(BINARY.parent), "install-dist_docDATA", "install-nobase_dist_docDATA",
                    f"DESTDIR={tmp_path}"], check=True, capture_output=True)
    folder = min(tmp_path.rglob("README.md"), key=lambda path: len(path.parts)).parent
    links = [(path, link) for path in folder.rglob("*.md") for link in re.findall(r"\]\(([^)]+)\)", path.read_text())
             if not re.match(r"https?:|#", link)]
    assert {path.relative_to(folder).parts[0] for path, _ in links} >= {"README.md", "conf", "contrib"}
    assert not [f"{path}: {link}" for path, link in links if not (path.parent / link.split("#")[0]).is_file()]
    assert {path.name for path in (folder / "conf").glob("*.conf")} == set(SAMPLES)


# ---- the pages ----

@pytest.mark.parametrize("name", PAGES)
def test_pages_are_clean_and_fit_a_terminal(name):
    lint = subprocess.run(["mandoc", "-Tlint", "-Wwarning", str(page_path(name))], capture_output=True, text=True,
                          check=False)
    assert (lint.returncode, lint.stdout) == (0, "")
    shown = subprocess.run(["mandoc", "-Tascii", str(page_path(name))], capture_output=True, text=True, check=True)
    assert not [line for line in re.sub(".\b", "", shown.stdout).splitlines() if len(line) > 80]


def test_the_example_of_the_readme_loads(tmp_path):
    example = (SOURCE / "README.md").read_text().split("\n## Configure\n\n")[1].split("\n\n")[0]
    (tmp_path / "x.conf").write_text(example)
    result = run("-t", "-c", tmp_path / "x.conf")
    assert (result.returncode, result.stderr) == (0, "")


def test_the_example_of_the_page_loads(tmp_path):
    text = page_path("tidegate.conf.5").read_text().split("\n.Sh EXAMPLES")[1]
    example = re.search(r"\.Bd -literal.*?\n(.*?)\.Ed", text, re.S).group(1)
    (tmp_path / "x.conf").write_text(example)
    result = run("-t", "-c", tmp_path / "x.conf")
    assert (result.returncode, result.stderr) == (0, "")
