"""A code version changes when behaviour can, and not when a word does: one edit of each kind."""

import ast
import json
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

import din_core
from din_core import code_versions
from din_core.code_versions import libraries
from tests.assets.test_definitions import PUBLISHED_NAMES

# What a recipe adds beside them is for its own tests.
KNOWN = PUBLISHED_NAMES
ROOT = Path(din_core.__file__).parents[1]
# Each line is a library whose version is another, or is empty. What answers is a fork of this
# process, which has imported our code as it was and read its files: what it finds edited it reads
# anew, as a process that runs for long does. What they keep on disk forks share, as runs on one
# machine do, and a fork looks once for each file and reads each template once.
ALL_VERSIONS = """
import functools, json, os, pathlib, sys
from din_core.store import sql_files

kept = pathlib.Path(sys.argv[1])
sql_files.private_folder = lambda: kept

import dagster as dg
from din_assets.assets.catalogue import ASSETS
from din_assets.making import versions
from din_core import code_versions
from din_core.code_versions import libraries, python_code

told = {key.to_user_string(): version for asset in ASSETS
    if isinstance(asset, dg.AssetsDefinition) and asset.is_materializable
    for key, version in asset.code_versions_by_key.items()}

def answer(library):
    if library:
        known = libraries._version
        libraries._version = lambda name: "0" if name == library else known(name)
    versions.stamps = functools.cache(versions.stamps)
    code_versions.template_tokens = functools.cache(code_versions.template_tokens)
    found, where = python_code._Walk._found, {}
    def find(walk, name):
        if name not in where:
            where[name] = found(walk, name)
        return where[name]
    python_code._Walk._found = find
    whole = {asset: versions.with_model(asset, None) for asset in told}
    of_one = {f"{asset} of {model}": versions.with_model(asset, model)
        for asset in told for model in ("din", "pnn")}
    return {**whole, **of_one}

print(json.dumps(told), flush=True)
for line in sys.stdin:
    if os.fork() == 0:
        print(json.dumps(answer(line.strip())), flush=True)
        os._exit(0)
    if os.wait()[1]:
        print("null", flush=True)
"""


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    """A copy of the code, to edit."""
    copy = tmp_path_factory.mktemp("original") / "house"
    for folder in ("din_core", "din_assets", "sql"):  # with what is compiled of them already
        shutil.copytree(ROOT / folder, copy / folder)
    shutil.copy(ROOT / "pyproject.toml", copy)
    return copy


@pytest.fixture(scope="module")
def process(house):
    """What answers, and the versions that Dagster was told when it started."""
    log = house.with_name("log")
    kept = house.with_name("kept")
    kept.mkdir()
    with (
        log.open("w") as errors,
        subprocess.Popen(
            [sys.executable, "-c", ALL_VERSIONS, str(kept)],
            cwd=house, env={"PYTHONPATH": str(house), "PATH": "/usr/bin:/bin"},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True,
        ) as process,
    ):  # fmt: skip
        told = json.loads(process.stdout.readline())

        def ask(library=""):
            print(library, file=process.stdin, flush=True)
            answer = json.loads(process.stdout.readline())
            assert answer is not None, log.read_text()
            return answer

        yield ask, told


@pytest.fixture(scope="module")
def versions_of(process):
    """The code versions of the copy as it is, by asset; with another version of a library."""
    return process[0]


@pytest.fixture(scope="module")
def before(versions_of, process):
    found = versions_of()
    told = process[1]
    assert told == {asset: found[asset] for asset in told}  # what Dagster is told is compared
    return found


@pytest.fixture
def changed_by(house, versions_of, before):
    """The assets whose version other texts change."""

    def edit(*edits):
        paths = {house / file for file, _, _ in edits}
        texts = {path: path.read_text() for path in paths}
        for file, was, becomes in edits:
            text = (house / file).read_text()
            assert was in text
            (house / file).write_text(text.replace(was, becomes, 1))
        try:
            after = versions_of()
        finally:
            for path, text in texts.items():
                path.write_text(text)
        return {asset for asset in before if before[asset] != after[asset]}

    return edit


