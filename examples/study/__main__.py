"""Runs the studies: `make study`, `make study ONLY=digits`. Prints a row for each and writes build/study/study.json."""

from __future__ import annotations

import argparse
import os
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from cogseedc.publish import canonical_json, write_file

from .data import Absent
from .flow import FINAL, Result, Study, means, speed
from .studies import STUDIES, one_seed


def main() -> int:
    """0 when every figure that could be measured was reached."""
    names = [study.name for study in STUDIES]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=["", *names], default="")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--output", type=Path, default=Path("build/study"))
    parser.add_argument(
        "--jobs", type=int, default=min(4, os.cpu_count() or 1), help="seeds at a time, one thread each"
    )
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    console = Console(highlight=False, soft_wrap=True)
    console.width = max(console.width, 160)  # the table has long words
    done: dict[str, Any] = {}
    for study in STUDIES:
        if not chosen.only or study.name == chosen.only:
            done[study.name] = _study(study, chosen, console)
    write_file(chosen.output / "study.json", canonical_json(done, indent=1))
    console.print(_table(done))
    console.print(f"all figures: {chosen.output / 'study.json'}")
    return int(any(not found.get("reached", True) for found in done.values()))


def _study(study: Study, chosen: argparse.Namespace, console: Console) -> Result:
    start = time.perf_counter()
    place = chosen.output / study.name
    try:
        splits = study.splits()
    except Absent as error:
        console.print(f"[bold]{study.name}[/] skipped: {error}")
        return {"skipped": str(error), "goal": study.goal}
    results = []
    with ProcessPoolExecutor(chosen.jobs, get_context("spawn"), torch.set_num_threads, (1,)) as pool:
        for rng, found in enumerate(pool.map(partial(one_seed, study.name, place), range(chosen.seeds))):
            results.append(found)
            console.print(f"[bold]{study.name}[/] seed {rng}: {_line(found)}")
    mean = means(results)
    mean["speed"] = speed(place / "0" / FINAL, splits)
    cpu = sum(found["cpu_seconds"] for found in results)
    spent = {"wall": time.perf_counter() - start, "cpu": cpu}
    alike = mean["decisions"]["differ_outside_the_band"] == 0
    reached = study.reached(mean) and alike
    return {"goal": study.goal, "reached": reached, "mean": mean, "seeds": results, "seconds": spent}


def _line(found: Result) -> str:
    """One seed of a study."""
    text = f"{found['accuracy']:.2%}, beside {found['full_accuracy']:.2%}"
    if "share_of_macs" in found:
        text += f", at {found['share_of_macs']:.1%} of the MACs"
    return f"{text}; {found['seconds']:.0f} s"


def _table(done: dict[str, Any]) -> Table:
    made = Table(title="means over the seeds, test data; thresholds from validation data", title_justify="left")
    for name in ("data", "accuracy", "beside", "points", "MACs", "more", "seconds", "goal"):
        made.add_column(name)
    for name, found in done.items():
        if "skipped" in found:
            made.add_row(name, "", "", "", "", "", "", f"skipped: {found['skipped']}")
            continue
        mean = found["mean"]
        points = mean["points_gained"] if "points_gained" in mean else -mean["points_lost"]
        made.add_row(
            name,
            f"{mean['accuracy']:.2%}",
            f"{mean['full_accuracy']:.2%}",
            f"{points:+.2f}",
            f"{mean['share_of_macs']:.1%}" if "share_of_macs" in mean else "equal",
            _more(mean),
            f"{found['seconds']['wall']:.0f}",
            f"{'reached' if found['reached'] else 'MISSED'}: {found['goal']}",
        )
    return made


def _more(mean: Result) -> str:
    parts = []
    outside = mean["decisions"]["differ_outside_the_band"]
    parts.append(f"{outside:g} decisions of ONNX Runtime differ")
    if "open" in mean:
        parts.append(f"gates open for {', '.join(f'{rate:.0%}' for rate in mean['open'].values())}")
        parts.append(f"{mean['points_over_chance']:+.2f} points over chance at the same rates")
        parts.append(f"{mean['points_over_fewer_blocks']:+.2f} over fewer blocks")
    if "share_of_cheapest_as_good" in mean.get("static", {}):
        parts.append(f"{mean['static']['share_of_cheapest_as_good']:.0%} of the cheapest static net as good")
    if "share_of_frames" in mean:
        parts.append(f"{mean['share_of_frames']:.1%} of the frames")
    if "capped" in mean:
        capped = mean["capped"]
        parts.append(f"out of scope {mean['shifted']['out of scope']:.1%}, capped {capped['out_of_scope_share']:.1%}")
    for batch, figures in mean["speed"].items():
        parts.append(f"{batch}: {figures['x everything']:.1f}x, {figures['efficiency']:.0%} of the limit")
    return "; ".join(parts)


if __name__ == "__main__":
    raise SystemExit(main())
