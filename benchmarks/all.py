"""Every line of the table of speed, as Markdown and as a picture.

    python -m benchmarks.all [--quick] [--rounds N] [--write]

It takes some minutes, with --quick less than two. With --write, the figures replace those in
docs/explanation/performance.md, and its picture beside it is drawn. A benchmark that fails is told and left out;
the others go on. The exit status is 1 where a goal is missed.
"""

from __future__ import annotations

import statistics
import sys
from importlib import import_module
from typing import TYPE_CHECKING

from benchmarks import growth
from benchmarks.common import ROOT, Bench, Line, benched, in_unit, shown

if TYPE_CHECKING:
    from benchmarks.growth import Growth

BENCHMARKS = (
    *("kernel", "warm", "warm_prime", "known_generation", "cold", "concurrent"),
    *("cold_pip", "nothing_there", "matrix"),
)
BEGIN, END = "<!-- begin of the figures -->\n", "<!-- end of the figures -->\n"
PICTURE = "performance.svg"


def main() -> int:
    """Measure everything, print it and, if asked, write it."""
    with benched(None, __doc__ or "") as (bench, options):
        about = bench.versions_line()
        print(about, flush=True)
        lines = []
        for name in BENCHMARKS:
            for line in measured(name, bench):
                print(shown(line), flush=True)
                lines.append(line)
        series = grown(bench)
    text = figures(about, lines, series)
    print("\n" + text)
    if options.write:
        write(text, lines, about)
    return 0 if lines and all(line.is_met for line in lines) and all(one.is_linear_at_most for one in series) else 1


def measured(name: str, bench: Bench) -> list[Line]:
    """Return what a benchmark found; one that fails is told, and does not take the others with it."""
    try:
        lines: list[Line] = import_module(f"benchmarks.{name}").measure(bench)
    except (SystemExit, Exception) as error:  # noqa: BLE001 - whatever it is, it is told
        print(f"benchmarks.{name} failed: {error}", flush=True)
        return []
    return lines


def grown(bench: Bench) -> list[Growth]:
    """Return the series, none where they fail."""
    try:
        return growth.measure(bench)
    except (SystemExit, Exception) as error:  # noqa: BLE001 - whatever it is, it is told
        print(f"benchmarks.growth failed: {error}", flush=True)
        return []


def figures(about: str, lines: list[Line], series: list[Growth]) -> str:
    """Return everything that was measured, as Markdown."""
    rows = ["| what | ours | against | theirs | ratio | goal | |", "|---|---|---|---|---|---|---|"]
    for line in lines:
        ours, theirs = (_median_and_spread(taken, line.unit) for taken in (line.ours, line.others))
        what = line.what + (f" ({line.note})" if line.note else "")
        verdict = "met" if line.is_met else "missed"
        rows.append(f"| {what} | {ours} | {line.peer} | {theirs} | {line.ratio:.2f} | ≤ {line.goal:g} | {verdict} |")
    table = "\n".join(rows) + "\n"
    told = f"Measured with {about}. Medians of interleaved rounds, the smallest and largest in brackets.\n"
    return f"{told}\n{table}\n{growth.table(series)}"


def _median_and_spread(taken: list[float], unit: str) -> str:
    middle = in_unit(statistics.median(taken), unit)
    return middle if len(set(taken)) == 1 else f"{middle} ({in_unit(min(taken), unit)} to {in_unit(max(taken), unit)})"


def picture(lines: list[Line], about: str) -> str:
    """Return the ratios as bars, each with its goal, as SVG."""
    height, left, width = 30, 280, 420
    scale = width / 2.2
    body = []
    for number, line in enumerate(lines):
        top = 46 + number * height
        shown_ratio, color = min(line.ratio, 2.2), "#2e7d32" if line.is_met else "#c62828"
        goal = left + scale * min(line.goal, 2.2)
        body += [
            f'<text x="{left - 10}" y="{top + 15}" text-anchor="end">{_escaped(line.what)}</text>',
            f'<rect x="{left}" y="{top + 3}" width="{scale * shown_ratio:.1f}" height="16" fill="{color}"/>',
            f'<line x1="{goal:.1f}" x2="{goal:.1f}" y1="{top}" y2="{top + 22}" stroke="#000" stroke-width="2"/>',
            f'<text x="{left + width + 20}" y="{top + 15}">{line.ratio:.2f} of {_escaped(line.peer)}</text>',
        ]
    total = 60 + len(lines) * height
    one = left + scale
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="-20 0 1220 {total}"',
            '     font-family="sans-serif" font-size="13">',
            f"<title>Time as a ratio to the peer's; {_escaped(about)}</title>",
            f'<rect x="-20" width="1220" height="{total}" fill="#fff"/>',
            f'<text x="{left}" y="22">time by the peer\'s: shorter is faster; the black mark is the goal</text>',
            f'<line x1="{one:.1f}" x2="{one:.1f}" y1="36" y2="{total - 12}" stroke="#999" stroke-dasharray="3 3"/>',
            *body,
            "</svg>\n",
        ]
    )


def _escaped(text: str) -> str:
    return text.replace("`", "").replace("&", "&amp;").replace("<", "&lt;")


def write(text: str, lines: list[Line], about: str) -> None:
    """Put the figures into the page and draw the picture."""
    page = ROOT / "docs" / "explanation" / "performance.md"
    before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    page.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")
    (page.parent / PICTURE).write_text(picture(lines, about), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