WORDS = {
    "SQL file": ("sql/sequences/negatives.uniform.sql", "\nwith\n", "\n-- Another word.\n\nwith\n"),
    "SQL macro": ("sql/macros/second_draw.jinja", "{#\n", "{#\nAnother word.\n"),
    "check": ("sql/checks/users_dense.sql", "embedding", "another"),
    "advice of a check": ("sql/checks/items_dense.sql", "Nothing is wrong", "No fault"),
    "Python of the library": ("din_core/training/loop.py", '"""', '"""Another word. '),
    "Python of an asset": ("din_assets/assets/evaluation.py", '"""Score', '"""Now score'),
    "C++": ("din_core/network/kernels/forward.hpp", "\n", "\n\n// Another.\n/* and\n more */\n"),
    "description": ("din_assets/assets/training.py", "The Deep Interest Network", "A Deep Network"),
    "comment of the schema": ("sql/schema.yml", "# ", "# Indeed, "),
    "description of an option": ("din_core/config/model.py", "Width of every", "How wide is each"),
    "range of an option": ("din_core/config/model.py", "ge=1, le=1024", "ge=2, le=2048"),
    "description of a step's own option": (
        "din_assets/assets/ingest.py", "A category of", "Which part",
    ),
    "default of an option": ("din_core/config/model.py", "option(8, ", "option(9, "),
    "words of an option without default": ("din_core/config/source.py", "A file,", "One file,"),
}  # fmt: skip


def test_words_change_no_version_nor_does_what_an_editor_leaves(house, changed_by):
    left = house / "din_core" / "training" / ".loop.py.swp"
    left.write_bytes(b"b0VIM \xff\xfe")
    try:
        if changed_by(*WORDS.values()):  # one answer for all of them: each of its own only to tell
            assert changed_by() == set()
            assert {kind: changed for kind in WORDS if (changed := changed_by(WORDS[kind]))} == {}
    finally:
        left.unlink()


MADE_BY_SQL = {
    # Up to where each user was trained on, and what is held out of that, are asked in SQL.
    "din_model",
    "interactions", "rejected_rows", "source_files", "known_ids",
    "users", "items", "cates", "attributes", "events",
    "user_sequences", "negatives", "samples", "test_predictions", "test_rankings",
    "base_model_predictions", "test_auc", "bundle", "attention_weights", "warehouse", "drift",
    "report", "model_versions",
}  # fmt: skip

BEHAVIOUR = {
    "SQL file": (
        ("sql/sequences/cates.sql", "where false", "where 1 = 0"),
        {"cates"},
    ),
    "SQL macro": (("sql/macros/draw.jinja", "2146121005", "2146121007"), {"negatives"}),
    "limit in a macro": (("sql/macros/decided_value.jinja", "= 16 ", "= 17 "), {"users", "items"}),
    "severity of a check": (
        ("sql/checks/items_dense.sql", "severity: error", "severity: warn"),
        {"items"},
    ),
    "Python of the library": (
        ("din_core/datasets/synthetic.py", "def generate(", "def generate(): 1\n\n\ndef generate("),
        {"interactions", "rejected_rows", "source_files", "test_auc"},
    ),
    "Python of an asset": (
        ("din_assets/assets/evaluation.py", "(con, scores)", "(con, 1 - scores)"),
        {"test_predictions"},
    ),
    "C++": (
        ("din_core/network/kernels/forward.hpp", "end - first", "end + first"),
        {"din_model", "base_model_predictions"},
    ),
    "how the database is opened": (
        ("din_core/store/database.py", 'str(threads or limits', 'str(2 * threads or limits'),
        MADE_BY_SQL,
    ),
    "how a check is run": (
        ("din_core/tables/checks.py", "_ALL_USERS = 1", "_ALL_USERS = 2"),
        {
            "attributes", "events", "items", "negatives", "samples", "test_predictions",
            "user_sequences", "users", "attention_weights", "drift", "known_ids",
        },
    ),
    "what reads lineage": (
        ("din_core/tables/lineage/plausible_contexts.py", "sampling_seed=1,", "sampling_seed=2,"),
        {
            "attributes", "bundle", "cates", "events", "items", "negatives", "samples",
            "user_sequences", "users", "test_auc", "attention_weights", "warehouse", "drift",
            "report", "known_ids", "model_versions",
        },
    ),
    "template of a page": (
        ("din_core/evaluation/report/page.html.jinja", "An answer, explained", "An answer"),
        {"report"},
    ),
    "descriptions of columns": (
        ("sql/schema.yml", "description: ", "description: Indeed, "),
        {"warehouse"},
    ),
}  # fmt: skip


