"""The harness of the benchmarks: what it measures and how it tells, on logs of a few rows.

Nothing here needs torch-rechub; its own sides run in ``make bench`` only.
"""

import importlib.metadata
import json
from dataclasses import replace

import pytest

from benchmarks import (
    busy_cases,
    cases,
    entries,
    gpu_cases,
    language_cases,
    language_sides,
    page,
    proof_of_value,
    report,
    serving_cases,
    step_cases,
    step_sides,
)
from benchmarks.arithmetic import needed_flops
from benchmarks.clock import Clock
from benchmarks.logs import write_shaped_log
from benchmarks.processes import Run, run_side
from din_core.config import DINConfig
from tests.core.training_logs import planted_log


def finished(seconds: float, *, cpu: float = 1.0, peak_mb: float = 100.0, **figures: object) -> Run:
    figures = {
        "work_seconds": seconds,
        "work_cpu_seconds": cpu,
        "import_mb": 50.0,
        "rows": 10,
        "samples": 16,
        "stages": {"interactions": seconds},
        **figures,
    }
    return Run(
        outcome="ok", process_seconds=seconds + 1, cpu_seconds=cpu, peak_mb=peak_mb, report=figures
    )


def gave_up(outcome: str, after: float) -> Run:
    return Run(outcome=outcome, process_seconds=after, cpu_seconds=after, peak_mb=900.0)


def trained(rate: float, precision: str = "float32") -> Run:
    return finished(
        4.0,
        samples_per_s=rate,
        time_to_first_step_s=0.5,
        matmul_share=0.25,
        matmul_flops=100e9,
        mean_history=7.0,
        precision=precision,
        activation_unit="fused",
    )


def test_ratio_is_that_of_the_medians():
    ours = [finished(1.0, cpu=2.0), finished(9.0, cpu=2.0), finished(2.0, cpu=2.0)]
    theirs = [finished(60.0, cpu=50.0, peak_mb=1000.0)]
    entry = entries.compare(ours, theirs)
    assert entry["ours_seconds"] == 2.0
    assert entry["ratio"] == 30.0
    assert entry["cpu_ratio"] == 25.0
    assert entry["memory_ratio"] == 10.0


def test_rates_compare_the_other_way_round():
    entry = entries.compare([trained(8000.0)], [trained(400.0)], rate=True)
    assert entry["ratio"] == 20.0
    assert entry["ours_samples_per_s"] == 8000.0
    assert entry["theirs_matmul_share"] == 0.25
    assert "ours_seconds" not in entry


def test_timeout_of_the_other_side_is_a_lower_bound():
    entry = entries.compare([finished(10.0)], [gave_up("timeout", 1200.0)])
    assert entry["theirs_outcome"] == "timeout"
    assert (entry["ratio"], entry["ratio_is_lower_bound"]) == (120.0, True)


def test_out_of_memory_of_the_other_side_gives_no_ratio():
    entry = entries.compare([finished(10.0)], [gave_up("out_of_memory", 30.0)])
    assert entry["theirs_outcome"] == "out_of_memory"
    assert "ratio" not in entry


def test_page_tells_every_outcome():
    generated = {"source": "generated", "users": 5, "items": 4}
    pages = {
        "sequences_grocery": entries.compare([finished(1.0)], [finished(30.0)]),
        "sequences_electronics": entries.compare([finished(1.0)], [gave_up("timeout", 1200.0)]),
    }
    told = []
    for case, compared in pages.items():
        extra = {"ours_samples": 16, "theirs_samples": 12, "rows": 10}
        told.append({"case": case, "log": generated, **extra, **compared})
    compared = entries.compare([trained(8000.0)], [gave_up("out_of_memory", 9.0)], rate=True)
    told.append({"case": "training_best_float32", "preset": "best", **compared})
    said = page.render({"cases": told})
    assert "**30.0 x**" in said
    assert "stopped after 1,200 s" in said
    assert "**≥ 1,200.0 x**" in said
    assert "out of memory after 9 s" in said
    assert "8,000 / s" in said


