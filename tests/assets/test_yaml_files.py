"""A run configuration is read as it looks, or refused."""

import pytest

from din_assets.command import config_files
from din_assets.runs import last_run, yaml_files


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "ops:\n  samples: {config: {max_history: 3}}\nops:\n  known_ids: {}\n",
            "line 3: 'ops' stands there a second time (first in line 1)",
        ),
        (
            "ops:\n  interactions:\n    config:\n      user_col: a\n      user_col: b\n",
            "line 5: 'user_col' stands there a second time (first in line 4)",
        ),
        ("ops: {users: {}, users: {}}", "line 1: 'users' stands there a second time"),
        ("seed: 010", "line 1: YAML reads 010 as 8; write 8 for that number, or '010' for a text"),
        ("\nval_from: 1:30", "line 2: YAML reads 1:30 as 90; write 90"),
        ("-012", "YAML reads -012 as -10"),
    ],
)
def test_what_yaml_passes_over_is_refused_with_its_line(tmp_path, text, says):
    file = tmp_path / "my.yaml"
    file.write_text(text)
    with pytest.raises(config_files.ConfigFileError) as caught:
        config_files.asked_for(file, None)
    assert str(caught.value).startswith(f"{file}: ")
    assert says in str(caught.value)
    with pytest.raises(last_run.ChoicesError, match=r"my\.yaml: line \d"):
        last_run.read(file)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: [0, -7, 1_000, 0x10, 1e3, 1.5e+3, '010']", [0, -7, 1000, 16, "1e3", 1500.0, "010"]),
        ("{a: &x {b: 1}, c: {<<: *x, d: 2}}", {"b": 1}),
        ("a: {1: x, '01': y, null: z}", {1: "x", "01": "y", None: "z"}),
    ],
)
def test_all_else_is_what_yaml_says(tmp_path, text, value):
    file = tmp_path / "my.yaml"
    file.write_text(text)
    read = yaml_files.read(file)
    assert read["a"] == value
    assert read.get("c", {"b": 1, "d": 2}) == {"b": 1, "d": 2}
