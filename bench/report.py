"""Tables and a plot of what measure.py found. Every number comes from its results; nothing is rounded before it gets here."""

import html
import math
import os

BEGIN = "<!-- bench/run --publish: begin -->"
END = "<!-- bench/run --publish: end -->"
GROWTH_GOAL = 1.5   # a cost per operation among 10,000,000 beside one among 1,000
CHECKS_GOAL = 0.10  # the default hardening beside the least
COLOURS = {"limits": "#888888", "assay": "#c0392b", "assay-fast": "#e59866", "asio": "#2471a3", "libuv": "#7d3c98",
           "tokio": "#117a65", "smol": "#9a7d0a", "naive": "#34495e"}


def short(value):
    """Three significant digits, thousands with a comma."""
    if value is None:
        return "-"
    if value == 0:
        return "0"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    digits = 1 if abs(value) >= 10 else 2
    return f"{value:.{digits}f}"


def count(value):
    """A count per operation: what is next to nothing is amortised growth, and shown as such."""
    if value is None:
        return "-"
    if abs(value) < 0.0005:
        return "0"
    return short(value) if abs(value) >= 1 else f"{value:.3f}"


class Table:
    def __init__(self, *head):
        self.lines = [head]

    def add(self, *cells):
        self.lines.append(cells)

    def markdown(self):
        head, *body = self.lines
        rule = ["---"] + ["--:"] * (len(head) - 1)
        return "\n".join("| " + " | ".join(str(c) for c in line) + " |" for line in (head, rule, *body)) + "\n"

    def plain(self):
        widths = [max(len(str(line[i])) for line in self.lines) for i in range(len(self.lines[0]))]
        return "\n".join("  ".join(str(c).ljust(w) if i == 0 else str(c).rjust(w) for i, (c, w) in enumerate(zip(line, widths)))
                         for line in self.lines) + "\n"


def cell_of(data, row, name, key):
    return data["results"].get(row, {}).get(name, {}).get(key)


def why_empty(data, row, name):
    entry = data["results"].get(row, {}).get(name, {})
    return "failed" if "failed" in entry else "-"


def limit_of(data, row):
    return cell_of(data, row["limit"], "limits", "ns") if row["limit"] else None


def peers(data):
    return [name for name in data["contenders"] if name != "limits"]


def times(data):
    names = peers(data)
    table = Table("ns per operation", *(["limit"] if "limits" in data["contenders"] else []), *names)
    for row in data["rows"]:
        if row["memory"]:
            continue
        own = cell_of(data, row["name"], "assay", "ns")
        cells = [row["name"]]
        if "limits" in data["contenders"]:
            cells.append(short(limit_of(data, row)))
        for name in names:
            value = cell_of(data, row["name"], name, "ns")
            if value is None:
                cells.append(why_empty(data, row["name"], name))
            elif name == "assay" or not own:
                cells.append(short(value))
            else:
                cells.append(f"{short(value)} ({short(value / own)})")
        if cells[1:] != ["-"] * (len(cells) - 1):
            table.add(*cells)
    return table


def counts(data, key, title):
    names = peers(data)
    table = Table(title, *names)
    for row in data["rows"]:
        values = [cell_of(data, row["name"], name, key) for name in names]
        if not row["memory"] and any(v is not None for v in values):
            table.add(row["name"], *(count(v) for v in values))
    return table


def memory(data):
    names = peers(data)
    table = Table("bytes (allocations)", *names)
    for row in data["rows"]:
        if not row["memory"]:
            continue
        cells = []
        for name in names:
            value = cell_of(data, row["name"], name, "bytes")
            cells.append(why_empty(data, row["name"], name) if value is None
                         else f"{short(value)} ({count(cell_of(data, row['name'], name, 'allocations'))})")
        table.add(row["name"], *cells)
    return table


def limits(data):
    table = Table("limits", "ns")
    for name in data["limits"]:
        if cell_of(data, name, "limits", "ns") is None:
            continue
        table.add(name, short(cell_of(data, name, "limits", "ns")))
    return table


