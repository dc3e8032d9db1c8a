"""The studies, small: the digits' whole way with few epochs, readers on data made here, and what is said without data."""

from __future__ import annotations

import io
import json
import tarfile
import wave
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import cogseedc
from cogseedc.data import DataSet
from cogseedc.train import Options
from examples.study import data
from examples.study.__main__ import main
from examples.study.agreement import agreement
from examples.study.flow import HERE, means, run
from examples.study.studies import STUDIES
from examples.study.versus import skipping

DIGITS = next(study for study in STUDIES if study.name == "digits")


@pytest.mark.slow
def test_digits(tmp_path: Path) -> None:
    options = Options(phases=(("joint", 12),), rate=8e-3, shift=1)
    study = replace(DIGITS, options=options, extra=lambda artifact, splits: {})
    found = run(study, data.digits(), 0, tmp_path, page=True)
    assert found["accuracy"] > 0.95
    assert found["points_lost"] <= 1.5
    assert found["share_of_macs"] <= 0.10
    assert found["decisions"]["differ_outside_the_band"] == 0
    assert found["baselines"]["oracle: the cheapest exit that is right"]["accuracy"] >= found["accuracy"]
    assert (tmp_path / "report.html").stat().st_size > 20_000
    assert means([found, found])["accuracy"] == pytest.approx(found["accuracy"])


