"""Both versions of control groups, over folders that stand in for the kernel's."""

from pathlib import Path

import pytest

from local.sandboxes.engine import EngineError, Limits
from local.sandboxes.namespaces.cgroup_v1 import CONTROLLERS, CgroupV1
from local.sandboxes.namespaces.cgroup_v2 import CgroupV2
from local.sandboxes.namespaces.cgroups import Cgroup, find_cgroup

LIMITS = Limits(memory_mb=512, cpu_count=2, pids=77)


@pytest.fixture
def v1(tmp_path: Path) -> CgroupV1:
    directories = {name: tmp_path / name / "one" for name in CONTROLLERS}
    for directory in directories.values():
        directory.parent.mkdir()
    group = CgroupV1(directories)
    group.create()
    return group


@pytest.fixture
def v2(tmp_path: Path) -> CgroupV2:
    group = CgroupV2(tmp_path / "one")
    group.create()
    return group


ALL_V1 = [("memory", "memory"), ("cpu,cpuacct", "cpu,cpuacct"), ("pids", "pids"), ("freezer", "freezer")]


@pytest.mark.parametrize(
    ("v1_mounts", "v2_controllers", "expected"),
    [
        (ALL_V1, None, "v1"),
        ([], "cpuset cpu io memory hugetlb pids", "v2"),
        (ALL_V1, "", "v1"),
        ([("freezer", "freezer"), ("net_cls", "net_cls")], "cpu memory pids", "v2"),
        (ALL_V1[:2], "pids", None),
        ([], "memory", None),
        ([], None, None),
    ],
    ids=["v1", "v2", "both, v1 has them", "both, v2 has them", "torn apart", "v2 lacks some", "none"],
)
def test_the_version_that_has_all_controllers_is_used(
    tmp_path: Path, v1_mounts: list[tuple[str, str]], v2_controllers: str | None, expected: str | None
) -> None:
    lines = [f"cgroup {tmp_path}/{folder} cgroup rw,{options} 0 0" for folder, options in v1_mounts]
    if v2_controllers is not None:
        (tmp_path / "cgroup.controllers").write_text(v2_controllers)
        lines.append(f"cgroup2 {tmp_path} cgroup2 rw,nosuid 0 0")
    (mounts := tmp_path / "mounts").write_text("\n".join(["proc /proc proc rw 0 0", *lines, ""]))
    if expected is None:
        with pytest.raises(EngineError, match="boot it with v2"):
            find_cgroup("castari-x/1", mounts)
    else:
        assert isinstance(find_cgroup("castari-x/1", mounts), CgroupV1 if expected == "v1" else CgroupV2)


def texts(*files: Path) -> list[str]:
    return [file.read_text() for file in files]


def test_version_1_limits_memory_with_swap_cpu_and_processes(v1: CgroupV1) -> None:
    (v1.directories["memory"] / "memory.memsw.limit_in_bytes").touch()
    v1.limit(LIMITS)
    memory, cpu, pids = (v1.directories[name] for name in ("memory", "cpu", "pids"))
    limits = texts(memory / "memory.limit_in_bytes", memory / "memory.memsw.limit_in_bytes")
    assert limits == [str(512 * 2**20)] * 2
    assert texts(cpu / "cpu.cfs_quota_us", cpu / "cpu.cfs_period_us") == ["200000", "100000"]
    assert texts(pids / "pids.max") == ["77"]


def test_version_1_limits_memory_where_the_kernel_does_not_count_swap(v1: CgroupV1) -> None:
    v1.limit(LIMITS)
    assert texts(v1.directories["memory"] / "memory.limit_in_bytes") == [str(512 * 2**20)]


def test_version_2_limits_memory_without_swap_cpu_and_processes(v2: CgroupV2) -> None:
    (v2.directory / "memory.swap.max").touch()
    v2.limit(LIMITS)
    files = [v2.directory / name for name in ("memory.max", "memory.swap.max", "cpu.max", "pids.max")]
    assert texts(*files) == [str(512 * 2**20), "0", "200000 100000", "77"]


def test_version_1_sandboxes_weigh_less_than_one_process_of_the_host(v1: CgroupV1) -> None:
    v1.create_parent()
    assert int((v1.directories["cpu"] / "cpu.shares").read_text()) < 1024


def test_version_2_sandboxes_weigh_less_than_any_sibling_and_pass_controllers_on(v2: CgroupV2) -> None:
    v2.create_parent()
    assert int((v2.directory / "cpu.weight").read_text()) < 100
    for directory in (v2.directory, v2.directory.parent):
        assert (directory / "cgroup.subtree_control").read_text() == "+memory +cpu +pids"


def test_version_1_counts_kills_not_failed_charges(v1: CgroupV1) -> None:
    (v1.directories["memory"] / "memory.failcnt").write_text("99")
    (v1.directories["memory"] / "memory.oom_control").write_text(
        "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n"
    )
    assert v1.out_of_memory_kills() == 3


def test_version_2_counts_kills_not_events_at_the_limit(v2: CgroupV2) -> None:
    (v2.directory / "memory.events").write_text("low 0\nhigh 0\nmax 99\noom 5\noom_kill 3\n")
    assert v2.out_of_memory_kills() == 3


def test_memory_in_use_leaves_out_what_can_be_dropped(v1: CgroupV1, v2: CgroupV2) -> None:
    memory = v1.directories["memory"]
    (memory / "memory.usage_in_bytes").write_text("1000")
    (memory / "memory.stat").write_text("cache 900\ntotal_inactive_file 400\n")
    (v2.directory / "memory.current").write_text("1000")
    (v2.directory / "memory.stat").write_text("anon 600\ninactive_file 400\n")
    assert (v1.memory_bytes(), v2.memory_bytes()) == (600, 600)


def test_cpu_time_is_told_in_nanoseconds(v1: CgroupV1, v2: CgroupV2) -> None:
    (v1.directories["cpuacct"] / "cpuacct.usage").write_text("5000000")
    (v2.directory / "cpu.stat").write_text("usage_usec 5000\nuser_usec 1\n")
    assert (v1.cpu_ns(), v2.cpu_ns()) == (5_000_000, 5_000_000)


def test_version_1_freezes_through_the_freezer_and_waits_until_all_stand_still(v1: CgroupV1) -> None:
    v1.set_frozen(True)
    assert (v1.directories["freezer"] / "freezer.state").read_text() == "FROZEN"
    v1.thaw_all()
    assert (v1.directories["freezer"] / "freezer.state").read_text() == "THAWED"


def test_version_2_freezes_and_waits_for_the_event(v2: CgroupV2) -> None:
    (v2.directory / "cgroup.events").write_text("populated 1\nfrozen 1\n")
    v2.set_frozen(True)
    assert (v2.directory / "cgroup.freeze").read_text() == "1"


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_a_group_is_removed_with_those_below_and_again_without_error(
    version: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    group: Cgroup = request.getfixturevalue(version)
    for directory in [each for each in tmp_path.rglob("one") if each.is_dir()]:
        (directory / "below").mkdir()
    group.remove()
    assert not list(tmp_path.rglob("one"))
    group.remove()
    assert group.members() == []