def structures(data):
    """What the timers could be kept in (bench/timer_structures.cpp)."""
    table = Table("timer structure", "ns to arm and cancel one beside 100,000", "ns to take out each of 100,000")
    names = list(dict.fromkeys(name.split("/")[1] for name in data["structures"]))
    for name in names:
        values = [cell_of(data, f"{kind}/{name}", "timer-structures", "ns") for kind in ("cancel", "drain")]
        if any(values):
            table.add(name, *(short(v) for v in values))
    return table


def growth(data):
    sizes = sorted({int(name.split("/")[1]) for name in data["growth"]})
    families = list(dict.fromkeys(name.split("/")[0] for name in data["growth"]))
    names = {"yield": "yield (a wake and a poll)", "bare_create": "limits: create, resume and destroy", "bare_resume": "limits: resume"}
    table = Table("ns per operation, by number", *(f"{size:,}" for size in sizes), "last / first")
    for family in families:
        found = [data["growth"].get(f"{family}/{size}", {}) for size in sizes]
        values = [each.get("assay", each.get("limits", {})).get("ns") for each in found]
        known = [v for v in values if v is not None]
        if known:
            table.add(names.get(family, family), *(short(v) for v in values), f"{known[-1] / known[0]:.2f}" if len(known) > 1 else "-")
    for family in families:
        values = [data["growth"].get(f"{family}/{size}", {}).get("assay", {}).get("allocations") for size in sizes]
        if any(v is not None for v in values):
            table.add(f"{family}: allocations", *(count(v) for v in values), "")
    return table


def verdict_of(data, row):
    """(goal in words, measured, verdict) of a row that has a goal; the verdict is empty where there is none."""
    own = cell_of(data, row["name"], "assay", "bytes" if row["memory"] else "ns")
    if not row["goal"] or own is None or data["quick"]:
        return "", own, ""
    if row["goal"].startswith("x"):
        floor = limit_of(data, row)
        goal = float(row["goal"][1:]) * floor if floor else None
        said = f"{short(goal)} ({row['goal'][1:]} x limit)"
    else:
        goal = float(row["goal"])
        said = short(goal)
    return said, own, "unknown" if goal is None else "met" if own <= goal else "NOT MET"


def goals(data):
    table = Table("assay", "goal", "measured", "", "best peer")
    for row in data["rows"]:
        key = "bytes" if row["memory"] else "ns"
        said, own, verdict = verdict_of(data, row)
        if not verdict:
            continue
        rivals = [(value, name) for name in peers(data) if not name.startswith("assay")
                  and (value := cell_of(data, row["name"], name, key)) is not None]
        best = f"{short(min(rivals)[0])} {min(rivals)[1]}" if rivals else "-"
        table.add(row["name"], said, short(own), verdict, best)
    if not data["quick"]:
        for family, first, last, ratio in growths(data):
            table.add(f"{family}, {last:,} against {first:,}", f"x {GROWTH_GOAL}", f"x {ratio:.2f}",
                      "met" if ratio <= GROWTH_GOAL else "NOT MET", "-")
        for name, ratio in checks_of(data, "ns"):
            table.add(f"{name}: what the checks cost", f"{CHECKS_GOAL:.0%}", f"{ratio:.0%}", "met" if ratio <= CHECKS_GOAL else "NOT MET", "-")
    return table


def brief(function):
    """A function's name without its parameters, and no longer than a line."""
    name = function.replace("(anonymous namespace)::", "").replace("|", "\\|")
    depth, end = 0, len(name)
    for at, char in enumerate(name):
        depth += {"<": 1, ">": -1}.get(char, 0)
        if char == "(" and depth == 0 and at > 0:
            end = at
            break
    tail = " (resumed)" if "[clone .resume]" in name else " (destroyed)" if "[clone .destroy]" in name else ""
    return name[:end][:90] + tail


