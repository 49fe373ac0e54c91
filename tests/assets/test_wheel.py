"""The package as pip installs its wheel, in an empty folder: docs/in-your-project.md, run.

The page from its first line to its last runs in `make test-thorough`: it trains and delivers, by
programs that import all of it. What a wheel may lack are files, and those are counted quickly.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import dagster as dg
import duckdb
import matplotlib
import pytest

from tests.assets.places import program

CHECKOUT = Path(__file__).parents[2]
PAGE = CHECKOUT / "docs" / "in-your-project.md"
BLOCK = re.compile(r"^```(console|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
#: The programs as pip has installed them, each with the arguments of its line.
ONE_AFTER_ANOTHER = """
import os, runpy, shlex, shutil, sys
for line in sys.argv[1:]:
    sys.argv = [os.path.expanduser(word) for word in shlex.split(line)]
    try:
        runpy.run_path(shutil.which(sys.argv[0]), run_name="__main__")
    except SystemExit as ended:
        if ended.code:
            raise
"""


def clicks() -> str:
    """A log of 100 rows: 20 users, 10 items, a click an hour."""
    rows = [
        f"{user},{(user * 3 + nth * 7) % 10},{(user * 3 + nth * 7) % 3},{3600 * (nth * 20 + user)}"
        for nth in range(5)
        for user in range(20)
    ]
    return "\n".join(["user_id,item_id,cate_id,time", *rows, ""])


def run_quietly(module: str, *arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


class Machine:
    """A machine with the wheel, and no checkout."""

    def __init__(self, folder: Path, packages: Path) -> None:
        self.home = folder / "somebody"
        self.working_directory = self.home
        self.packages = packages
        self.home.mkdir()
        programs = self.packages / "bin"
        self.variables = {
            **{name: value for name, value in os.environ.items() if not name.startswith("DIN_")},
            "HOME": str(self.home),
            "PATH": f"{programs}:{Path(program('dg')).parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(self.packages),
            "OMP_NUM_THREADS": "1",
            # Looking through the machine's fonts takes seconds, and was done here before.
            "MPLCONFIGDIR": matplotlib.get_configdir(),
        }
        self.variables.pop("DAGSTER_HOME", None)

    def does(self, command: str) -> str:
        """Run a command of a shell, which has to end well; ``cd`` lasts."""
        if command.startswith("cd "):
            self.working_directory /= command.removeprefix("cd ")
            return ""
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=self.working_directory,
            env=self.variables,
            capture_output=True,
            text=True,
            timeout=1800,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-3000:]}"
        return done.stdout + done.stderr

    def does_together(self, *commands: str) -> str:
        """Run programs one after the other in one process, which imports Dagster once."""
        lines = " ".join(map(shlex.quote, commands))
        return self.does(f"{sys.executable} -c {shlex.quote(ONE_AFTER_ANOTHER)} {lines}")


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What pip installs of the wheel."""
    pytest.importorskip("hatchling", reason="the [dev] extra has it: pip install -e '.[dev]'")
    folder = tmp_path_factory.mktemp("dist")
    run_quietly("hatchling", "build", "-t", "wheel", "-d", str(folder))
    [wheel] = folder.glob("*.whl")
    # What it depends on is here already, and no registry is asked for it.
    run_quietly(
        *("pip", "install", "--no-deps", "--no-index", "--disable-pip-version-check"),
        *("--target", str(folder / "packages"), str(wheel)),
    )
    return folder / "packages"


@pytest.fixture
def machine(tmp_path: Path, packages: Path) -> Machine:
    made = Machine(tmp_path, packages)
    (made.home / "clicks.csv").write_text(clicks())
    return made


def users_of_the_asset(definitions: Path) -> list[int]:
    """Make the asset of the page in this process, and return what it tells."""
    found = importlib.util.spec_from_file_location("definitions_of_the_page", definitions)
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize([module.busiest_users], instance=instance)
    [made] = result.asset_materializations_for_node("busiest_users")
    return made.metadata["users"].value