def test_partial_run_replaces_its_own_cases_only(tmp_path):
    path = tmp_path / "results.json"
    report.add_entries([{"case": "scale_1m", "rows": 1}, {"case": "sequences_grocery"}], path)
    elsewhere = json.loads(path.read_text())
    elsewhere["versions"] = {"a-package-of-another-machine": "1.0", "torch": "1.0"}
    path.write_text(json.dumps(elsewhere))
    report.add_entries([{"case": "scale_1m", "rows": 2}], path)
    results = json.loads(path.read_text())
    assert [entry["case"] for entry in results["cases"]] == ["sequences_grocery", "scale_1m"]
    assert results["cases"][1]["rows"] == 2
    assert set(results) == {"machine", "versions", "date", "cases"}
    assert {"cpu", "cores", "memory_gb", "isa"} <= set(results["machine"])
    assert results["versions"]["a-package-of-another-machine"] == "1.0"
    assert results["versions"]["torch"] == importlib.metadata.version("torch")
    assert [file.name for file in tmp_path.iterdir()] == ["results.json"]


def test_figures_of_two_machines_are_told_apart():
    scale = {"rows": 1, "date": "2026-11-26"}
    machine = {"cpu": "Old", "cores": 2, "memory_gb": 8.0, "isa": ["avx2"]}
    cases = [
        {"case": "scale_1m", "machine": machine, **scale},
        {"case": "scale_10m", "machine": {**machine, "cpu": "New", "isa": []}, **scale},
    ]
    assert page._machines(cases).splitlines() == [
        "- `scale_1m`: measured on Old, 2 cores, 8 GiB, avx2, 2026-11-26.",
        "- `scale_10m`: measured on New, 2 cores, 8 GiB, no vector extensions, 2026-11-26.",
    ]
    together = page._machines(cases[:1])
    assert together == "Measured on Old, 2 cores, 8 GiB, avx2, 2026-11-26."


def test_committed_figures_are_those_of_the_page():
    assert report.PAGE.read_text() == page.render(report.read_results())


def test_every_case_has_one_section_of_the_page():
    for case in cases.EVERY:
        assert len([prefix for prefix, _, _ in page.SECTIONS if case.startswith(prefix)]) == 1, case


def test_generated_log_has_exactly_its_shape(tmp_path):
    log = tmp_path / "log.csv"
    write_shaped_log(log, users=7, items=9, cates=3, rows=60, least=5, seed=1)
    header, *lines = log.read_text().splitlines()
    rows = [tuple(map(int, line.split(","))) for line in lines]
    assert header == "user_id,item_id,time,cate_id"
    assert len(rows) == 60
    assert {row[0] for row in rows} == set(range(1, 8))
    assert {row[1] for row in rows} == set(range(1, 10))
    assert len({row[3] for row in rows}) == 3
    assert min([row[0] for row in rows].count(user) for user in range(1, 8)) >= 5
    assert len({(row[1], row[3]) for row in rows}) == 9  # an item has one category


def test_impossible_shape_is_refused(tmp_path):
    with pytest.raises(ValueError, match="ask for more rows"):
        write_shaped_log(tmp_path / "log.csv", 7, 9, 3, rows=30, least=5, seed=1)


def test_flops_are_those_counted_by_hand():
    config = DINConfig(embed_dim=2, attention_dims=(3,), mlp_dims=(5,), use_user=True)
    # Two units: target 2*3, and for each of 4 positions 2*2*3 + 3*1. MLP: 5 embeddings of 2 to 5,
    # then to 1. Twice for multiply and add, three times for forward and backward.
    by_hand = 6 * (2 * (2 * 3 + 4 * (2 * 2 * 3 + 3)) + (5 * 2) * 5 + 5)
    counted = needed_flops(config, mean_history=4.0, item_features=2, other_features=1)
    assert counted == by_hand


def test_sides_run_in_their_own_process_and_report(tmp_path):
    log, database = tmp_path / "log.csv", tmp_path / "db"
    database.mkdir()
    write_shaped_log(log, users=6, items=8, cates=2, rows=40, least=4, seed=1)
    run = run_side(
        "ours_sequences",
        {"csv": str(log), "folder": str(database), "threads": 1},
        threads=1,
        timeout_seconds=120,
        memory_limit_mb=8192,
    )
    assert run.outcome == "ok", run.message
    assert run.report["rows"] == 40
    assert run.report["samples"] == 2 * (40 - 6)  # a positive and a negative from position 2 on
    assert set(run.report["stages"]) >= {"interactions", "events", "negatives", "load"}
    assert 0 < run.report["work_seconds"] < run.process_seconds
    assert 0 < run.report["import_mb"] <= run.peak_mb