def in_the_way(data):
    """Where the instructions of a row that has not met its goal go, or its memory."""
    table = Table("where a goal is not met", "", "of which per operation")
    kinds = {row["name"]: "bytes" if row["memory"] else "instructions" for row in data["rows"]}
    for name, parts in data.get("profiles", {}).items():
        total = f"{count(cell_of(data, name, 'assay', kinds[name]))} {kinds[name]}"
        for value, function in parts:
            table.add(name, total, f"{count(value)} in `{brief(function)}`")
            name = total = ""
    return table


def growths(data):
    """(family, smallest size, largest size, ratio of the times per operation) of each growth row."""
    families = {}
    for name, entry in data["growth"].items():
        family, size = name.split("/")
        if (ns := entry.get("assay", {}).get("ns")) is not None:
            families.setdefault(family, {})[int(size)] = ns
    for family, sizes in families.items():
        if len(sizes) > 1:
            yield family, min(sizes), max(sizes), sizes[max(sizes)] / sizes[min(sizes)]


def checks_of(data, key):
    """(row, how much more assay takes than assay-fast)."""
    for row in data["rows"]:
        default, fast = (cell_of(data, row["name"], name, key) for name in ("assay", "assay-fast"))
        if default and fast and not row["memory"]:
            yield row["name"], default / fast - 1


def checks(data):
    """What the default hardening costs beside the least."""
    by_time, by_count = ({} if key == "ns" and data["quick"] else dict(checks_of(data, key)) for key in ("ns", "instructions"))
    table = Table("what the checks cost", "time", "instructions")
    for row in data["rows"]:
        cells = [f"{found[row['name']]:+.1%}" if row["name"] in found else "-" for found in (by_time, by_count)]
        if cells != ["-", "-"]:
            table.add(row["name"], *cells)
    return table


def tables(data):
    """(heading, table) of everything there is."""
    found = [("Time", times(data)), ("Instructions per operation", counts(data, "instructions", "instructions")),
             ("Allocations per operation", counts(data, "allocations", "allocations")),
             ("System calls per operation", counts(data, "system_calls", "system calls")),
             ("Memory", memory(data)), ("Goals", goals(data)),
             ("What is in the way", in_the_way(data)), ("Checks", checks(data)), ("Growth", growth(data)), ("Limits of the machine", limits(data)),
             ("Timer structures", structures(data))]
    return [(heading, table) for heading, table in found if len(table.lines) > 1]


def plain(data):
    return "\n".join(f"{heading}\n{table.plain()}" for heading, table in tables(data))