def packaged(folder: Path) -> set[str]:
    """Files of a package, without what Python compiles."""
    return {
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def blocks(kind: str) -> list[str]:
    """The page's blocks of a kind, ``console`` or ``python``."""
    text = PAGE.read_text(encoding="utf-8")
    return [block for found, block in BLOCK.findall(text) if found == kind]


def assert_packages_are_those_of_the_wheel(machine: Machine) -> None:
    where = machine.does(
        f"{sys.executable} -c 'import din_assets, din_core.store.sql_files as s; "
        "print(din_assets.__file__, s.SQL_ROOT)'"
    )
    assert where.split() == [
        str(machine.packages / "din_assets" / "__init__.py"),
        str(machine.packages / "din_core" / "sql"),
    ]


def test_wheel_has_every_file_of_the_checkout(machine):
    for package in ("din_assets", "din_core"):
        expected = packaged(CHECKOUT / package)
        if package == "din_core":
            expected |= {f"sql/{name}" for name in packaged(CHECKOUT / "sql")}
        assert packaged(machine.packages / package) == expected
    assert_packages_are_those_of_the_wheel(machine)


def test_project_of_a_wheel_loads_with_the_definitions_of_the_page(machine):
    beside, alone = blocks("python")
    begin = ["$ din init shop", "$ cd shop", "$ din run --csv ~/clicks.csv"]
    assert blocks("console")[0].splitlines()[:3] == begin
    machine.does("din init shop")
    machine.does("cd shop")
    data, definitions = (machine.home / "shop" / name for name in ("data", "shop/definitions.py"))
    definitions.write_text(alone, encoding="utf-8")
    said = machine.does_together("din run --csv ~/clicks.csv --dry-run", "dg list defs")
    assert f"project: {machine.home / 'shop'}" in said
    assert "clicks/sam" in said
    assert "orders/sam" in said
    data.mkdir(exist_ok=True)
    with duckdb.connect(str(data / "warehouse.duckdb")) as con:
        con.execute(f"create table interactions as from '{machine.home / 'clicks.csv'}'")
    definitions.write_text(beside, encoding="utf-8")
    assert users_of_the_asset(definitions) == [*range(10)]  # each of the 20 has five events


# The tests before this one show that the wheel is whole and loads, beside a team's asset too; the
# same runs from the checkout are those of test_story.py, a second one that makes nothing is that of
# test_refresh.py, and one below the project that of test_project.py.
@pytest.mark.thorough
@pytest.mark.timeout(3600)
def test_the_page_holds_from_a_wheel_in_an_empty_folder(machine):
    """One test, since each block goes on from the last one."""
    assert_packages_are_those_of_the_wheel(machine)
    definitions = machine.home / "shop" / "shop" / "definitions.py"
    said: list[tuple[str, str]] = []
    is_ours_alone = True
    for kind, text in BLOCK.findall(PAGE.read_text(encoding="utf-8")):
        if kind == "python":
            definitions.write_text(text, encoding="utf-8")
            is_ours_alone = False
            if "busiest_users" in text:  # each of the 20 users has five events
                assert users_of_the_asset(definitions) == [*range(10)]
            continue
        for line in text.splitlines():
            command = line.removeprefix("$ ")
            # Where a user may be as well: below the project.
            beside_others = command == "din run" and not is_ours_alone
            place = "mkdir notebooks; cd notebooks; " if beside_others else ""
            said.append((command, machine.does(place + command)))
    commands = [command for command, _ in said]
    first, *again = (out for command, out in said if command.startswith("din run"))
    assert re.search(r"(\d+) steps: \1 made, 0 up to date", first)
    assert len(again) == 2
    # The team's definitions beside ours change nothing of what is made, nor does the folder.
    for each in (first, *again):
        assert f"project: {machine.home / 'shop'}" in each
    for each in again:
        assert re.search(r"\d+ steps: 0 made", each)
    assert (machine.home / "shop" / "data" / "warehouse.duckdb").is_file()
    assert not (machine.home / "data").exists()
    listed = dict(said)["dg list defs"]
    assert "clicks/sam" in listed
    assert "orders/sam" in listed
    assert commands[0] == "din init shop"
