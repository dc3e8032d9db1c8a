"""Reads the data sets of the studies from a folder that a variable names; downloads nothing.

`COGSEEDC_DATA` is the folder, by default `../shared/data` beside the checkout. It holds `mnist/mnist-pngs.tar.xz`,
`clinc150/data_full.json`, `fsdd/recordings.tar.xz` and `timeseries/JapaneseVowels_*.ts`, as their publishers have them.
"""

from __future__ import annotations

import io
import json
import os
import re
import tarfile
import wave
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cogseedc.data import DataSet, part_of
from cogseedc.data.sources import read_columns

CACHE = Path("build/study/data")


class Absent(Exception):  # noqa: N818  # no error: the study is skipped
    """A data set that is not here; the message says where it was looked for."""


@dataclass(frozen=True)
class Splits:
    """Thresholds are chosen on `validation`; `test` is looked at once. `outside`: inputs without a right answer."""

    train: DataSet
    validation: DataSet
    test: DataSet
    outside: DataSet | None = None


def path(*parts: str) -> Path:
    """A file of the folder. Raises Absent."""
    beside = Path(__file__).resolve().parents[2].parent / "shared" / "data"
    folder = Path(os.environ.get("COGSEEDC_DATA", beside))
    found = folder.joinpath(*parts)
    if not found.exists():
        raise Absent(f"{'/'.join(parts)} is not in the data folder (set COGSEEDC_DATA to it)")
    return found


def held_out(count: int, share: float, classes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows to train on and rows to choose thresholds on, every class in about equal shares."""
    draw = np.random.default_rng(0)
    place = np.empty(count)
    for name in np.unique(classes):
        rows = draw.permutation(np.flatnonzero(classes == name))
        place[rows] = (np.arange(len(rows)) + 0.5) / len(rows)
    return np.flatnonzero(place >= share), np.flatnonzero(place < share)


def noisy(data: DataSet, copies: int = 5, spread: float = 0.2) -> DataSet:
    """The samples and copies with noise, as in training: more to choose a threshold on where there are few."""
    draw = np.random.default_rng(0)
    inputs = {}
    for name, array in data.inputs.items():
        turns = [array]
        for _ in range(copies):
            noise = spread * draw.standard_normal(array.shape) if array.dtype.kind == "f" else 0
            turns.append((array + noise).astype(array.dtype))
        inputs[name] = np.concatenate(turns)
    targets = {name: np.concatenate([target] * (copies + 1)) for name, target in data.targets.items()}
    return DataSet(inputs, targets, data.classes)


def digits() -> Splits:
    """scikit-learn's 1,797 digits of 8x8 pixels."""
    columns = read_columns("sklearn:digits")
    parts = [part_of(columns, name).arrays for name in ("train", "validation", "test")]
    return Splits(*(DataSet({"image": a["features"][:, None]}, {"logits": a["label"]}) for a in parts))


def mnist() -> Splits:
    """60,000 and 10,000 digits of 28x28 pixels; 5,000 of the first are held out."""
    kept = CACHE / "mnist.npz"
    if not kept.exists():
        _unpack_mnist(path("mnist", "mnist-pngs.tar.xz"), kept)
    with np.load(kept) as arrays:
        images = {n: arrays[n][:, None].astype(np.float32) / 255 for n in ("train", "test")}
        labels = {n: arrays[f"{n}_label"].astype(np.int64) for n in ("train", "test")}
    rest, held = held_out(len(labels["train"]), 1 / 12, labels["train"])

    def part(name: str, rows: np.ndarray) -> DataSet:
        return DataSet({"image": images[name][rows]}, {"logits": labels[name][rows]})

    return Splits(part("train", rest), part("train", held), part("test", np.arange(10_000)))


def _unpack_mnist(archive: Path, place: Path) -> None:
    from PIL import Image

    found: dict[str, list[tuple[int, int, np.ndarray]]] = {"train": [], "test": []}
    with tarfile.open(archive) as tar:
        for member in tar:
            match = re.fullmatch(r"(train|test)/(\d)/(\d+)\.png", member.name)
            if match:
                data = tar.extractfile(member)
                assert data is not None
                image = np.asarray(Image.open(io.BytesIO(data.read())))
                found[match[1]].append((int(match[3]), int(match[2]), image))
    arrays = {}
    for name, rows in found.items():
        rows.sort(key=lambda row: row[0])
        arrays[name] = np.stack([image for _, _, image in rows])
        arrays[f"{name}_label"] = np.array([label for _, label, _ in rows], np.uint8)
    _keep(place, arrays)


def clinc150(words: int = 6000, length: int = 28) -> Splits:
    """22,500 queries of 150 intents, with their own three splits, and 1,000 queries of no intent."""
    table = json.loads(path("clinc150", "data_full.json").read_text(encoding="utf-8"))
    intents = sorted({intent for _, intent in table["train"]})
    counts: dict[str, int] = {}
    for text, _ in table["train"]:
        for word in _words(text):
            counts[word] = counts.get(word, 0) + 1
    known = sorted(counts, key=lambda word: (-counts[word], word))[: words - 2]
    number = {word: i + 2 for i, word in enumerate(known)}  # 0: nothing there, 1: a word that training never saw

    def ids(rows: list[list[str]]) -> np.ndarray:
        found = np.zeros((len(rows), length), np.int64)
        for i, (text, _) in enumerate(rows):
            for j, word in enumerate(_words(text)[:length]):
                found[i, j] = number.get(word, 1)
        return found

    def part(name: str) -> DataSet:
        label = np.array([intents.index(intent) for _, intent in table[name]], np.int64)
        return DataSet({"query": ids(table[name])}, {"logits": label}, tuple(intents))

    return Splits(part("train"), part("val"), part("test"), DataSet({"query": ids(table["oos_test"])}, {}))


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z]+|\d|'[a-z]+", text.lower())


