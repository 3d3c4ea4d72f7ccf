#!/usr/bin/python3
"""Runs the contenders in turns and collects what they say. Started by bench/run, which builds them.

Times: each contender's operation count is chosen once per row, so that it takes about 40 ms; then all contenders run the row
one after the other, in several rounds, each time in a process of its own of which the first repetition does not count. The
median of all others is the result.

Per operation, by the difference between two runs with different counts, so that start and end cancel out: instructions
(callgrind, user space only), allocations (a counting malloc), system calls (strace).
"""

import argparse
import concurrent.futures
import datetime
import fnmatch
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
import report  # noqa: E402

CONTENDERS = ["limits", "assay", "assay-fast", "asio", "libuv", "tokio", "smol", "naive"]
STRUCTURES = "timer-structures"  # no contender: what else the timers could be kept in
GROWTH = ["spawn_join", "yield", "timer", "channel"]  # for assay alone
BARE_GROWTH = ["bare_create", "bare_resume"]  # of limits: the same memory, without a runtime
GROWTH_SIZES = [1000, 10_000, 100_000, 1_000_000, 10_000_000]
GROWTH_BYTES = 600  # memory for each task, timer or message of a growth row, at most
SLOWDOWN = 60       # callgrind's, about
LIMIT_SECONDS = 120
PROFILE_LINES = 6     # functions shown where a goal is not met
ENOUGH_SECONDS = 3   # a contender that has run a row for so long, and has given two samples, is done with it


class Failure(Exception):
    pass


class Skipped(Exception):
    pass


def say(text):
    print(f"[{datetime.datetime.now():%H:%M:%S}] {text}", file=sys.stderr, flush=True)


class Row:
    def __init__(self, name, operations, callgrind, system, limit, goal, text, growth=None):
        self.name, self.text = name, text
        self.growth = growth  # of a growth row: the program that has it
        self.size = int(name.split("/")[1]) if growth else None
        self.operations = None if operations == "auto" else int(operations)
        self.callgrind = None if callgrind == "-" else int(callgrind)
        self.system = system == "yes"
        self.limit = None if limit == "-" else limit
        self.goal = None if goal == "-" else goal
        self.memory = name.startswith("memory_")


def read_rows(path):
    with open(path, encoding="utf-8") as file:
        return [Row(*line.rstrip("\n").split("\t")) for line in file if not line.startswith("#")]


