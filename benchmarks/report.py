"""Show the results of the benchmarks: tables in docs/maintain/performance.md, and pictures."""

import json
import re
from pathlib import Path
from statistics import median
from typing import Any

PAGE = Path(__file__).parents[1] / "docs" / "maintain" / "performance.md"
RESULTS = PAGE.with_suffix("")


def quantity(value: float, unit: str) -> str:
    """Return a value with three digits and its unit."""
    if unit == "s" and value < 0.1:
        value, unit = value * 1000, "ms"
    digits = 0 if value >= 100 else 1 if value >= 10 else 2
    return f"{value:,.{digits}f} {unit}".replace(" /", "/")


def draw_table(table: dict[str, Any]) -> str:
    """Return a table with the ratio of each row to the first, and to those of its target."""
    values = {row["what"]: row["values"] for row in table["rows"]}

    def ratio(what: str, other: str) -> float:
        pairs = zip(values[what], values[other], strict=True)
        return float(median(mine / others for mine, others in pairs))

    first = table["rows"][0]["what"]
    lines = [
        "| what | median | lowest to highest | memory | ratio | target |",
        "|---|---|---|---|---|---|",
    ]
    for row in table["rows"]:
        what, unit = row["what"], table["unit"]
        low, high = min(row["values"]), max(row["values"])
        targets = []
        for other, sign, bound in row["target"]:
            found = ratio(what, other)
            reached = found <= bound if sign == "≤" else found >= bound
            of = "" if other == first else f" of {other} ({found:.2f}×)"
            targets.append(f"{sign} {bound}×{of}: {'reached' if reached else '**missed**'}")
        lines.append(
            f"| {what} | {quantity(median(row['values']), unit)} "
            f"| {quantity(low, unit)} to {quantity(high, unit)} | {row['megabytes']:,} MB "
            f"| {ratio(what, first):.2f}× | {'; '.join(targets)} |"
        )
    return "\n".join(lines)


def draw_plot(path: Path, plot: dict[str, Any]) -> None:
    """Write a picture of how something grows."""
    # Only now: it would count as memory of the programs that are started before.
    import matplotlib as mpl  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    mpl.rcParams |= {"svg.fonttype": "none", "svg.hashsalt": path.stem, "font.size": 9}
    figure = Figure(figsize=(6.4, 3.2), layout="constrained")
    axes = figure.subplots()
    for name, points in plot["lines"].items():
        axes.plot(*zip(*points, strict=True), marker="o", markersize=3, label=name)
    axes.set(xlabel=plot["x"], ylabel=plot["y"], xscale="log")
    axes.set(**({"yscale": "log"} if plot.get("log") else {"ylim": (0, None)}))
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small", frameon=False)
    figure.savefig(path, metadata={"Date": None})


def show(result: dict[str, Any]) -> None:
    """Print the tables."""
    for title, table in result["tables"].items():
        print(f"\n{title}\n{draw_table(table)}")


def store(name: str, result: dict[str, Any]) -> None:
    """Keep a result, fill its places in the page and draw its pictures."""
    RESULTS.mkdir(exist_ok=True)
    text = json.dumps(result, ensure_ascii=False)
    (RESULTS / f"{name}.json").write_text(f"{text}\n", encoding="utf-8")
    for plot, content in result["plots"].items():
        draw_plot(RESULTS / f"{name}-{plot}.svg", content)

    def fill(match: re.Match[str]) -> str:
        start, block, end = match.groups()
        if block == "machine":
            drawn = f"{result['date']}: {result['machine']}."
        elif block in result["tables"]:
            drawn = draw_table(result["tables"][block])
        elif block in result["plots"]:
            plot = result["plots"][block]
            drawn = f"![{plot['y']} by {plot['x']}](performance/{name}-{block}.svg)"
        else:
            drawn = "Not measured yet."
        return f"{start}\n{drawn}\n\n{end}"

    block = rf"(<!-- measured {name} (\w+) -->\n).*?(<!-- end -->)"
    page = PAGE.read_text("utf-8")
    PAGE.write_text(re.sub(block, fill, page, flags=re.DOTALL), encoding="utf-8")