def test_side_that_takes_too_long_is_stopped(tmp_path):
    options = {"path": str(tmp_path / "x"), "rows": 5, "users": 1, "items": 1, "cates": 1}
    run = run_side(
        "write_log",
        {**options, "least": 1, "seed": 1},
        threads=1,
        timeout_seconds=0.02,
        memory_limit_mb=8192,
    )
    assert run.outcome == "timeout"


def test_side_above_its_memory_is_told_apart(tmp_path):
    shape = {"users": 2, "items": 2, "cates": 1, "rows": 100_000_000, "least": 2, "seed": 1}
    run = run_side(
        "write_log",
        {"path": str(tmp_path / "x"), **shape},
        threads=1,
        timeout_seconds=120,
        memory_limit_mb=200,
    )
    assert run.outcome == "out_of_memory", run.message


def stepped(milliseconds: float, items: int, peak_mb: float = 100.0) -> Run:
    return finished(
        1.0,
        peak_mb=peak_mb,
        step_seconds=milliseconds / 1000,
        waiting_share=0.02,
        time_to_first_step_s=0.5,
        items=items,
        samples=9,
    )


def test_larger_vocabulary_is_compared_with_its_own():
    runs = {"best_1": [stepped(10, 50), stepped(12, 50)], "best_100": [stepped(11, 5000)] * 3}
    [entry] = step_cases.entries_of("steps_vocabulary", runs)
    assert (entry["case"], entry["step_ms"], entry["large_step_ms"]) == (
        "steps_vocabulary_best", 11.0, 11.0,
    )  # fmt: skip
    assert entry["ratio"] == 1.0
    said = page.render({"cases": [entry]})
    assert "| best | 5,000 | 9 | 11.0 ms | 2.0% | **1.00 x** | 100 MB |" in said


@pytest.mark.parametrize(("peak_mb", "within"), [(16_384.0, True), (16_385.0, False)])
def test_memory_of_the_largest_log_is_judged(peak_mb, within):
    runs = {"tutorial_1": [stepped(10, 50, peak_mb)]}
    [entry] = step_cases.entries_of("steps_100m", runs)
    assert entry["within_16_gib"] is within


def test_steps_that_failed_are_told():
    [entry] = step_cases.entries_of("steps_100m", {"tutorial_1": [gave_up("out_of_memory", 9.0)]})
    assert "| tutorial | out_of_memory |" in page.render({"cases": [entry]})


def test_spread_log_is_the_same_log_with_other_numbers():
    data = planted_log()
    wide = step_sides.spread_items(data, 100)
    assert wide.vocabulary.n_items == 100 * data.vocabulary.n_items
    assert (wide.event_items == 100 * data.event_items).all()
    of_event = data.item_attributes["cate_idx"][data.event_items]
    assert (wide.item_attributes["cate_idx"][wide.event_items] == of_event).all()
    assert (wide.samples["val"].item == 100 * data.samples["val"].item).all()


def test_a_fair_share_is_that_of_the_threads_that_want_a_core():
    assert busy_cases.fair_share(2, 0, cores=2) == 1.0
    assert busy_cases.fair_share(2, 2, cores=2) == 0.5
    assert busy_cases.fair_share(2, 8, cores=2) == 0.2
    assert busy_cases.fair_share(2, 1, cores=8) == 1.0


def test_the_page_tells_what_busy_neighbours_leave(monkeypatch):
    monkeypatch.setattr(busy_cases, "describe_machine", lambda: {"cores": 2})
    runs = {
        "now_0": [trained(40_000.0)],
        "before_0": [trained(38_000.0)],
        "now_2": [trained(16_000.0), trained(18_000.0)],
        "before_2": [gave_up("timeout", 1200.0)],
    }
    entry = busy_cases.entry_of("busy_best", runs, threads=2)
    assert entry["of_fair"] == {"0": 1.0, "2": 0.85}
    assert busy_cases.rows_of(entry) == [
        ("best", "0", "40,000 / s", "38,000 / s", "**1.05 x**", "100%"),
        ("best", "2", "17,000 / s", "-", "-", "85%"),
    ]
    assert "| best | 0 | 40,000 / s |" in page.render({"cases": [entry]})


def test_proof_of_value_finds_what_differs_and_what_one_side_lacks():
    before = {"events": "1", "samples": "2", "items": "3"}
    after = {"events": "1", "encoded_samples": "2", "items": "4", "users": "5"}

    assert proof_of_value.differences(before, after, {"samples": "encoded_samples"}) == [
        "items",
        "users",
    ]