@pytest.mark.slow
def test_skipped_blocks_are_compared_with_networks_of_no_more_work(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    rows = DataSet({"image": draw.random((64, 1, 28, 28), np.float32)}, {"logits": draw.integers(0, 10, 64)})
    found = skipping(data.Splits(rows, rows, rows), Options(phases=(("joint", 1),), batch=32), 0, tmp_path)
    assert all(net["macs"] <= max(found["macs"], 1e4) for net in found["narrower"].values())
    best = max(net["accuracy"] for net in found["narrower"].values())
    assert found["points_gained"] == pytest.approx(100 * (found["accuracy"] - best))
    assert found["decisions"]["gates"] == len(found["open"])


@pytest.mark.parametrize("study", STUDIES, ids=lambda study: study.name)
def test_each_program_checks_and_fits_its_data(study: object) -> None:
    assert cogseedc.load(study.source, seed=study.seed).report()  # type: ignore[attr-defined]


def test_without_data_a_study_is_skipped_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COGSEEDC_DATA", str(tmp_path / "nothing"))
    monkeypatch.setattr("sys.argv", ["study", "--only", "clinc150", "--output", "out"])
    assert main() == 0
    assert "set COGSEEDC_DATA" in capsys.readouterr().out
    assert "skipped" in json.loads((tmp_path / "out" / "study.json").read_bytes())["clinc150"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COGSEEDC_DATA", str(tmp_path))
    return tmp_path


def test_clinc150_is_read(folder: Path) -> None:
    rows = [["what is the time", "time"], ["time's up", "time"], ["book a table for 12", "book"]]
    table = dict.fromkeys(("train", "val", "test"), rows) | {"oos_test": [["unknown words here", "oos"]]}
    (folder / "clinc150").mkdir()
    (folder / "clinc150" / "data_full.json").write_text(json.dumps(table))
    found = data.clinc150()
    assert found.train.classes == ("book", "time")
    assert found.train.targets["logits"].tolist() == [1, 1, 0]
    query = found.train.inputs["query"]
    assert query[0, 3] == query[1, 0], "the same word has the same number"
    assert (query[2] > 0).sum() == 6, "each figure is a word"
    assert found.outside is not None
    assert found.outside.inputs["query"][0, :4].tolist() == [1, 1, 1, 0]


def test_fsdd_is_read(folder: Path) -> None:
    (folder / "fsdd").mkdir()
    with tarfile.open(folder / "fsdd" / "recordings.tar.xz", "w:xz") as tar:
        for digit in range(2):
            for take in range(12):
                buffer = io.BytesIO()
                with wave.open(buffer, "wb") as sound:
                    sound.setnchannels(1)
                    sound.setsampwidth(2)
                    sound.setframerate(8000)
                    tone = np.sin(2 * np.pi * (500 + 1500 * digit) * np.arange(1000 + 100 * take) / 8000)
                    sound.writeframes((tone * 20_000).astype("<i2").tobytes())
                member = tarfile.TarInfo(f"recordings/{digit}_ann_{take}.wav")
                member.size = len(buffer.getvalue())
                tar.addfile(member, io.BytesIO(buffer.getvalue()))
    found = data.fsdd()
    assert len(found.test) == 10, "takes 0 to 4"
    assert found.test.inputs["frames"].tolist() == [9, 10, 11, 12, 13] * 2, "1 + (samples - 200) / 100"
    loudest = found.test.inputs["sound"][:, 0].argmax(-1)
    assert loudest[0] < loudest[5], "the second tone is higher"
    kept = next(iter(found.test.inputs.values()))[0, 9:]
    assert not kept.any(), "nothing behind a recording's end"


def test_vowels_are_read(folder: Path) -> None:
    (folder / "timeseries").mkdir()
    lines = ["# a comment", "@problemName vowels", "@data"]
    lines += [f"{','.join(['1'] * (3 + i))}:{','.join(['2'] * (3 + i))}:{1 + i % 2}" for i in range(8)]
    for name in ("TRAIN", "TEST"):
        (folder / "timeseries" / f"JapaneseVowels_{name}.ts").write_text("\n".join(lines))
    found = data.vowels()
    assert found.test.inputs["frames"].tolist() == list(range(3, 11))
    assert found.test.targets["logits"].tolist() == [0, 1] * 4
    assert found.test.inputs["sound"].shape == (8, 29, 2)


def test_held_out_rows_are_others() -> None:
    classes = np.repeat([0, 1, 2], 40)
    rest, held = data.held_out(120, 0.25, classes)
    assert sorted([*rest, *held]) == list(range(120))
    assert np.bincount(classes[held]).tolist() == [10, 10, 10]


def test_programs_of_the_studies_are_laid_out() -> None:
    from tests import whole

    for source in sorted(HERE.glob("*.seed")):
        whole.is_laid_out(source)


GATED = """\
export seed Net {
    in  x: f32[N, D=6]
    out logits: f32[N, K=3]
    knob slack = 0.0 in 0 .. 1
    knob tau = 0.6 in 0 .. 1
    gate more over N = (x |> linear[S=1])[S=0] > slack
    h = when more { x |> linear[D] |> relu } else { x }
    exit early { logits = h |> linear[K] } when confidence(logits) >= tau
    logits = h |> linear[16] |> relu |> linear[K]
}
"""


def test_decisions_are_compared_at_every_gate(tmp_path: Path) -> None:
    program = cogseedc.load(GATED)
    module = cogseedc.build(program, rng=0).eval()
    artifact = str(cogseedc.compile(program, "onnx-cpu", tmp_path / "net", weights=module.state_dict()))
    draw = np.random.default_rng(0)
    rows = DataSet({"x": draw.standard_normal((200, 6), np.float32)}, {"logits": draw.integers(0, 3, 200)})
    alike = agreement(artifact, module, rows)
    assert alike == {"gates": 2, "differ": 0, "differ_outside_the_band": 0, "samples": 200}
    other = agreement(artifact, cogseedc.build(program, rng=1).eval(), rows)
    assert other["differ"] >= other["differ_outside_the_band"] > 50
    for scale, outside in ((1 + 1e-5, 0), (1.5, 1)):  # the exit's scores move a little, or much
        moved = cogseedc.build(program, rng=0).eval()
        state = {k: v * scale if "early" in k else v for k, v in module.state_dict().items()}
        moved.load_state_dict(state)
        assert min(agreement(artifact, moved, rows)["differ_outside_the_band"], 1) == outside


def test_spoken_otherwise_is_near_what_was_spoken() -> None:
    draw = np.random.default_rng(0)
    frames = np.array([10, 40, 90])
    sound = np.where(np.arange(64)[None, :, None] < frames[:, None, None], 1 + draw.random((3, 64, 24)), 0)
    same, count = data.spoken_otherwise(sound, frames, 0.0, draw)
    assert np.array_equal(same, sound.astype(np.float32))
    assert count.tolist() == [10, 40, 64], "what is behind the last frame is not read"
    other, count = data.spoken_otherwise(sound, frames, 1.0, draw)
    assert (np.abs(count - [10, 40, 64]) <= [4, 10, 14]).all()
    for row, heard in zip(other, count, strict=True):
        assert row[:heard].any(1).all(), "every frame has something"
        assert not row[heard:].any(), "nothing behind the end"
        assert (~row[:heard].any(0)).sum() <= 5, "at most five bands are missing"