def fsdd(most: int = 64, bands: int = 24) -> Splits:
    """3,000 spoken digits as frames of 25 ms, every 12.5 ms: logarithms of the power in mel bands.

    What lies behind frame `most` is not read (1 % of the recordings are longer), but it counts in `frames`.
    """
    kept = CACHE / f"fsdd-{most}-{bands}.npz"
    if not kept.exists():
        _unpack_fsdd(path("fsdd", "recordings.tar.xz"), kept, most, bands)
    with np.load(kept) as arrays:
        sound, frames, label, take = (arrays[n] for n in ("sound", "frames", "label", "take"))
    rest = np.flatnonzero(take >= 5)  # takes 0 to 4 are the official test set
    train, held = held_out(len(rest), 0.1, label[rest])
    heard = sound[rest[train]][_there(frames[rest[train]], most)]
    sound = np.where(_there(frames, most)[:, :, None], (sound - heard.mean(0)) / heard.std(0), 0).astype(np.float32)

    def part(rows: np.ndarray, copies: int = 0, strength: float = 0.0) -> DataSet:
        draw = np.random.default_rng(0)
        turns = [(sound[rows], frames[rows])]
        turns += [spoken_otherwise(sound[rows], frames[rows], strength, draw) for _ in range(copies)]
        joined, counts = (np.concatenate([turn[i] for turn in turns]) for i in (0, 1))
        return DataSet({"sound": joined, "frames": counts}, {"logits": np.tile(label[rows], copies + 1)})

    test = np.flatnonzero(take < 5)
    return Splits(part(rest[train], 11, 1.0), part(rest[held], 5, 0.3), part(test))


def _there(frames: np.ndarray, most: int) -> np.ndarray:
    """[n, most]: which frames a recording has."""
    return np.asarray(np.arange(most) < frames[:, None])


