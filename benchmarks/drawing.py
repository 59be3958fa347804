"""The endpoint's figures as a table for people (Markdown) and as a plot (SVG). Measures nothing."""

from html import escape
from typing import Any

STEPS = {
    "limit": "decode and infer, no server",
    "http": "an answer that is always the same, over HTTP",
    "decode": "+ decode the picture",
    "infer": "+ infer",
    "journal": "+ journal",
    "endpoint": "+ routes, split, metrics: the endpoint",
}
COLOURS = ("#2f6f4e", "#b5651d", "#3b6ea5", "#7a5195")
ROW, LABEL, WIDTH = 22, 190, 720  # pixels


def table(figures: dict[str, Any]) -> str:
    """Every figure that the targets name."""
    lines = [
        "| connections | server | requests/s | p50 ms | p99 ms | errors | ours has |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for connections in next(iter(figures["loads"].values())):
        for name, loads in figures["loads"].items():
            load = loads[connections]
            rate, p50, p99 = (load[key]["median"] for key in ("requests_per_second", "p50_ms", "p99_ms"))
            speed = f"{rate:,.0f} | {p50:.2f} | {p99:.1f} | {load['errors']}"
            lines.append(f"| {connections} | {name} | {speed} | {_ratio(figures, name, connections)} |")
    lines += ["", "| a request at 32 connections | µs of all cores |", "| --- | --- |"]
    lines += [f"| {STEPS[step]} | {spent:.0f} |" for step, spent in figures["spent_us"].items()]
    reached = figures["in_process_limit"]["share_reached"]
    lines += [
        "",
        f"That is {reached:.0%} of the in-process limit. A serving process has {figures['resident_mb']['median']:.0f} MB ",
    ]
    lines[-1] += (
        f"resident; ready {figures['ready_seconds']['deMLopment']['median']:.2f} s after the start; a registered archive "
    )
    lines[-1] += f"answers after {figures['register_to_ready_seconds']['median'] * 1000:.0f} ms."
    lines += ["", f"Settings: {figures['settings']}."]
    lines += [f"Not measured: {name}. {reason}" for name, reason in figures["skipped"].items()]
    return "\n".join(lines) + "\n"


def plot(figures: dict[str, Any]) -> str:
    """Requests a second as bars, one group a number of connections."""
    names = list(figures["loads"])
    groups = list(next(iter(figures["loads"].values())))
    most = max(loads[group]["requests_per_second"]["median"] for loads in figures["loads"].values() for group in groups)
    parts, top = [], 30
    for group in groups:
        parts.append(f'<text x="8" y="{top}" font-weight="bold">{group} connections</text>')
        for name, colour in zip(names, COLOURS, strict=False):
            top += ROW
            load = figures["loads"][name][group]
            rate, p99 = load["requests_per_second"]["median"], load["p99_ms"]["median"]
            length = max(1, rate / most * (WIDTH - LABEL - 190))
            parts.append(f'<text x="{LABEL - 8}" y="{top}" text-anchor="end">{escape(name)}</text>')
            parts.append(f'<rect x="{LABEL}" y="{top - 13}" width="{length:.0f}" height="16" fill="{colour}"/>')
            parts.append(f'<text x="{LABEL + length + 6:.0f}" y="{top}">{rate:,.0f}/s, p99 {p99:.1f} ms</text>')
        top += ROW + 12
    size = f'width="{WIDTH}" height="{top}" viewBox="0 0 {WIDTH} {top}"'
    style = 'font-family="sans-serif" font-size="13"'
    back = f'<rect width="{WIDTH}" height="{top}" fill="white"/>'
    title = "<title>Requests a second that each server answers, more is better</title>"
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} {style}>{title}{back}{"".join(parts)}</svg>\n'


def _ratio(figures: dict[str, Any], name: str, connections: str) -> str:
    if name not in figures["ratios"]:
        return ""
    ratio = figures["ratios"][name][connections]
    return f"{ratio['requests_per_second']:.1f} x, p99 {ratio['p99_ms']:.2f} x"