def provenance(data):
    m = data["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in m["versions"].items() if version and name in data["contenders"])
    lines = [f"Machine: {m['processor']}, {m['cpus']} CPUs, {m['memory']}, Linux {m['kernel']}.",
             f"Date: {m['date']}; assay {m['commit']}; `{data['command']}`, {data['seconds']} s.",
             f"Compilers: {m['clang']} (C++: CMake's Release, -O3)" + (f"; {m['rustc']} (Rust: release)." if m["rustc"] else ".")]
    if versions:
        lines.append(f"Peers, as Debian has them: {versions}.")
    if data["quick"]:
        lines.append("**This was a --quick run: its times mean nothing.**")
    for name, reason in data["missing"].items():
        lines.append(f"**{name} could not run: {reason}.**")
    for each in data["skipped"]:
        lines.append(f"Left out: {each}.")
    for each in data["problems"]:
        lines.append(f"**Failed: {each}.**")
    return "\n".join(f"- {line}" for line in lines) + "\n"


def meanings(data):
    table = Table("row", "one operation")
    for row in data["rows"]:
        table.add(f"`{row['name']}`", row["text"])
    return table.markdown().replace("--:", "---")


def left_out(data):
    table = Table("contender", "row", "why it is left out")
    names = {row["name"] for row in data["rows"]}
    for name, rows in data["left_out"].items():
        by_reason = {}
        for row, reason in rows.items():
            if row in names:
                by_reason.setdefault(reason, []).append(row)
        for reason, each in by_reason.items():
            table.add(name, ", ".join(f"`{row}`" for row in each), reason)
    return table.markdown().replace("--:", "---") if len(table.lines) > 1 else ""


def markdown(data):
    parts = [provenance(data)]
    for heading, table in tables(data):
        parts.append(f"### {heading}\n\n{table.markdown()}")
    parts.append("### What one operation is\n\n" + meanings(data))
    absent = left_out(data)
    if absent:
        parts.append("### What is left out\n\n" + absent)
    return "\n".join(parts)


def svg(data):
    """Each row a line, each contender a dot: its time as a multiple of assay's, on a logarithmic axis."""
    rows = [row for row in data["rows"] if not row["memory"] and cell_of(data, row["name"], "assay", "ns")]
    names = data["contenders"]

    def points(row):
        own = cell_of(data, row["name"], "assay", "ns")
        for name in names:
            value = limit_of(data, row) if name == "limits" else cell_of(data, row["name"], name, "ns")
            if value:
                yield name, value, value / own

    ratios = [ratio for row in rows for _, _, ratio in points(row)] or [1]
    low = math.floor(math.log10(min(min(ratios), 0.5)))
    high = math.ceil(math.log10(max(max(ratios), 2)))
    left, right, top, line = 190, 40, 70, 20
    width, height = 960, top + line * len(rows) + 40
    scale = (width - left - right) / (high - low)

    def x(ratio):
        return left + (math.log10(ratio) - low) * scale

    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
           'font-family="sans-serif" font-size="12">',
           f'<rect width="{width}" height="{height}" fill="white"/>',
           f'<text x="{left}" y="18" font-size="14">Time per operation as a multiple of assay\'s (left is faster)</text>']
    place = left
    for name in names:
        out.append(f'<circle cx="{place + 5}" cy="36" r="4.5" fill="{COLOURS[name]}"/>'
                   f'<text x="{place + 14}" y="40">{html.escape(name)}</text>')
        place += 30 + 8 * len(name)
    for power in range(low, high + 1):
        at = x(10 ** power)
        out.append(f'<line x1="{at:.1f}" y1="{top - 8}" x2="{at:.1f}" y2="{top + line * len(rows)}" stroke="#dddddd"/>'
                   f'<text x="{at:.1f}" y="{top - 12}" text-anchor="middle" fill="#555555">{10.0 ** power:g}</text>')
    out.append(f'<line x1="{x(1):.1f}" y1="{top - 8}" x2="{x(1):.1f}" y2="{top + line * len(rows)}" stroke="{COLOURS["assay"]}"/>')
    for i, row in enumerate(rows):
        y = top + line * i + line / 2
        out.append(f'<text x="{left - 10}" y="{y + 4:.1f}" text-anchor="end">{html.escape(row["name"])}</text>'
                   f'<line x1="{left}" y1="{y:.1f}" x2="{width - right}" y2="{y:.1f}" stroke="#f0f0f0"/>')
        for name, value, ratio in points(row):
            out.append(f'<circle cx="{x(ratio):.1f}" cy="{y:.1f}" r="4.5" fill="{COLOURS[name]}" fill-opacity="0.8">'
                       f'<title>{html.escape(name)}: {short(value)} ns</title></circle>')
    out.append(f'<text x="{left}" y="{height - 14}" fill="#555555">{html.escape(data["machine"]["processor"])}, '
               f'{html.escape(data["machine"]["date"])}, {html.escape(data["command"])}'
               f'{" (quick: times mean nothing)" if data["quick"] else ""}</text>')
    out.append("</svg>\n")
    return "\n".join(out)


def publish(data, folder):
    """Replaces what is between the markers of docs/performance.md, and the plot beside it."""
    path = os.path.join(folder, "performance.md")
    with open(path, encoding="utf-8") as file:
        text = file.read()
    before, rest = text.split(BEGIN, 1)
    after = rest.split(END, 1)[1]
    with open(path, "w", encoding="utf-8") as file:
        file.write(f"{before}{BEGIN}\n\n![Time per operation as a multiple of assay's](performance.svg)\n\n{markdown(data)}\n{END}{after}")
    with open(os.path.join(folder, "performance.svg"), "w", encoding="utf-8") as file:
        file.write(svg(data))
