"""Judges `sim nab`: scores its CSV files again, by the benchmark's rules and with no code in common, and compares.

Usage: judge_nab.py CORPUS CSV_FOLDER REPORT_JSON (as printed by `sim nab --out CSV_FOLDER --format json`)

Every threshold that occurs is tried for the whole corpus, by sums over rows; the report must name a best one.
"""

import csv
import json
import math
import sys
from pathlib import Path

PROFILES = {"standard": "standard", "low_fp": "reward_low_FP_rate", "low_fn": "reward_low_FN_rate"}
TOLERANCE = 1e-6


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def sigmoid(x: float) -> float:
    return -1.0 if x > 3 else 2 / (1 + math.exp(5 * x)) - 1


class Series:
    """A series with its scores: for each row that counts its score, its place, and the window it lies in."""

    def __init__(self, name: str, data: list, scored: list, limits: list) -> None:
        assert len(data) == len(scored), f"{name}: {len(scored)} scores for {len(data)} rows"
        for before, after in zip(data, scored):
            same = before["timestamp"] == after["timestamp"] and float(before["value"]) == float(after["value"])
            assert same, f"{name}: {after} is no row of the series, which has {before}"
        times = [row["timestamp"] for row in data]
        windows = [[times.index(limit.removesuffix(".000000")) for limit in window] for window in limits]
        self.windows = [(name, first) for first, _ in windows]
        self.rows = []  # (score, window or None, place)
        for i in range(min(math.floor(0.15 * len(data)), 750), len(data)):
            score = float(scored[i]["anomaly_score"])
            assert 0 <= score <= 1, f"{name}: row {i} scores {score}"
            inside = [(a, b) for a, b in windows if a <= i <= b]
            before = [(a, b) for a, b in windows if b < i]
            if inside:
                a, b = inside[0]
                self.rows.append((score, (name, a), -(b - i + 1) / (b - a + 1)))
            elif before:
                a, b = before[-1]
                self.rows.append((score, None, (i - b) / (b - a)))
            else:
                self.rows.append((score, None, math.inf))


def value(series: list, costs: dict, threshold: float | None) -> float | None:
    """The normalised score with one threshold, straight from the rules."""
    found, alarms, windows = {}, 0.0, [window for one in series for window in one.windows]
    for one in series:
        for score, window, place in one.rows:
            if threshold is None or score < threshold:
                continue
            if window is None:
                alarms += costs["fpWeight"] * sigmoid(place)
            else:
                worth = costs["tpWeight"] * sigmoid(place) / sigmoid(-1)
                found[window] = max(found.get(window, -math.inf), worth)
    if not windows:
        return None
    missed = costs["fnWeight"] * (len(windows) - len(found))
    null, perfect = -costs["fnWeight"] * len(windows), costs["tpWeight"] * len(windows)
    return 100 * (sum(found.values()) + alarms - missed - null) / (perfect - null)


def best(series: list, costs: dict) -> float:
    """The highest normalised score of all thresholds, by going through the rows from the highest score down."""
    windows = sum(len(one.windows) for one in series)
    null, perfect = -costs["fnWeight"] * windows, costs["tpWeight"] * windows
    ordered = sorted((row for one in series for row in one.rows), key=lambda row: -row[0])
    total = highest = null
    found: dict = {}
    for n, (score, window, place) in enumerate(ordered):
        if window is None:
            total += costs["fpWeight"] * sigmoid(place)
        else:
            worth = costs["tpWeight"] * sigmoid(place) / sigmoid(-1)
            known = found.get(window, -costs["fnWeight"])
            found[window] = max(worth, found.get(window, -math.inf))
            total += found[window] - known
        if n + 1 == len(ordered) or ordered[n + 1][0] != score:
            highest = max(highest, total)
    return 100 * (highest - null) / (perfect - null)


def agree(what: str, ours: float | None, theirs: float | None) -> None:
    same = ours == theirs if None in (ours, theirs) else abs(ours - theirs) < TOLERANCE
    assert same, f"{what}: the report says {theirs}, and its files give {ours}"


def main(corpus: Path, folder: Path, report: Path) -> None:
    told = json.loads(report.read_text())
    profiles = json.loads((corpus / "config/profiles.json").read_text())
    labels = json.loads((corpus / "labels/combined_windows.json").read_text())
    names = sorted(labels)
    files = sorted(str(path.relative_to(folder)) for path in folder.rglob("*.csv"))
    assert files == names, f"the folder holds other series than the labels: {set(files) ^ set(names)}"
    series = [Series(name, rows(corpus / "data" / name), rows(folder / name), labels[name]) for name in names]
    held_out = [one for n, one in enumerate(series) if n % 3 == 2]
    training = [one for n, one in enumerate(series) if n % 3 != 2]
    for key, name in PROFILES.items():
        costs = profiles[name]["CostMatrix"]
        threshold, trained = told["thresholds"][key], told["training_thresholds"][key]
        agree(f"{key}, at its threshold", value(series, costs, threshold), told[key])
        agree(f"{key}, at the best threshold", best(series, costs), told[key])
        agree(f"{key}, training", best(training, costs), told["training"][key])
        agree(f"{key}, training at its threshold", value(training, costs, trained), told["training"][key])
        agree(f"{key}, held out", value(held_out, costs, trained), told["held_out"][key])
        for category, scores in told["categories"].items():
            of_category = [one for name, one in zip(names, series) if name.startswith(f"{category}/")]
            agree(f"{key}, {category}", value(of_category, costs, threshold), scores[key])
        print(f"{key}: {told[key]:.2f}, as the report says; held out {told['held_out'][key]:.2f}")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
