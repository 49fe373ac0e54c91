"""Cores and memory by affinity and control groups, whose files the tests write."""

import os

import pytest
import torch

from din_core import store
from din_core.machine import limits
from din_core.network.hardware import seeded
from tests import forks

ALL_MEMORY = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Put this process, of 64 cores, into a control group: its line, and files to write."""
    monkeypatch.setattr(limits, "_affinity", lambda: 64)

    def in_group(line, **files):
        own = tmp_path / "cgroup"
        own.write_text(line + "\n")
        for path, text in files.items():
            file = tmp_path / "mounted" / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text + "\n")
        return {"cgroups": tmp_path / "mounted", "own": own}

    return in_group


def test_without_groups_the_affinity_mask_and_the_machine_count(place, tmp_path):
    nowhere = {"cgroups": tmp_path, "own": tmp_path / "not Linux"}
    assert limits.cores(**nowhere) == 64
    assert limits.memory(**nowhere) == ALL_MEMORY


@pytest.mark.parametrize(
    ("quota", "expected"),
    [
        ("200000 100000", 2),
        ("250000 100000", 2),
        ("50000 100000", 1),
        ("max 100000", 64),
        ("nonsense", 64),
    ],
)
def test_a_quota_counts_in_whole_cores(place, quota, expected):
    assert limits.cores(**place("0::/", **{"cpu.max": quota})) == expected


def test_the_tightest_of_the_groups_around_a_process_counts(place):
    group = place(
        "0::/pod/job",
        **{
            "pod/cpu.max": "300000 100000",
            "pod/job/cpu.max": "max 100000",
            "pod/memory.max": "max",
            "pod/job/memory.max": "1000000",
            "memory.max": "3000000",
        },
    )
    assert limits.cores(**group) == 3
    assert limits.memory(**group) == 1_000_000


def test_version_1_has_a_tree_for_each_controller(place):
    group = place(
        "4:cpu,cpuacct:/box\n3:memory:/box\n2:pids:/box",
        **{
            "cpu,cpuacct/box/cpu.cfs_quota_us": "150000",
            "cpu,cpuacct/box/cpu.cfs_period_us": "50000",
            "cpu,cpuacct/cpu.cfs_quota_us": "-1",
            "cpu,cpuacct/cpu.cfs_period_us": "100000",
            "memory/box/memory.limit_in_bytes": "2000000",
            "memory/memory.limit_in_bytes": "9223372036854771712",
        },
    )
    assert limits.cores(**group) == 3
    assert limits.memory(**group) == 2_000_000


def test_in_a_container_the_path_may_be_the_hosts_and_the_root_its_own(place):
    group = place(
        "3:cpu:/docker/0a1b",
        **{"cpu/cpu.cfs_quota_us": "200000", "cpu/cpu.cfs_period_us": "100000"},
    )
    assert limits.cores(**group) == 2


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="only Linux has affinity masks")
def test_a_process_bound_to_one_core_has_one_thread_of_torch_and_of_duckdb():
    program = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
        "import torch; torch.set_num_threads(8)\n"
        "from din_core import store\n"
        "from din_core.network.hardware import seeded\n"
        "with seeded(0), store.connect(':memory:') as con:\n"
        "    [threads] = con.execute(\"select current_setting('threads')\").fetchone()\n"
        "    pipe.send((torch.get_num_threads(), threads))\n"
    )
    assert forks.answer(program) == (1, 1)


def test_duckdb_has_four_fifths_of_the_memory_that_is_there(monkeypatch):
    monkeypatch.setattr(limits, "memory", lambda: 10 * 2**30)
    monkeypatch.setattr(limits, "cores", lambda: 3)

    def settings(**given):
        with store.connect(":memory:", **given) as con:
            asked = "select current_setting('memory_limit'), current_setting('threads')"
            return con.execute(asked).fetchone()

    assert settings() == ("8.0 GiB", 3)
    assert settings(memory_limit="1GiB", threads=5) == ("1.0 GiB", 5)


def test_torch_takes_no_more_threads_than_there_are_cores(monkeypatch):
    before = torch.get_num_threads()
    monkeypatch.setattr(limits, "cores", lambda: 1)
    with seeded(0):
        assert torch.get_num_threads() == 1
    with seeded(0, num_threads=2):  # asked for by name
        assert torch.get_num_threads() == 2
    assert torch.get_num_threads() == before
