"""What the documents name exists: files, functions, flags, links."""

import ast
import re
import shlex

import pytest
from tests.shape.sources import PACKAGE, ROOT, sources

from lemon_trader.cli.app import COMMANDS, find
from lemon_trader.cli.flags import negative, read_flags, trading_groups
from lemon_trader.config.sandbox import SANDBOX_PARAMETERS

DOCS = sorted(path.relative_to(ROOT).as_posix() for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
FLAGS = (
    {p.flag for _, parameters in trading_groups(faces=True) for p in parameters}
    | {p.flag for p in SANDBOX_PARAMETERS}
    | {"--price", "--account"}
)
FLAGS |= {p.flag for command in COMMANDS.values() for _, parameters in command.groups() for p in parameters}
FLAGS |= {
    negative(p) for c in COMMANDS.values() for _, parameters in c.groups() for p in parameters if p.kind == "bool" and p.default is not None
}


def text(name):
    return (ROOT / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", DOCS)
def test_links_lead_somewhere(name):
    links = re.findall(r"\]\(([^)#:]+)\)", text(name))
    assert not [link for link in links if not ((ROOT / name).parent / link).exists()]


@pytest.mark.parametrize("name", [name for name in DOCS if "decisions" not in name])
def test_flags_that_are_named_exist(name):
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", text(name)))
    assert (
        not named - FLAGS - {"--help", "--version", "--one", "--only", "--cycles", "--write"}
    )  # the last are of simulation and benchmarks


def test_every_new_home_in_the_seed_table_exists():
    homes = [cells[2] for line in text("docs/seed.md").splitlines() if line.startswith("| `") and len(cells := line.split("|")) > 3]
    paths = {path for home in homes for path in re.findall(r"`([a-z_/]+\.py)`", home)}
    assert len(paths) > 20
    missing = sorted(path for path in paths if not (PACKAGE / path).exists() and not (ROOT / path).exists())
    assert not missing


def test_every_function_named_beside_its_file_stands_in_it():
    defined = {
        source.name: {n.name for n in ast.walk(source.tree) if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))}
        for source in sources()
    }
    named = re.findall(r"`([A-Za-z_]+)` in `([a-z_/]+)\.py`", text("docs/seed.md"))
    assert len(named) > 12
    assert not [(name, place) for name, place in named if name not in defined.get(place, set())]


@pytest.mark.parametrize("name", ["README.md", "README.zh-TW.md"])
def test_command_lines_of_the_readmes_can_be_read(name):
    lines = [line.split("#")[0].strip() for line in text(name).splitlines()]
    seeds = [shlex.split(line)[2:] for line in lines if line.startswith("python run.py ")]
    assert len(seeds) >= 2
    for arguments in seeds:
        if arguments[0] in COMMANDS:
            command = COMMANDS[arguments[0]]
            read_flags(arguments[1:], command.groups(), words=bool(command.operands))
        else:
            read_flags(arguments, trading_groups(faces=True), words=False)
    for line in lines:
        if line.startswith("lemon-trader ") and "|" not in line:
            command, rest = find(shlex.split(line)[1:])
            read_flags(rest, command.groups(), words=bool(command.operands))


def test_both_readmes_say_the_same_commands():
    def commands(name):
        blocks = re.findall(r"```bash\n(.*?)```", text(name), re.DOTALL)
        return [line.split("#")[0].strip() for block in blocks for line in block.splitlines()]

    assert [c for c in commands("README.md") if not c.startswith("git")] == [
        c for c in commands("README.zh-TW.md") if not c.startswith("git")
    ]
