"""Dependencies are read off the SQL; what Python makes reads no more than it declares."""

import itertools
import shutil

import dagster as dg
import duckdb
import jinja2
import jinja2.nodes
import pytest

from din_assets.assets.catalogue import EVIDENCE
from din_assets.definitions import build_defs
from din_core.inputs import training_data
from din_core.serving import vocabularies
from din_core.store import content_versions, sql_files
from din_core.tables import lineage as lineages
from din_core.tables.lineage import LineageError, lineage, relations_of
from din_core.tables.lineage.plausible_contexts import plausible_contexts
from tests.assets.small_pipeline import Pipeline

MADE_BY_NAME = [each.op.name for each in EVIDENCE]


@pytest.fixture(scope="module")
def graph():
    return build_defs().resolve_asset_graph()


def declared(graph, asset):
    return {key.to_user_string() for key in graph.get(dg.AssetKey(asset)).parent_keys}


@pytest.mark.parametrize(
    ("query", "reads"),
    [
        ("with a as (select * from b) select * from A", {"b"}),
        ("with a as (select * from a) select * from a", {"a"}),
        ("with a as (select * from b), c as (select * from a join d using (x)) from c", {"b", "d"}),
        ("select * from a where exists (select 1 from b) and x in (select x from c)", {*"abc"}),
        ("select * from a, lateral (select 1 from b where b.x = a.x)", {"a", "b"}),
        ("select * from a asof left join b on a.u = b.u and a.x > b.x", {"a", "b"}),
        ("select (select max(x) from b) from range(3), unnest([1]), (values (1)) v (x)", {"b"}),
        ("from (with a as (select 1) from a), a", {"a"}),
        ("with recursive r as (select 1 union all select * from r join q using (x)) from r", {"q"}),
        ("select 1 from a union all select 2 from main.b", {"a", "main.b"}),
    ],
)
def test_relations_of_a_query(query, reads):
    with duckdb.connect() as con:
        assert relations_of(con, query) == reads


def test_logged_negatives_follow_the_log():
    assert {"interactions", "users"} <= set(lineage().inputs_of("negatives"))


def test_same_loader_means_the_same_inputs(graph):
    of_loader = lineage().owners_of(training_data.READS)
    of_vocabularies = lineage().owners_of(vocabularies.READS)
    assert declared(graph, "din_model") == of_loader | of_vocabularies
    for asset in ("test_predictions", "test_rankings", "base_model_predictions"):
        assert declared(graph, asset) == of_loader | {"din_model"}


@pytest.fixture
def copied_sql(tmp_path, monkeypatch):
    """A copy of the files of ``sql/``, to edit."""
    shutil.copytree(sql_files.SQL_ROOT, tmp_path / "sql")
    monkeypatch.setattr(sql_files, "SQL_ROOT", tmp_path / "sql")
    sql_files._environment.cache_clear()
    yield tmp_path / "sql"
    monkeypatch.undo()
    sql_files._environment.cache_clear()


def _edit(path, was, becomes):
    text = path.read_text()
    assert was in text
    path.write_text(text.replace(was, becomes, 1))


def test_table_that_a_macro_comes_to_read_is_a_dependency(copied_sql):
    assert "cates" not in lineage().inputs_of("negatives")
    _edit(
        copied_sql / "macros/sampled_negatives.jinja",
        "from user_sequences",
        "from user_sequences, cates",
    )
    assert "cates" in lineage().inputs_of("negatives")


def test_new_variant_and_new_check_count(copied_sql):
    assert "attributes" not in lineage().inputs_of("negatives")
    (copied_sql / "sequences/negatives.other.sql").write_text("select 1 from attributes\n")
    assert "attributes" in lineage().inputs_of("negatives")
    (copied_sql / "checks/new.sql").write_text("-- asset: negatives\nselect 1 from cates\n")
    assert "cates" in lineage().inputs_of("negatives")


def test_renamed_file_is_another_asset_and_its_readers_are_told(copied_sql):
    (copied_sql / "sequences/cates.sql").rename(copied_sql / "sequences/categories.sql")
    with pytest.raises(LineageError, match=r"reads 'cates', which no file of sql/ makes"):
        lineage()


def test_option_that_a_head_needs_and_nobody_knows_is_refused(copied_sql):
    _edit(copied_sql / "analytics/cate_mix.sql", "needs: item_attributes", "needs: item_attribute")
    with pytest.raises(LineageError, match=r"cate_mix\.sql: .*'-- needs: item_attribute'"):
        lineage()