#: Edits that reach different assets: one answer tells what all of them change.
TOGETHER = (
    "SQL file", "SQL macro", "severity of a check", "Python of the library", "Python of an asset",
    "C++", "template of a page", "descriptions of columns",
)  # fmt: skip


def test_behaviour_changes_the_versions_of_what_uses_it(changed_by):
    edits, assets = zip(*(BEHAVIOUR[kind] for kind in TOGETHER), strict=True)
    expected = set().union(*assets)
    assert len(expected) == sum(map(len, assets))
    found = changed_by(*edits) & KNOWN
    if found != expected:  # each of its own only to tell
        alone = {kind: changed_by(BEHAVIOUR[kind][0]) & KNOWN for kind in TOGETHER}
        assert alone == {kind: BEHAVIOUR[kind][1] for kind in TOGETHER}
    assert found == expected


#: Kinds that the test above shows. The limit is a number of a macro, as that of "SQL macro"; one
#: that a template compares with, as below in test_tokens_of_a_template.
MORE_OF_THE_SAME = {*TOGETHER, "limit in a macro"}


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(kind, marks=[pytest.mark.thorough] if kind in MORE_OF_THE_SAME else [])
        for kind in BEHAVIOUR
    ],
)
def test_behaviour_alone_changes_the_versions_of_what_uses_it(changed_by, kind):
    edit, assets = BEHAVIOUR[kind]
    assert changed_by(edit) & KNOWN == assets


OF_A_MODEL = {"din_model", "test_predictions", "architecture_graph", "onnx_model", "bundle"}


@pytest.mark.parametrize(
    ("edit", "models"),
    [
        (("din_core/network/models/pnn.py", " * ", " + "), {"pnn"}),
        (("din_core/network/models/din.py", " * ", " + "), {"din"}),
        (("din_core/network/models/click_model.py", "index >= 0", "index > 0"), {"din", "pnn"}),
        # Both, as the line above.
        pytest.param(
            ("din_core/network/models/__init__.py", "DINConfig: DIN.fr", "DINConfig: BaseModel.fr"),
            {"din", "pnn"},
            marks=pytest.mark.thorough,
        ),
    ],
)  # fmt: skip
def test_what_is_made_of_one_model_does_not_change_with_another(changed_by, edit, models):
    changed = changed_by(edit)
    assert changed >= OF_A_MODEL  # Dagster is told one version, in which all models take part
    for model in ("din", "pnn"):
        of_model = {asset for asset in OF_A_MODEL if f"{asset} of {model}" in changed}
        assert of_model == (OF_A_MODEL if model in models else set())


@pytest.mark.parametrize(
    ("library", "assets"),
    [
        (
            "torch",
            {*OF_A_MODEL, "test_rankings", "base_model_predictions", "attention_weights"},
        ),
        # As the line above, and with the code that imports it.
        pytest.param("onnx", {"onnx_model", "bundle"}, marks=pytest.mark.thorough),
        ("duckdb", MADE_BY_SQL),
    ],
)  # fmt: skip
def test_another_version_of_a_library_changes_what_it_computes(
    versions_of, before, library, assets
):
    after = versions_of(library)
    assert {asset for asset in before if before[asset] != after[asset]} & KNOWN == assets


def test_every_library_that_is_named_is_installed():
    for distributions in libraries.COMPUTING.values():
        for distribution in distributions:
            assert metadata.version(distribution)


