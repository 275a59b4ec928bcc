"""The chart of tests/bench/live.py: how soon a line is in the mirror, by each tool."""
import math

NAMES = {"pi-brain": "pi-brain daemon", "inotify": "inotifywait and rsync -az", "lsyncd-0": "lsyncd, no delay", "lsyncd": "lsyncd",
         "syncthing-0": "Syncthing, 10 ms delay", "syncthing": "Syncthing"}
ROW = "append-5k"
LEFT, WIDTH, TOP, STEP = 190, 560, 50, 34
TICKS = (1, 10, 100, 1000, 10_000, 60_000)  # ms


def unit(milliseconds):
    return f"{milliseconds / 1000:.3g} s" if milliseconds >= 1000 else f"{milliseconds:.3g} ms"


def across(milliseconds):
    return LEFT + WIDTH * math.log10(max(milliseconds, 0.5) / 0.5) / math.log10(TICKS[-1] / 0.5)


def line_of(tool, result, y):
    color = "#1f5f8b" if tool == "pi-brain" else "#b5651d"
    half, most = result["p50 ms"], result["p99 ms"]
    right = across(most or TICKS[-1])
    # A line without an end: it was not there before the next change.
    dashes = "" if most else ' stroke-dasharray="4 3"'
    said = f"{unit(half)}, 99 of 100: {unit(most) if most else 'some wait for the next change'}"
    # To the left of a line that leaves no room on its right.
    end = right + 12 if right < LEFT + WIDTH - 220 else across(half) - 12
    return [f'<text x="{LEFT - 12}" y="{y + 4}" text-anchor="end">{NAMES[tool]}</text>',
            f'<line x1="{across(half):.1f}" y1="{y}" x2="{right:.1f}" y2="{y}" stroke="{color}" stroke-width="3"{dashes}/>',
            f'<circle cx="{across(half):.1f}" cy="{y}" r="5" fill="{color}"/>',
            f'<text x="{end:.1f}" y="{y + 4}" fill="{color}" text-anchor="{"start" if end > right else "end"}">{said}</text>']


def chart(results):
    """Returns the SVG. `results`: as in live.json."""
    measured = [tool for tool in NAMES if tool in results.get(ROW, {}) and results[ROW][tool]["p50 ms"]]
    height = TOP + STEP * len(measured) + 30
    out = ['<text x="12" y="22" font-size="13">How long until a line is in the mirror: half of the lines (dot), 99 of 100 (end)</text>']
    for tick in TICKS:
        x = across(tick)
        out.append(f'<line x1="{x:.1f}" y1="{TOP - 14}" x2="{x:.1f}" y2="{height - 30}" stroke="#ddd"/>')
        out.append(f'<text x="{x:.1f}" y="{height - 12}" text-anchor="middle">{unit(tick)}</text>')
    for number, tool in enumerate(measured):
        out += line_of(tool, results[ROW][tool], TOP + STEP * number + 6)
    return "\n".join([f'<svg xmlns="http://www.w3.org/2000/svg" width="960" height="{height}" font-family="sans-serif" font-size="11">',
                      f'<rect width="960" height="{height}" fill="white"/>', *out, "</svg>\n"])