def test_allowance_that_no_check_knows_is_refused(copied_sql):
    _edit(copied_sql / "sequences/negatives.logged.sql", "interacted_items", "any_item")
    with pytest.raises(
        sql_files.SqlFileError, match=r"logged\.sql: .*'-- allows: any_item', .*interacted_items"
    ):
        lineage()


def test_name_that_no_head_has_is_refused_and_prose_below_is_not(copied_sql):
    _edit(copied_sql / "analytics/split_summary.sql", "-- asset: warehouse", "-- aset: warehouse")
    with pytest.raises(sql_files.SqlFileError, match=r"split_summary\.sql: .*'-- aset: warehouse'"):
        lineage()


def test_name_below_the_prose_of_a_head_is_refused(copied_sql):
    _edit(copied_sql / "sequences/users.sql", "-- ", "-- One row a user.\n-- kind: view\n-- ")
    with pytest.raises(sql_files.SqlFileError, match=r"'-- kind: view' stands below the prose"):
        lineage()


def test_file_of_an_asset_that_there_is_not_is_refused(copied_sql, graph):
    assets = [*MADE_BY_NAME, *(key.to_user_string() for key in graph.materializable_asset_keys)]
    lineage().require_assets(assets)
    (copied_sql / "sequences" / "pairs.sql").write_text("select user_idx from users\n")
    with pytest.raises(LineageError, match=r"pairs\.sql belongs to the asset 'pairs'"):
        lineage().require_assets(assets)


def test_variants_of_different_assets_are_refused(copied_sql):
    _edit(copied_sql / "sequences/negatives.logged.sql", "-- ", "-- asset: samples\n-- ")
    with pytest.raises(LineageError, match=r"negatives\.logged\.sql.* name different assets"):
        lineage()


def test_relation_that_is_named_by_a_text_is_refused(copied_sql):
    _edit(copied_sql / "sequences/users.sql", "from known_ids", "from query_table('known_ids')")
    with pytest.raises(LineageError, match=r"users\.sql: query_table\(\) reads a table whose name"):
        lineage()


def test_file_in_a_folder_below_is_refused(copied_sql):
    (copied_sql / "analytics" / "deep").mkdir()
    (copied_sql / "analytics" / "deep" / "more.sql").write_text("select 1 as one\n")
    with pytest.raises(LineageError, match=r"more\.sql: files of sql/ lie in its folders"):
        lineage()


def test_files_that_read_each_other_are_refused(copied_sql):
    _edit(copied_sql / "sequences/attributes.sql", "from known_ids", "from known_ids, items")
    every = lineage()
    with pytest.raises(
        LineageError, match=r"attributes reads items reads attributes|items reads attr"
    ):
        every.in_order(("attributes", "items"))


def test_reader_of_a_view_depends_on_what_lies_behind_it():
    assert {"events", "negatives", "user_sequences"} <= lineage().owners_of(["sample_bounds"])


@pytest.mark.parametrize("view", ["samples", "encoded_samples"])
def test_version_of_samples_is_composed_of_all_that_lies_behind_them(view):
    parts = content_versions._COMPOSED[view]
    behind = lineage().contents_of([view])
    # The lists of sequences are the rows of `events`, in order.
    follows = {"samples", "encoded_samples", "sample_bounds", "behaviour_sequences"}
    assert behind - follows == lineage().contents_of(parts) - follows


def test_published_copy_depends_on_all_that_is_made(graph):
    made = {key.to_user_string() for key in graph.materializable_asset_keys}
    assert declared(graph, "warehouse") == {*made, *MADE_BY_NAME} - {"warehouse"}


class Followed(jinja2.FileSystemLoader):
    """Loads templates that say which of their branches they take."""

    def __init__(self, root):
        super().__init__(root)
        self.branches, self.taken = {}, set()

    def load(self, environment, name, globals=None):  # noqa: A002
        source, filename, _ = self.get_source(environment, name)
        tree = environment.parse(source, name, filename)
        for node in tree.find_all((jinja2.nodes.If, jinja2.nodes.For)):
            bodies = [node.body, *([node.else_] if node.else_ else [])]
            for body in bodies:
                number = len(self.branches)
                self.branches[number] = f"{name}:{body[0].lineno}"
                call = jinja2.nodes.Call(
                    jinja2.nodes.Name("branch_taken", "load"),
                    [jinja2.nodes.Const(number)], [], None, None,
                )  # fmt: skip
                body.insert(0, jinja2.nodes.Output([call]).set_lineno(body[0].lineno))
        tree.set_environment(environment)
        code = environment.compile(tree, name, filename)
        return environment.template_class.from_code(
            environment, code, environment.make_globals(globals), None
        )