class Program:
    """One contender's program."""

    def __init__(self, name, path, counter):
        self.name, self.path, self.counter = name, path, counter
        self.steps, self.left_out = {}, {}
        for line in subprocess.run([path, "--list"], check=True, capture_output=True, text=True, timeout=60).stdout.splitlines():
            row, step, *reason = line.split("\t")
            if step == "-":
                self.left_out[row] = reason[0]
            else:
                self.steps[row] = int(step)

    def round_up(self, row, operations):
        step = self.steps[row]
        return max(step, -(-operations // step) * step)

    def run(self, row, operations, *options, prefix=()):
        """What it prints, as a dictionary, and what was on stderr."""
        environment = {**os.environ, "LD_PRELOAD": self.counter} if "--count" in options else None
        command = [*prefix, self.path, "--row", row, "--operations", str(operations), *options]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_SECONDS,
                                  stdin=subprocess.DEVNULL, env=environment)
        except subprocess.TimeoutExpired:
            raise Failure(f"took more than {LIMIT_SECONDS} s: {' '.join(command)}") from None
        if done.returncode == 77:
            raise Skipped(done.stderr.strip().splitlines()[-1])
        if done.returncode != 0:
            said = [line for line in done.stderr.strip().splitlines() if not line.startswith("==")]  # without valgrind's own
            last = (said or [f"exit status {done.returncode}"])[-1]
            raise Failure(f"{last}: {' '.join(command)}")
        return json.loads(done.stdout), done.stderr


def per_operation(result, key):
    return [value / result["operations"] for value in result[key]]


class Measurement:
    """Everything about one row of one contender."""

    def __init__(self):
        self.operations = None
        self.samples = []
        self.seconds = 0.0
        self.result = {}


def calibrate(program, row, target_ns):
    """An operation count that takes about so long."""
    operations = program.round_up(row.name, 100)
    while True:
        result, _ = program.run(row.name, operations)
        ns = max(1, result["ns"][-1])
        if ns >= target_ns / 2:
            return operations
        wanted = program.round_up(row.name, int(operations * min(100, 1.1 * target_ns / ns)))
        if wanted == operations:
            return operations
        operations = wanted


def measure_times(row, programs, settings, table, problem):
    for program in programs:
        entry = table[program.name]
        try:
            entry.operations = settings.operations(program, row)
        except (Failure, Skipped) as error:
            problem(row, program, error)
    rounds = settings.growth_rounds if row.growth else settings.rounds
    for turn in range(rounds):
        for i in range(len(programs)):
            program = programs[(i + turn) % len(programs)]
            entry = table[program.name]
            if entry.operations is None or (entry.seconds > ENOUGH_SECONDS and len(entry.samples) > 1):
                continue
            started = time.monotonic()
            try:
                # The first repetition of a process does not count. Among millions the second is none of a steady state either: what
                # the first has recycled comes back in the opposite order.
                skipped = 0 if settings.quick else 2 if row.growth else 1
                result, _ = program.run(row.name, entry.operations, "--repetitions", str(settings.repetitions + skipped))
                entry.samples += per_operation(result, "ns")[skipped:]
            except (Failure, Skipped) as error:
                problem(row, program, error)
                entry.operations = None
            entry.seconds += time.monotonic() - started
    for program in programs:
        entry = table[program.name]
        if entry.operations is not None:
            entry.result.update(ns=statistics.median(entry.samples), ns_min=min(entry.samples), ns_max=max(entry.samples),
                                samples=len(entry.samples), operations=entry.operations)


def measure_memory(row, programs, settings, table, problem):
    for program in programs:
        try:
            operations = program.round_up(row.name, settings.memory_operations(row))
            result, _ = program.run(row.name, operations, "--count")
            table[program.name].result.update(bytes=per_operation(result, "bytes")[0],
                                              allocations=per_operation(result, "allocations")[0], operations=operations)
        except (Failure, Skipped) as error:
            problem(row, program, error)


def difference(program, row, base, measure):
    """measure(operations) per operation, without what does not depend on the count."""
    first = program.round_up(row.name, base)
    second = first * 2
    return (measure(second) - measure(first)) / (second - first)


def count_allocations(program, row):
    def measure(operations):
        result, _ = program.run(row.name, operations, "--count")
        return result["allocations"][-1]
    return difference(program, row, max(row.callgrind or 0, 2000), measure)


def count_instructions(program, row):
    def measure(operations):
        _, log = program.run(row.name, operations, "--slowdown", str(SLOWDOWN),
                             prefix=("valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"))
        found = re.search(r"Collected : (\d+)", log)
        if not found:
            raise Failure(f"callgrind says no number: {program.path} --row {row.name}")
        return int(found.group(1))
    return difference(program, row, row.callgrind, measure)


def count_system_calls(program, row):
    def measure(operations):
        with tempfile.NamedTemporaryFile(mode="r", prefix="assay-bench-") as log:
            # Threads are followed; the echo client, a process of its own, must not be.
            follow = () if row.name.startswith("echo/") else ("-f",)
            program.run(row.name, operations, "--slowdown", "20", prefix=("strace", "-c", *follow, "-o", log.name))
            for line in log:
                words = line.split()
                if words and words[-1] == "total":
                    return int(words[3])
        raise Failure(f"strace says no total: {program.path} --row {row.name}")
    return difference(program, row, 500, measure)


def profile_instructions(root, row):
    """[[instructions per operation, function]] of what executes most: bench/profile."""
    done = subprocess.run([os.path.join(root, "bench", "profile"), row["name"], "--top", str(PROFILE_LINES)],
                          capture_output=True, text=True)
    # (callgrind does not know how the names of functions with constraints are written.)
    said = subprocess.run(["llvm-cxxfilt-19"], input=done.stdout, capture_output=True, text=True).stdout
    found = re.findall(r"^ *([0-9.]+)  (.*)$", said, re.MULTILINE)
    if done.returncode != 0 or not found:
        raise Failure(f"bench/profile {row['name']}: {done.stderr.strip()}")
    return [[float(value), name] for value, name in found]


def profile_memory(program, row):
    """[[bytes per operation, function]] of who had allocated what, at the peak: massif."""
    operations = program.round_up(row["name"], 2000)
    with tempfile.NamedTemporaryFile(mode="r", prefix="assay-bench-") as out:
        program.run(row["name"], operations, prefix=("valgrind", "--tool=massif", "--threshold=0.1", f"--massif-out-file={out.name}"))
        peak = out.read().partition("heap_tree=peak\n")[2].partition("\n#")[0]
    found = re.findall(r"^ n\d+: (\d+) 0x[0-9A-F]+: (.*?)(?: \(in [^)]*\))?$", peak, re.MULTILINE)
    if not found:
        raise Failure(f"massif says nothing of {row['name']}")
    return [[int(value) / operations, name] for value, name in found if int(value) >= 4 * operations and name != "???"]


def profiles(root, data, assay):
    """What is in the way where a goal is not met."""
    found = {}
    for row in data["rows"]:
        if report.verdict_of(data, row)[2] != "NOT MET":
            continue
        if row["memory"]:
            found[row["name"]] = profile_memory(assay, row)
        elif row["callgrind"]:
            found[row["name"]] = profile_instructions(root, row)
    return found


class Settings:
    def __init__(self, quick):
        self.quick = quick
        self.target_ns = 40_000_000
        self.rounds, self.growth_rounds, self.repetitions = (1, 1, 1) if quick else (5, 2, 2)
        self.sizes = GROWTH_SIZES[:1] if quick else GROWTH_SIZES

    def operations(self, program, row):
        if self.quick:
            return program.round_up(row.name, min(row.operations or 1000, 1000))
        if row.operations:
            return program.round_up(row.name, row.operations)
        return calibrate(program, row, self.target_ns)

    def memory_operations(self, row):
        return min(row.operations, 1000) if self.quick else row.operations


def available_bytes():
    with open("/proc/meminfo", encoding="ascii") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("MemAvailable"))


