"""Kills, failing disks, builders at once, altered artifacts, threads: the short versions, and what commands say."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import cogseedc
from cogseedc.cli.main import run
from cogseedc.diagnostics import UserError
from tests.trust import failing, sample, tamper, threads

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(("name", "count"), [("kills", 60), ("builders", 6), ("bombs", 100), ("large", 1)])
def test_processes(name: str, count: int) -> None:
    """In a process of their own, since they fork, or bound their memory."""
    call = [sys.executable, "-m", "tests.trust", name, "--count", str(count)]
    done = subprocess.run(call, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    print(done.stdout)


def test_each_operation_on_files_fails_in_turn() -> None:
    failing.failing(failing.MOST, 0)


def test_altered_artifacts_are_refused() -> None:
    tamper.tampering(500, 1)


def test_forged_manifests_end_in_codes() -> None:
    tamper.forging(150, 1)


def test_threads_share_a_session() -> None:
    threads.threads(25, 0)


WRITERS = {
    "new": ("new", "hello"),
    "fmt": ("fmt", "loose.seed"),
    "build": ("build", "net.seed", "-o", "fresh", "--rng", "0"),
    "graph": ("graph", "net.seed", "-o", "net.svg"),
    "run": ("run", "artifact", "in.npz", "-o", "out.npz"),
}


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO])
def test_commands_say_that_they_cannot_write(
    name: str, error: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("net.seed").write_text(sample.text())
    Path("loose.seed").write_text(sample.text().replace("    ", "  "))
    cogseedc.compile("net.seed", "onnx-cpu", "artifact", rng=0)
    np.savez("in.npz", x=sample.X)
    kept = Path("loose.seed").read_bytes()
    with failing.faulty(3, error):
        status = run(WRITERS[name])
    said = capsys.readouterr()
    assert status == 1
    assert "CS0905" in said.err
    assert os.strerror(error) in said.err
    assert Path("loose.seed").read_bytes() == kept
    assert not [path for path in tmp_path.rglob("*") if path.name.startswith(".cogseed")]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("arguments", [("--help",), ("explain", "CS0301"), ("ops", "--json"), ("targets",)])
def test_a_full_output_is_no_fault_of_ours(arguments: tuple[str, ...]) -> None:
    with open("/dev/full", "wb") as full:
        call = [sys.executable, "-m", "cogseedc", *arguments]
        done = subprocess.run(call, stdout=full, stderr=subprocess.PIPE, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert "CS0905" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_closed_input_is_no_fault_of_ours() -> None:
    call = [sys.executable, "-m", "cogseedc", "check", "-"]
    done = subprocess.run(f"exec {' '.join(call)} <&-", shell=True, capture_output=True, text=True, check=False)  # noqa: S602
    assert done.returncode == 1
    assert "CS09" in done.stderr


def test_an_interrupt_ends_a_build_quietly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.chdir(tmp_path)
    Path("net.seed").write_text(sample.text())
    monkeypatch.setattr("cogseedc.driver.compile.publish", interrupted)
    assert run(("build", "net.seed", "-o", "art")) == 130
    assert not Path("art").exists()


@pytest.mark.parametrize("target", sample.TARGETS)
def test_inputs_are_checked_before_the_runtime_sees_them(target: str, tmp_path: Path) -> None:
    session = cogseedc.open(sample.built(tmp_path, target), threads=1)
    plain = session(x=sample.X)["y"]
    wide = np.repeat(sample.X, 2, axis=1)[:, ::2]
    for same in (wide, np.asfortranarray(sample.X), sample.X.astype(">f4"), sample.X[::-1][::-1]):
        np.testing.assert_array_equal(session(x=same)["y"], plain)
    read_only = sample.X.copy()
    read_only.flags.writeable = False
    np.testing.assert_array_equal(session(x=read_only)["y"], plain)
    refused: dict[str, dict[str, object]] = {
        "CS0843": {"x": sample.X, "z": sample.X},
        "CS0845": {"x": sample.X.astype(np.float64)},
        "CS0844": {"x": sample.X[:, :3]},
    }
    for code, given in refused.items():
        with pytest.raises(UserError) as caught:
            session(**given)
        assert [d.code for d in caught.value.diagnostics] == [code]


@pytest.mark.parametrize("target", sample.TARGETS)
def test_not_a_number_never_leaves_early(target: str, tmp_path: Path) -> None:
    session = cogseedc.open(sample.built(tmp_path, target), threads=1)
    x = np.array([[np.nan] * 4, [np.inf] * 4, [-np.inf] * 4, [1, 2, np.nan, 4], [5, 5, 5, 5]], np.float32)
    result = session(x=x, trace=True, knobs={"tau": 0.0})
    assert result.trace["early"].tolist() == [0, 0, 0, 0, 1], "softmax of infinities is not a number either"
    assert result.trace["g"].tolist() == [0, 1, 0, 0, -1]