def test_every_branch_of_every_file_is_seen(monkeypatch):
    from markupsafe import Markup

    sql_files._environment.cache_clear()
    environment = sql_files._environment()
    loader = Followed(sql_files.SQL_ROOT)
    environment.loader, environment.bytecode_cache = loader, None
    environment.globals["branch_taken"] = lambda n: loader.taken.add(n) or Markup("")
    for file, context in itertools.product(lineage().files.values(), plausible_contexts()):
        for path in file.paths:
            if all(context[need] for need in lineages.head_of(path).needs):
                variant = path.stem.partition(".")[2] or None
                for engine in ("duckdb", "spark"):
                    options = {**context, "engine": engine}
                    sql_files.render(file.head.name, variant=variant, **options)
    sql_files._environment.cache_clear()
    unseen = {where for n, where in loader.branches.items() if n not in loader.taken}
    assert unseen == set()


class Watched:
    """A connection that notes which relations are read."""

    def __init__(self, con):
        self._con, self.read = con, set()

    def __getattr__(self, name):
        return getattr(self._con, name)

    def execute(self, query, *parameters):
        self._note(query)
        return self._con.execute(query, *parameters)

    def sql(self, query):
        self._note(query)
        return self._con.sql(query)

    def table(self, name):
        self.read.add(name)
        return self._con.table(name)

    view = table

    def _note(self, query):
        with duckdb.connect() as con:
            found = relations_of(con, query)
        if not query.startswith("describe"):
            self.read |= found - {"ledger", "duckdb_tables"}


def test_loader_reads_what_it_declares_and_nothing_else(finished):
    path = str(finished.home / "pipeline.duckdb")
    with duckdb.connect(path, read_only=True) as con:
        watched = Watched(con)
        training_data.load(watched)
    read = set(training_data.READS) - {"encoded_samples"}  # of which it asks for the columns
    assert watched.read == read
    assert watched.read <= set(training_data.READS)


def test_vocabularies_read_what_they_declare(finished, tmp_path):
    with duckdb.connect(str(finished.home / "pipeline.duckdb"), read_only=True) as con:
        watched = Watched(con)
        vocabularies.write(watched, tmp_path, with_users=True)
    assert watched.read == set(vocabularies.READS)


@pytest.fixture
def bare(finished, pipeline, graph):
    """The results of a run, without the tables that an asset does not declare."""

    def copy_for(asset) -> Pipeline:
        shutil.copytree(finished.home, pipeline.home, symlinks=True)
        needed = declared(graph, asset)
        with duckdb.connect(str(pipeline.home / "pipeline.duckdb")) as con:
            tables = {
                row[0] for row in con.execute("select table_name from duckdb_tables()").fetchall()
            }
            held = {name for name, file in lineage().files.items() if {*file.head.assets} & needed}
            for table in tables - held - {"ledger", "metrics", "comparisons"}:
                # The columns of `interactions` are an option of all that is built from it.
                gone = "delete from" if table == "interactions" else "drop table"
                con.execute(f"{gone} {sql_files.quote(table)}")
        return pipeline

    return copy_for


#: Assets of `make test-thorough` alone, and which asset of `make test` shows the kind.
MORE_OF_THE_SAME = {
    "negatives": "samples",
    "users": "samples",  # of SQL, which says itself what it reads
    "items": "samples",
    "cates": "samples",
    "attributes": "samples",
    "events": "samples",
    "user_sequences": "samples",
    "test_rankings": "test_predictions",  # of the same loader, as the test of its inputs holds
    "base_model_predictions": "test_predictions",
}


@pytest.mark.parametrize(
    "asset",
    [
        "samples", "din_model", "test_predictions", "test_auc",
        *(pytest.param(asset, marks=pytest.mark.thorough) for asset in MORE_OF_THE_SAME),
    ],
)  # fmt: skip
def test_asset_comes_out_the_same_without_what_it_does_not_declare(bare, finished, asset):
    pipeline = bare(asset)
    assert pipeline.run(asset).success
    assert pipeline.versions()[asset] == finished.versions()[asset]
