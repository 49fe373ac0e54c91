"""How often an engine is asked: each question goes to a cluster and back, and is analysed there."""

import pytest


@pytest.fixture
def asked(spark, monkeypatch):
    """By what the session asked its engine, in order."""
    names = []

    def told(name, ask):
        def asking(*arguments, **named):
            names.append(name)
            return ask(*arguments, **named)

        return asking

    stub = spark.client._stub
    for name in ("ExecutePlan", "AnalyzePlan"):
        monkeypatch.setattr(stub, name, told(name, getattr(stub, name)))
    return names


def test_a_query_is_one_question(engine, ours, asked):
    ours.execute("create table numbers as select 7 as n")
    assert engine.query(ours, "select n from numbers").rows == [(7,)]
    # Its first reader made a view of it.
    asked.clear()
    assert engine.query(ours, "select n + 1 as next from numbers").rows == [(8,)]
    assert asked == ["ExecutePlan"]