def spoken_otherwise(
    sound: np.ndarray, frames: np.ndarray, strength: float, draw: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Recordings [n, t, bands] and their lengths, as if spoken up to 15 % faster or slower, begun up to two frames
    sooner or later, louder or quieter, with noise, and with up to five bands missing (SpecAugment: Park et al. 2019,
    arXiv 1904.08779). At `strength` 0 they are the same."""
    count, most, bands = sound.shape
    last = np.minimum(frames, most)[:, None] - 1
    speed = 1 + 0.15 * strength * draw.uniform(-1, 1, (count, 1))
    begin = np.round(2 * strength * draw.uniform(-1, 1, (count, 1)))
    place = np.clip(np.arange(most) * speed + begin, 0, last)
    low = place.astype(np.int64)
    above, row = (place - low)[:, :, None], np.arange(count)[:, None]
    moved = sound[row, low] * (1 - above) + sound[row, np.minimum(low + 1, last)] * above
    moved += 0.3 * strength * (draw.standard_normal((count, 1, 1)) + draw.standard_normal(moved.shape))
    first, wide = draw.integers(0, bands, (count, 1)), draw.integers(0, round(5 * strength) + 1, (count, 1))
    missing = (np.arange(bands) >= first) & (np.arange(bands) < first + wide)
    heard = np.clip(np.round((last[:, 0] + 1 - begin[:, 0].clip(0)) / speed[:, 0]), 1, most).astype(np.int64)
    shown = _there(heard, most)[:, :, None] & ~missing[:, None]
    return np.where(shown, moved, 0).astype(np.float32), heard


def _unpack_fsdd(archive: Path, place: Path, most: int, bands: int) -> None:
    rows = []
    with tarfile.open(archive) as tar:
        for member in sorted(tar.getmembers(), key=lambda m: m.name):
            match = re.fullmatch(r"recordings/(\d)_\w+_(\d+)\.wav", member.name)
            data = tar.extractfile(member)
            if match and data is not None:
                with wave.open(io.BytesIO(data.read())) as sound:
                    samples = np.frombuffer(sound.readframes(sound.getnframes()), "<i2") / 32768
                rows.append((int(match[1]), int(match[2]), _mel(samples, bands)))
    padded = np.zeros((len(rows), most, bands), np.float32)
    for i, (_, _, frames) in enumerate(rows):
        padded[i, : len(frames)] = frames[:most]
    numbers = {n: np.array([row[i] for row in rows], np.int64) for i, n in enumerate(("label", "take"))}
    _keep(place, {"sound": padded, "frames": np.array([len(row[2]) for row in rows], np.int64), **numbers})


def _mel(samples: np.ndarray, bands: int, rate: int = 8000, size: int = 200, step: int = 100) -> np.ndarray:
    """Frames [t, bands]."""
    count = max(1, 1 + (len(samples) - size) // step)
    samples = np.pad(samples, (0, max(0, size - len(samples))))
    windows = samples[np.arange(size) + step * np.arange(count)[:, None]] * np.hanning(size)
    power = np.abs(np.fft.rfft(windows, 256)) ** 2
    edges = 700 * (10 ** (np.linspace(0, 2595 * np.log10(1 + rate / 2 / 700), bands + 2) / 2595) - 1)
    bins = np.linspace(0, rate / 2, power.shape[1])
    rising = (bins - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - bins) / (edges[2:] - edges[1:-1])[:, None]
    return np.asarray(np.log(power @ np.clip(np.minimum(rising, falling), 0, None).T + 1e-6))


def vowels(most: int = 29) -> Splits:
    """640 recordings of two Japanese vowels by nine speakers: 12 coefficients a step, 7 to 29 steps."""
    parts = {name: _series(path("timeseries", f"JapaneseVowels_{name}.ts"), most) for name in ("TRAIN", "TEST")}
    sound, _, label = parts["TRAIN"]
    mean, spread = sound.mean((0, 1)), sound.std((0, 1))
    train, held = held_out(len(label), 0.3, label)

    def part(of: tuple[np.ndarray, np.ndarray, np.ndarray], rows: np.ndarray) -> DataSet:
        here = (np.arange(most) < of[1][rows, None])[:, :, None]
        scaled = np.where(here, (of[0][rows] - mean) / spread, 0).astype(np.float32)
        return DataSet({"sound": scaled, "frames": of[1][rows]}, {"logits": of[2][rows]})

    every = np.arange(len(parts["TEST"][2]))
    return Splits(part(parts["TRAIN"], train), noisy(part(parts["TRAIN"], held)), part(parts["TEST"], every))


def _series(file: Path, most: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Values [n, most, channels], lengths, and classes of a .ts file."""
    rows = []
    for line in file.read_text(encoding="utf-8").splitlines():
        if line and line[0] not in "#@":
            *channels, label = line.split(":")
            values = np.array([[float(v) for v in channel.split(",")] for channel in channels], np.float32).T
            rows.append((values[:most], label.strip()))
    names = sorted({label for _, label in rows})
    padded = np.zeros((len(rows), most, rows[0][0].shape[1]), np.float32)
    for i, (values, _) in enumerate(rows):
        padded[i, : len(values)] = values
    frames = np.array([len(values) for values, _ in rows], np.int64)
    return padded, frames, np.array([names.index(label) for _, label in rows], np.int64)


def _keep(place: Path, arrays: dict[str, np.ndarray]) -> None:
    from cogseedc.publish import write_file

    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    write_file(place, buffer.getvalue())