def on_gpu(losses, aucs, test_auc):
    return {"train_loss": losses, "val_auc": aucs, "test_auc": test_auc, "device": "cuda"}


def test_the_gpu_agrees_as_far_as_its_worst_epoch():
    figures = {
        "cpu": on_gpu([0.6, 0.5], [0.7, 0.8], 0.75),
        "gpu": on_gpu([0.6, 0.4], [0.7, 0.8], 1),
    }
    (entry,) = gpu_cases.agreement_entries({"tutorial": [replace(finished(1.0), report=figures)]})
    assert entry["loss_apart"] == pytest.approx(0.1)
    assert (entry["val_auc_apart"], entry["test_auc_apart"]) == (0.0, 0.25)
    said = page.render({"cases": [{**entry, "card": "NVIDIA X"}]})
    assert "Card: NVIDIA X." in said
    assert "| tutorial | 0.7500 | 1.0000 | 1.0e-01 | 0.0e+00 |" in said


def test_a_gpu_side_that_did_not_finish_is_told():
    seen = {"epoch_seconds": 2.0, "gpu_busy_share": 0.5, "waits": 2, "steps": 9, "gpu_peak_mb": 7.0}
    ours = finished(1.0, samples_per_s=300.0, **seen)
    entry = gpu_cases.training_entry(
        "gpu_best", {"ours": [ours], "theirs": [gave_up("timeout", 9)]}
    )
    assert gpu_cases.training_rows(entry) == (
        *("best", "300 / s", "timeout", "-"),
        *("2.00 s", "50%", "2 in 9 steps", "7 MB"),
    )
    other = gpu_cases.training_entry("gpu_best", {"ours": [gave_up("failed", 9)]})
    assert gpu_cases.training_rows(other) == ("best", "failed", *["-"] * 6)


def ranked(least_ms: float) -> dict[str, dict[str, float]]:
    spread = {"p50_ms": 3.0, "p99_ms": 4.0}
    return {
        "rank": {"least_ms": least_ms, **spread},
        "rows": {"least_ms": 4.0, **spread},
        "theirs": {"least_ms": 10.0, **spread},
    }


def test_languages_are_compared_or_it_is_said_why_not():
    kinds = {"texts": {"largest_difference": 3e-8, "python_ms": 12.34, "node_ms": 20.0}}
    report = {"node": "v20", "candidates": 1000, "length": 50, "kinds": kinds}
    entry = language_cases.entry_of({"all": [finished(1.0, **report)]})
    expected = ("texts", "1,000", "12.3 ms", "20.0 ms", "3.0e-08")
    assert language_cases.rows_of(entry) == [expected]
    assert "| texts | 1,000 | 12.3 ms | 20.0 ms | 3.0e-08 |" in page.render({"cases": [entry]})
    without = finished(0.0, missing="there is no node on the PATH")
    entry = language_cases.entry_of({"all": [without]})
    assert language_cases.rows_of(entry)[0][0] == "missing: there is no node on the PATH"


def test_machine_without_node_is_told_so(monkeypatch):
    monkeypatch.setattr("shutil.which", lambda name: None)
    report = language_sides.ask_in_languages(Clock(), {}, {}, 1, 1, 1)
    assert report == {"missing": "there is no node on the PATH"}


def test_serving_is_the_run_with_the_fastest_ranking():
    runs = {
        "all": [
            finished(1.0, candidates={"100": ranked(ms)}, length=50, matmul_flops=flops)
            for ms, flops in ((2.5, 80e9), (2.0, 87e9), (8.0, 60e9))
        ]
    }
    entry = serving_cases.entry_of("serving_best", runs)
    assert entry["matmul_gflops"] == 87.0
    assert serving_cases.rows_of(entry) == [
        (
            *("best", "100", "2.00 ms", "3.00 / 4.00 ms", "50,000 / s"),
            *("4.00 ms", "**2.0 x**", "10.00 ms", "**5.0 x**"),
        )
    ]
    page = report.render({"cases": [entry]})
    assert "`torch.matmul` reached 87 GFLOP/s" in page
    failed = serving_cases.entry_of("serving_best", {"all": [gave_up("timeout", 9.0)]})
    assert serving_cases.rows_of(failed)[0][:2] == ("best", "timeout")
    assert "timeout" in report.render({"cases": [failed]})