def test_every_library_that_the_code_imports_is_told_as_deciding_or_not():
    used = set()
    for path in (ROOT / "din_core").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [each.name for each in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names.append(node.module)
            if getattr(getattr(node, "func", None), "attr", None) == "import_module":
                names += [each.value for each in node.args if isinstance(each, ast.Constant)]
            used.update(name.split(".")[0] for name in names)
    told = {*libraries.OTHERS, *(name.split(".")[0] for name in libraries.COMPUTING)}
    assert used - sys.stdlib_module_names - {"din_core", "_typeshed"} == told


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("a+b", "a + b", True),
        ("f(a, b)", "f(\n    a,\n    b\n)", True),
        ("x = '-- no' -- comment", "x = '-- no'", True),
        ("x = '--  no'", "x = '-- no'", False),
        ("a /* c */ b", "a\nb", True),
        ("hist_{{ x }}", "hist_ {{ x }}", False),
        ("{% if a %}x{% endif %}", "{% if  a %}x{# word #}{%  endif %}", True),
        ("{% if a > 16 %}x{% endif %}", "{% if a > 17 %}x{% endif %}", False),
        ("{% if a %}\nx\n{% endif %}\ny", "\n\n{% if a %}\n\n-- word\nx\n\n{% endif %}\n\ny", True),
        ("x{% if a %}\ny{% endif %}", "x {% if a %}\ny{% endif %}", False),
        ("-- {% set a = 1 %}", "-- {% set a = 2 %}", False),
    ],
)
def test_tokens_of_a_template(one, other, same):
    from din_core.store import sql_files

    first, second = (
        code_versions.template_tokens(sql_files.templates(), text)[0] for text in (one, other)
    )
    assert (first == second) is same


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("x = 1; // one", "x = 1;\n/* two */", True),
        ('s = "// no";', 's = "";', False),
        ('R"(// a)"', 'R"(// b)"', False),
        ("a + +b", "a ++ b", False),
        ("#define F(x) x // w", "#define F(x) x", True),
        ("#define F(x) x", "#define F (x) x", False),
        ("c = '\"'; // x\"", "c = '\"';", True),
    ],
)
def test_tokens_of_cpp(one, other, same):
    first, second = map(code_versions.native_tokens, (one, other))
    assert (first == second) is same


def test_code_is_followed_through_packages_relative_imports_and_values(tmp_path):
    package = tmp_path / "house"
    files = {
        "__init__.py": "",
        "top.py": "def f():\n    from house.deep.inner import g\n    return g()\n",
        "deep/__init__.py": "from .deeper import last\n",
        "deep/inner.py": "from . import last\nfrom house import handed\n\n"
        "def g():\n    return last(), use(handed)\n\ndef use(m):\n    return m\n\n"
        "def unused():\n    0\n",
        "deep/deeper/__init__.py": "def last():\n    return 1\n",
        "handed.py": "def any_of_it():\n    return 2\n",
        "deep/kernel.cpp": "int f();\n",
    }  # fmt: skip
    for name, text in files.items():
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).write_text(text)
    found = code_versions.reached(package, "house", package / "top.py", "f")
    assert {name for name in found.code if not name.endswith(":")} == {
        "<start>:f", "house.deep.inner:g", "house.deep.inner:use", "house.deep.deeper:last",
        "house.handed:any_of_it",
    }  # fmt: skip
    assert {path.name for path in found.files} == {"kernel.cpp"}


def test_what_a_decorator_may_register_counts_and_a_dataclass_does_not(tmp_path):
    package = tmp_path / "house"
    package.mkdir()
    files = {
        "__init__.py": "",
        "decorators.py": "import typing\n\n@typing.dataclass_transform()\ndef options(cls):\n"
        "    return cls\n\ndef register(cls):\n    return cls\n",
        "classes.py": "from house.decorators import options, register\n\n"
        "@options\nclass Other:\n    n = 1\n\n@register\nclass Model:\n    m = 1\n\n"
        "def asked_for():\n    return 1\n",
        "top.py": "from house.classes import asked_for\n\ndef f():\n    return asked_for()\n",
    }
    for name, text in files.items():
        (package / name).write_text(text)
    found = code_versions.reached(package, "house", package / "top.py", "f")
    assert {name for name in found.code if name.startswith("house.classes:")} == {
        "house.classes:asked_for", "house.classes:Model",
    }  # fmt: skip