def first_line(*command):
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[0].strip()
    except (OSError, subprocess.CalledProcessError, IndexError):
        return None


def package_version(name):
    return first_line("dpkg-query", "-W", "-f", "${Version}\n", name)


def machine(root, cpus):
    model = "unknown processor"
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        for line in file:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    changed = subprocess.run(["git", "-C", root, "status", "--porcelain", "--", "runtime", "bench"], capture_output=True, text=True)
    return {
        "processor": model,
        "cpus": cpus,
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB",
        "kernel": platform.release(),
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "clang": first_line("clang++-19", "--version"),
        "rustc": first_line("/usr/bin/rustc", "--version"),
        "commit": (first_line("git", "-C", root, "rev-parse", "--short", "HEAD") or "unknown")
                  + (" with changes" if changed.stdout.strip() else ""),
        "versions": {"asio": package_version("libasio-dev"), "libuv": package_version("libuv1-dev"),
                     "tokio": package_version("librust-tokio-dev"), "smol": package_version("librust-smol-dev")},
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", required=True)
    parser.add_argument("--jobs", type=int, default=1, help="how many callgrind runs at once")
    parser.add_argument("--command", default="bench/measure.py", help="what the user typed")
    parser.add_argument("--rust-reason", default="", help="why there is no tokio and no smol")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--counts", action="store_true")
    parser.add_argument("--publish", action="store_true")
    parser.add_argument("--row", action="append", default=[])
    parser.add_argument("--contender", action="append", default=[])
    options = parser.parse_args()
    for name in options.contender:
        if name not in CONTENDERS:
            parser.error(f"no contender '{name}'; there are {', '.join(CONTENDERS)}")
    if options.publish and (options.quick or options.counts or options.row or options.contender):
        parser.error("--publish is for the whole run: not with --quick, --counts, --row or --contender")
    started = datetime.datetime.now()
    out = os.path.join(options.root, "build", "bench")
    settings = Settings(options.quick)
    problems, skipped = [], []

    # Who is there.
    programs, missing = {}, {}
    for name in CONTENDERS:
        folder = os.path.join(out, "rust", "release") if name in ("tokio", "smol") else os.path.join(out, "bench")
        path = os.path.join(folder, f"bench_{name}")
        if options.contender and name not in (*options.contender, "assay"):
            continue
        if os.path.exists(path):
            programs[name] = Program(name, path, os.path.join(out, "bench", "libbench_allocations.so"))
        else:
            missing[name] = (options.rust_reason if name in ("tokio", "smol") else "") or "its library is not installed"
            say(f"{name} could not run: {missing[name]}")

    rows = read_rows(os.path.join(options.root, "bench", "rows.tsv"))
    known = {row.name for row in rows}
    growth = [Row(f"{family}/{size}", "auto", "-", "no", "-", "-", "growth", growth=name)
              for name, families in (("assay", GROWTH), ("limits", BARE_GROWTH)) for family in families for size in settings.sizes]
    limits = [Row(name, "auto", "-", "no", "-", "-", "limit") for name in programs["limits"].steps
              if name not in known and name.split("/")[0] not in BARE_GROWTH] \
        if "limits" in programs else []
    structures, structure_rows = None, []
    path = os.path.join(out, "bench", f"bench_{STRUCTURES}")
    if os.path.exists(path) and not options.contender:
        structures = Program(STRUCTURES, path, "")
        structure_rows = [Row(name, "100000" if name.startswith("drain/") else "auto", "-", "no", "-", "-", "structure")
                          for name in structures.steps]
    for program in programs.values():
        for row in rows:
            if program.name != "limits" and row.name not in program.steps and row.name not in program.left_out:
                problems.append(f"{program.name} neither has the row {row.name} nor says why not")

    def wanted(row):
        return not options.row or any(fnmatch.fnmatchcase(row.name, glob) for glob in options.row)

    def of(row):
        if row.growth:
            return [programs[row.growth]] if row.growth in programs else []
        if row in structure_rows:
            return [structures]
        return [p for p in programs.values() if row.name in p.steps]

    results = {}

    def problem(row, program, error):
        text = f"{program.name}, {row.name}: {error}"
        (skipped if isinstance(error, Skipped) else problems).append(text)
        results.setdefault(row.name, {}).setdefault(program.name, {})["failed"] = str(error)
        say(f"{'left out' if isinstance(error, Skipped) else 'FAILED'}: {text}")

    # Times, with nothing else running.
    all_rows = [("rows", row) for row in rows] + [("limits", row) for row in limits] + \
        [("structures", row) for row in structure_rows] + [("growth", row) for row in growth]
    all_rows = [(kind, row) for kind, row in all_rows if wanted(row) and (row.memory or not options.counts)]
    if not all_rows:
        parser.error("no row of this name; they are in bench/rows.tsv")
    growth_results = {}
    for number, (kind, row) in enumerate(all_rows, 1):
        if row.growth and available_bytes() < row.size * GROWTH_BYTES:
            skipped.append(f"{row.name}: not enough memory")
            say(f"left out: {skipped[-1]}")
            continue
        table = {p.name: Measurement() for p in of(row)}
        (measure_memory if row.memory else measure_times)(row, of(row), settings, table, problem)
        target = growth_results if row.growth else results
        for name, entry in table.items():
            target.setdefault(row.name, {}).setdefault(name, {}).update(entry.result)
        say(f"{number} of {len(all_rows)}: {kind if kind != 'rows' else ''} {row.name}: " + ", ".join(
            f"{name} {report.short(e.result.get('ns', e.result.get('bytes')))}" for name, e in table.items() if e.result))

    # Counts, which other work does not disturb.
    tasks = []
    for row in rows:
        if not wanted(row) or row.memory:
            continue
        for program in of(row):
            if settings.quick and row.name not in ("yield/1", "echo/1"):
                continue
            # --quick shows that each tool works.
            if row.callgrind:
                tasks.append(("instructions", count_instructions, program, row))
            if row.name not in ("start_teardown", "wake_busy"):  # the one is not a steady state, the other is never the same twice
                tasks.append(("allocations", count_allocations, program, row))
            if row.system:
                tasks.append(("system_calls", count_system_calls, program, row))
    for row in growth:
        if wanted(row) and row.growth == "assay" and row.size <= 1_000_000:
            tasks.append(("allocations", count_allocations, programs["assay"], row))
    say(f"{len(tasks)} counts: instructions, allocations, system calls")
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        futures = {pool.submit(function, program, row): (key, program, row) for key, function, program, row in tasks}
        for number, future in enumerate(concurrent.futures.as_completed(futures), 1):
            key, program, row = futures[future]
            try:
                target = growth_results if row.growth else results
                target.setdefault(row.name, {}).setdefault(program.name, {})[key] = round(future.result(), 4)
            except (Failure, Skipped) as error:
                problem(row, program, f"{key}: {error}") if isinstance(error, Failure) else skipped.append(str(error))
            if number % 50 == 0:
                say(f"{number} of {len(tasks)} counts")

    data = {
        "command": options.command,
        "seconds": round((datetime.datetime.now() - started).total_seconds()),
        "quick": settings.quick,
        "counts_only": options.counts,
        "machine": machine(options.root, os.cpu_count()),
        "contenders": list(programs),
        "missing": missing,
        "left_out": {name: program.left_out for name, program in programs.items() if program.left_out},
        "rows": [{"name": row.name, "text": row.text, "limit": row.limit, "goal": row.goal, "memory": row.memory,
                  "callgrind": row.callgrind} for row in rows if wanted(row)],
        "limits": [row.name for row in limits if wanted(row)],
        "structures": [row.name for row in structure_rows if wanted(row)],
        "results": results,
        "growth": growth_results,
        "problems": problems,
        "skipped": skipped,
    }
    if not settings.quick and not options.counts:
        try:
            data["profiles"] = profiles(options.root, data, programs["assay"])
        except Failure as error:
            problems.append(str(error))
        data["seconds"] = round((datetime.datetime.now() - started).total_seconds())
    with open(os.path.join(out, "results.json"), "w", encoding="utf-8") as file:
        json.dump(data, file, indent=1)
    text = report.markdown(data)
    with open(os.path.join(out, "table.md"), "w", encoding="utf-8") as file:
        file.write(text)
    with open(os.path.join(out, "plot.svg"), "w", encoding="utf-8") as file:
        file.write(report.svg(data))
    if options.publish and not problems:
        report.publish(data, os.path.join(options.root, "docs"))
    print(report.plain(data))
    for each in skipped:
        print(f"left out: {each}")
    for each in problems:
        print(f"FAILED: {each}")
    count = sum(len(each) for each in results.values())
    print(f"bench/run: {'FAIL' if problems else 'PASS'} {count} results of {len(programs)} contenders in {data['seconds']} s"
          f"{', ' + str(len(problems)) + ' failed' if problems else ''}; see build/bench/table.md, results.json and plot.svg"
          f"{' and docs/performance.md' if options.publish and not problems else ''}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
