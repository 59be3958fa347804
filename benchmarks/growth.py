"""The figures of the data room as a table for people (Markdown) and as a plot (SVG). Measures nothing."""

from html import escape
from typing import Any

COLOURS = {"seconds": "#2f6f4e", "MB": "#b5651d"}
WIDTH, ROW, LABEL = 720, 22, 190  # pixels


def steps(before: dict[str, Any], after: dict[str, Any]) -> dict[str, float]:
    """How time and memory grew from one size to another; `..._for_10` says it for ten times the rows where they are fewer."""
    times = after["rows"] / before["rows"]
    seconds, cpu, peak = (
        after[name]["median"] / before[name]["median"] for name in ("seconds", "cpu_seconds", "ingest_peak_mb")
    )
    return {
        "rows": times,
        "seconds": seconds,
        "seconds_for_10": seconds * 10 / times,
        "cpu_seconds": cpu,
        "ingest_peak_mb": peak,
    }


def table(figures: dict[str, Any], machine: dict[str, Any]) -> str:
    """Every figure that the targets name."""
    lines = [
        "| rows | IDX to snapshot, s | processor, s | peak of the ingest, MB | with the pin, MB | load |",
        "|" + " --- |" * 6,
    ]
    for point in figures["curve"]:
        spent, cpu, ingest, peak = (point[key]["median"] for key in ("seconds", "cpu_seconds", "ingest_peak_mb", "peak_mb"))
        lines.append(f"| {point['rows']:,} | {spent:.2f} | {cpu:.2f} | {ingest:.0f} | {peak:.0f} | {point['load']:.1f} |")
    lines += ["", "| rows grow by | time by | processor by | memory by |", "| --- | --- | --- | --- |"]
    lines += [
        f"| {each['rows']:.1f} | {each['seconds']:.1f} | {each['cpu_seconds']:.1f} | {each['ingest_peak_mb']:.2f} |"
        for each in figures["growth"]
    ]
    load = figures["load"]
    lines += ["", "| snapshot to every batch as a tensor | s | processor, s | peak, MB |", "| --- | --- | --- | --- |"]
    lines += [
        f"| {name} | {each['seconds']['median']:.3f} | {each['cpu_seconds']['median']:.3f} | {each['peak_mb']['median']:.0f} |"
        for name, each in load["contestants"].items()
    ]
    ratios, numpy, pixels = load["dataloader_over_ours"], load["ours_over_numpy"], load["ours_over_numpy_of_bytes"]
    lines += [
        "",
        *(
            f"- {name}: DataLoader's best takes {ratios[name]:.1f} times as long; {numpy[name]:.2f} times numpy.load "
            f"of the tensor, {pixels[name]:.2f} times that of the pixels, which are made tensors then."
            for name in ratios
        ),
    ]
    lines += ["", f"Pictures: {figures['pictures']}. Limits: {figures['limits']}. Every figure is of a fresh process, its"]
    lines += ["peak with the interpreter and all libraries (VmHWM), nothing subtracted.", "", f"{machine}"]
    return "\n".join(lines) + "\n"


def plot(figures: dict[str, Any]) -> str:
    """Time and peak memory as bars, one group a size."""
    parts, top = [], 8
    values = {"seconds": "seconds", "MB": "ingest_peak_mb"}
    most = {unit: max(point[name]["median"] for point in figures["curve"]) for unit, name in values.items()}
    for point in figures["curve"]:
        top += ROW
        parts.append(f'<text x="8" y="{top}" font-weight="bold">{point["rows"]:,} rows</text>')
        for unit, name in values.items():
            top += ROW
            value = point[name]["median"]
            length = max(1, value / most[unit] * (WIDTH - LABEL - 110))
            parts.append(f'<text x="{LABEL - 8}" y="{top}" text-anchor="end">{escape(unit)}</text>')
            parts.append(f'<rect x="{LABEL}" y="{top - 13}" width="{length:.0f}" height="16" fill="{COLOURS[unit]}"/>')
            parts.append(f'<text x="{LABEL + length + 6:.0f}" y="{top}">{value:,.1f} {unit}</text>')
        top += 12
    size = f'width="{WIDTH}" height="{top}" viewBox="0 0 {WIDTH} {top}"'
    back = f'<rect width="{WIDTH}" height="{top}" fill="white"/>'
    title = "<title>Time and memory from IDX files to a snapshot, less is better</title>"
    style = 'font-family="sans-serif" font-size="13"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} {style}>{title}{back}{"".join(parts)}</svg>\n'
