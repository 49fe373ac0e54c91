"""The ablation: what is tried, what is kept of it, and what a difference is worth."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from din_core import metrics, presets, store
from din_core.config import (
    AblationConfig,
    BaseModelConfig,
    DINConfig,
    SequenceConfig,
    TrainingConfig,
)
from din_core.evaluation import ablation
from din_core.evaluation.ablation import trials as trials_module
from din_core.evaluation.ablation.pairing import paired_difference
from din_core.evaluation.ablation.variants import BASE, Variant
from din_core.store import sql_files
from tests.core.training_logs import planted_log

NETWORK = DINConfig(embed_dim=4, mlp_dims=(8,), attention_dims=(4,), use_user=False)
LOOP = TrainingConfig(
    n_epoch=1, batch_size=64, fused=False, num_threads=1, checkpoint_seconds=0, learning_rate=0.02
)
TWO = [Variant(name=BASE), Variant(name="short", max_history=1)]


@pytest.fixture(scope="module")
def planted():
    return planted_log(n_users=20, n_events=6)


def run(folder, data, variants=TWO, seeds=(1,), **options):
    said = []
    found = ablation.run(variants, seeds, NETWORK, LOOP, data, folder, tell=said.append, **options)
    return found, said


def test_each_variant_changes_one_thing_of_the_base():
    plan = ablation.planned(AblationConfig(), planted_log(3, 5), SequenceConfig())
    assert plan.variants[0] == Variant(name=BASE)
    assert plan.seeds == [2022, 2023, 2024]
    by_name = {variant.name: variant for variant in plan.variants}
    # The base's own choices are no variants.
    assert not by_name.keys() & {"activation=relu", "no softmax", "max_history=50"}
    assert not by_name.keys() & {"product inputs", "negatives=redrawn"}
    assert by_name.keys() >= {"activation=dice", "softmax over the history", "plain DIN", "PNN"}
    plain = by_name["plain DIN"].network(presets.BEST.model)
    assert plain == dataclasses.replace(presets.BEST.model, product_inputs=False)
    biased = by_name["position bias"].network(presets.BEST.model)
    assert biased == dataclasses.replace(presets.BEST.model, position_bias=50)
    base_model = by_name["BaseModel"].network(presets.BEST.model)
    assert base_model == BaseModelConfig(
        embed_dim=32, activation="relu", use_user=False, embedding_init_std=0.03
    )


def test_what_the_tutorial_does_is_no_variant_of_it():
    wish = AblationConfig(base="tutorial", n_seeds=1, max_epochs=3)
    plan = ablation.planned(wish, planted_log(3, 5), SequenceConfig(max_history=20))
    names = {variant.name for variant in plan.variants}
    assert not names & {"activation=dice", "negatives=fixed", "plain DIN", "max_history=20"}
    assert names >= {"activation=relu", "negatives=redrawn", "product inputs", "max_history=50"}
    assert (plan.seeds, plan.training.n_epoch) == ([2022], 3)


def test_a_log_of_impressions_has_no_negatives_to_draw():
    data = dataclasses.replace(planted_log(3, 5), labelled=True)
    plan = ablation.planned(AblationConfig(), data, SequenceConfig(split="temporal"))
    names = {variant.name for variant in plan.variants}
    assert not names & {"negatives=fixed", "negatives=redrawn", "temporal split"}


def test_quick_is_two_variants_one_seed_and_two_epochs():
    plan = ablation.planned(AblationConfig(quick=True), planted_log(3, 5), SequenceConfig())
    assert [variant.name for variant in plan.variants] == [BASE, "max_history=5", "plain DIN"]
    assert (len(plan.seeds), plan.training.n_epoch) == (1, 2)


def test_a_finished_trial_is_not_trained_again(planted, tmp_path, monkeypatch):
    first, said = run(tmp_path, planted)
    assert len(said) == 2
    assert "1 trials left, about" in said[0]

    def never(*_args, **_options):
        raise AssertionError("trained again")

    with monkeypatch.context() as patched:
        patched.setattr(trials_module.loop, "train", never)
        again, said = run(tmp_path, planted)
        assert said == ["2 of 2 trials were finished before"]
        with pytest.raises(AssertionError, match="trained again"):
            run(tmp_path, planted, seeds=(1, 2))
        with pytest.raises(AssertionError, match="trained again"):
            run(tmp_path, planted, program_version="another")
        with pytest.raises(AssertionError, match="trained again"):
            run(tmp_path, planted_log(n_users=20, n_events=6, seed=5))
    for before, after in zip(first, again, strict=True):
        assert dataclasses.replace(before, scores=0) == dataclasses.replace(after, scores=0)
        assert before.scores.tolist() == after.scores.tolist()


def test_a_trial_that_was_killed_between_leaves_the_ones_before(planted, tmp_path, monkeypatch):
    trained = trials_module.loop.train

    def killed(model, *rest, **options):
        if list(tmp_path.glob("*.npz")):
            raise KeyboardInterrupt
        return trained(model, *rest, **options)

    with monkeypatch.context() as patched:
        patched.setattr(trials_module.loop, "train", killed)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path, planted)
    _, said = run(tmp_path, planted)
    assert said[0] == "1 of 2 trials were finished before"
    assert len(said) == 2


def test_a_damaged_file_is_trained_again(planted, tmp_path):
    run(tmp_path, planted, TWO[:1])
    (file,) = tmp_path.glob("*.npz")
    whole = file.read_bytes()
    for damaged in (b"", whole[: len(whole) // 2], b"nothing of the kind"):
        file.write_bytes(damaged)
        _, said = run(tmp_path, planted, TWO[:1])
        assert len(said) == 1
        assert "finished before" not in said[0]


def test_difference_by_hand():
    # Base: user 1 rightly ordered, user 2 wrongly. Pairs across users count as well.
    label, user = np.array([1, 0, 1, 0], np.int8), np.array([1, 1, 2, 2])
    found = paired_difference(label, [4, 1, 3, 2], [4, 3, 1, 2], user)
    assert found.value == pytest.approx(1.0 - 0.5)
    # Base: placements of the positives 1 and 0, of the negatives (3 below 4) 1/2 and (2 below 4)
    # 1/2, area 1/2; so user 1 moves it by (1 - 1/2) / 2 + 0, user 2 by (0 - 1/2) / 2 + 0. The other
    # order is perfect and nobody moves it. Variance: 2/1 * 2 * (1/4)^2 = 1/4.
    assert found.standard_error == pytest.approx(0.5)


def test_difference_to_itself_is_nothing():
    rng = np.random.default_rng(0)
    label, score = rng.integers(0, 2, 50).astype(np.int8), rng.normal(size=50)
    found = paired_difference(label, score, score, np.arange(50) // 2)
    assert (found.value, found.standard_error) == (0.0, 0.0)


def test_standard_error_is_about_that_of_drawing_users_again():
    rng = np.random.default_rng(0)
    user = np.repeat(np.arange(300), 2)
    label = np.tile([1, 0], 300).astype(np.int8)
    mood = np.repeat(rng.normal(size=300), 2)
    base = mood + label + rng.normal(size=600)
    score = base + 0.5 * label + rng.normal(size=600)
    found = paired_difference(label, score, base, user)
    drawn = []
    for _ in range(300):
        rows = (2 * rng.integers(0, 300, 300)[:, None] + [0, 1]).ravel()
        drawn.append(metrics.auc(label[rows], score[rows]) - metrics.auc(label[rows], base[rows]))
    assert found.value == pytest.approx(metrics.auc(label, score) - metrics.auc(label, base))
    assert found.standard_error == pytest.approx(np.std(drawn), rel=0.15)


def test_one_label_or_one_user_says_nothing():
    one = np.array([1, 1], np.int8)
    assert paired_difference(one, [1, 2], [1, 2], np.array([1, 2])) is None
    both = np.array([1, 0], np.int8)
    assert paired_difference(both, [1, 2], [1, 2], np.array([1, 1])) is None


def summary(rows):
    with store.connect(":memory:", threads=1) as con:
        ablation.write_leaderboard(con, rows)
        con.execute("create view ablation_summary as " + sql_files.render("ablation_summary"))
        found = con.sql("from ablation_summary").to_arrow_table().to_pylist()
    return {row["variant"]: row for row in found}


def test_leaderboard_has_a_row_a_trial_and_the_view_a_row_a_variant(planted, tmp_path):
    temporal = dataclasses.replace(TWO[1], name="other samples", temporal=None)
    found, _ = run(tmp_path, planted, [*TWO, temporal], seeds=(1, 2))
    rows = ablation.leaderboard_table(found, planted)
    listed = rows.to_pylist()
    expected = [(name, seed) for name in (BASE, "short", "other samples") for seed in (1, 2)]
    assert [(row["variant"], row["seed"]) for row in listed] == expected
    assert [json.loads(row["options"]) for row in listed[1:3]] == [{}, {"max_history": 1}]
    short = listed[2:4]
    base = [row["test_auc"] for row in listed[:2]]
    differences = [row["test_auc"] - of for row, of in zip(short, base, strict=True)]
    assert [row["auc_difference"] for row in short] == pytest.approx(differences)

    of_variant = summary(rows)["short"]
    assert of_variant["n_seeds"] == 2
    assert of_variant["difference"] == pytest.approx(np.mean(differences))
    errors = np.mean([row["auc_difference_se"] for row in short])
    width = 1.96 * np.sqrt(errors**2 + np.var(differences, ddof=1) / 2)
    assert of_variant["difference_high"] - of_variant["difference"] == pytest.approx(width)
    assert of_variant["difference"] - of_variant["difference_low"] == pytest.approx(width)
    assert summary(rows)[BASE]["difference"] == 0.0
    assert ablation.leaderboard_picture(rows).startswith(b"\x89PNG")
    assert ablation.leaderboard_picture(rows) == ablation.leaderboard_picture(rows)


def test_other_test_samples_are_not_compared(planted):
    trial = ablation.Trial(
        variant=Variant(name="temporal split", temporal=(0.8, 0.9)), seed=1, val_auc=0.5,
        test_auc=0.5, test_gauc=0.5, test_logloss=0.7, epochs=1, best_epoch=1, seconds=1.0,
        scores=np.zeros(3, np.float32),
    )  # fmt: skip
    base = dataclasses.replace(
        trial, variant=Variant(name=BASE), scores=np.zeros(len(planted.samples["test"]))
    )
    rows = ablation.leaderboard_table([base, trial], planted)
    assert rows["auc_difference"].to_pylist() == [0.0, None]
    assert summary(rows)["temporal split"]["difference"] is None


def test_seconds_are_no_part_of_the_content(planted, tmp_path):
    found, _ = run(tmp_path, planted)
    slower = [dataclasses.replace(trial, seconds=trial.seconds + 9) for trial in found]
    first, second = (ablation.leaderboard_table(each, planted) for each in (found, slower))
    assert ablation.content_of(first) == ablation.content_of(second)
    better = [dataclasses.replace(trial, test_auc=1.5) for trial in found]
    assert ablation.content_of(ablation.leaderboard_table(better, planted)) != ablation.content_of(
        first
    )
