"""What of the audited files ran: lines, sides of branches, and conditions that alone decided (MC/DC).

A place is what its source says: file, line, column and, within a macro, the way into it. All instantiations of a template, all
programs and all hardening levels are put together by place: a line ran if it ran in one of them; a side of a branch was taken
if one took it; a condition was shown to decide alone if two test vectors, of whichever, show it. What a build makes constant
there (`if constexpr`, a template argument, ASSAY_ALWAYS) is not asked for, unless another build or instantiation leaves it open.
"""

import collections
import os
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.realpath(__file__))
sys.path.insert(0, HERE)
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "unsafe_check"))

import clang19  # noqa: E402
import covmap  # noqa: E402
from clang19 import cindex  # noqa: E402

Miss = collections.namedtuple("Miss", "file line column what")

# Where else a line may be compiled that no build for coverage compiles, and what to tell the preprocessor.
OTHERWISE = [
    ("AddressSanitizer", ["-fsanitize=address"]),
    ("MemorySanitizer", ["-fsanitize=memory"]),
    ("Valgrind", ["-DASSAY_VALGRIND=1"]),
    ("TypeSanitizer", ["-DASSAY_WITH_TYSAN=1"]),
    ("AddressSanitizer of g++", ["-D__SANITIZE_ADDRESS__=1"]),
    ("hardening level 1", ["-DASSAY_HARDENING_LEVEL=1"]),
    ("clang 20 and later", ["-U__clang_major__", "-D__clang_major__=22"]),
    ("RealtimeSanitizer", ["-U__clang_major__", "-D__clang_major__=22", "-DASSAY_WITH_RTSAN=1"]),
    ("an explorer of interleavings", ['-DASSAY_SYNC_HEADER="none"']),
]


class Shape:
    """One function of a program: its places, and from which counter each one's count comes."""

    def __init__(self, function):
        self.function = function
        self.file = os.path.basename(function.files[0])
        places = {r.expanded: r for r in function.regions if r.kind == covmap.EXPANSION}
        seen = collections.Counter()

        def place(region):
            way = []
            at = region
            while True:
                way.append((os.path.basename(function.files[at.file]), at.line, at.column, at.end_line, at.end_column))
                if at.file not in places:
                    break
                at = places[at.file]
            key = region.kind == covmap.DECISION, tuple(reversed(way))
            seen[key] += 1
            return (*key[1], seen[key])

        first = function.regions[0]
        self.start = self.file, first.line, first.column
        self.first = first.count
        self.starts = {(self.file, r.line, r.column) for r in function.regions if r.kind == covmap.CODE and r.file == 0}
        self.branches = []  # (place, counter of true, counter of false)
        self.folded = set()
        self.where = {}     # index of region -> place, for the conditions of decisions
        # A function that the compiler writes (`= default`) is one character of the source: that it ran is all that can be asked.
        is_written = (first.line, first.column + 1) != (first.end_line, first.end_column)
        for region in function.regions if is_written else []:
            if region.kind in (covmap.BRANCH, covmap.CONDITION):
                self.where[id(region)] = spot = place(region)
                if region.count[0] == 0 and region.other[0] == 0:
                    self.folded.add(spot)
                else:
                    self.branches.append((spot, region.count, region.other))
        self.decisions = [(place(d.region), d, [self.where[id(c)] for c in d.conditions])
                          for d in (covmap.decisions(function) if is_written else [])]
        self.lines = self._lines()

    def _lines(self):
        """line -> the counters of which one must not be 0: of the innermost region around its start, and of those that begin in it."""
        regions = sorted((r for r in self.function.regions if r.kind == covmap.CODE and r.file == 0),
                         key=lambda r: (r.line, r.column, -r.end_line, -r.end_column))
        around, begins = {}, collections.defaultdict(set)
        for region in regions:
            begins[region.line].add(region.count)
            for line in range(region.line + 1, region.end_line + 1):
                around[line] = region.count
        return {line: begins.get(line, set()) | ({around[line]} if line in around else set()) for line in {*around, *begins}}


class Ran:
    """What ran: of one program, or of many."""

    def __init__(self):
        self.functions, self.lines, self.sides, self.vectors = set(), set(), set(), collections.defaultdict(set)

    def add(self, other):
        self.functions |= other.functions
        self.lines |= other.lines
        self.sides |= other.sides
        for key, vectors in other.vectors.items():
            self.vectors[key] |= vectors


class Build:
    """The programs of one build tree, and what of the audited files they contain."""

    def __init__(self, programs, folder):
        self.shapes = {}
        inside = os.path.realpath(folder) + os.sep
        for program in programs:
            for function in covmap.read_program(program, lambda name: os.path.realpath(name).startswith(inside)):
                key = function.name_hash, function.hash
                # Of several programs: one may have no more than a placeholder.
                if key not in self.shapes or covmap.is_placeholder(self.shapes[key].function):
                    self.shapes[key] = Shape(function)

    def ran(self, profiles):
        """What ran, after these profiles (raw or indexed)."""
        ran = Ran()
        for key, (counters, bitmap) in covmap.read_profile(profiles).items():
            shape = self.shapes.get(key)
            if shape is None or not any(counters):
                continue
            counts = covmap.Counts(shape.function, counters)
            if counts.of(shape.first):
                ran.functions.add(shape.start)
            ran.lines.update((shape.file, line) for line, needs in shape.lines.items() if any(counts.of(c) for c in needs))
            for place, true, false in shape.branches:
                if counts.of(true):
                    ran.sides.add((place, True))
                if counts.of(false):
                    ran.sides.add((place, False))
            for place, decision, _ in shape.decisions:
                ran.vectors[place] |= decision.executed(bitmap)
        return ran


def code_lines(unit, path):
    """The lines of a file that have code: a token that is neither a comment nor of a directive."""
    directives, lines = set(), set()
    with open(path, encoding="utf-8") as stream:
        continued = False
        for number, line in enumerate(stream, 1):
            if continued or re.match(r"\s*#", line):
                directives.add(number)
                continued = line.rstrip("\n").endswith("\\")
    for token in unit.cursor.get_tokens():
        if token.kind != cindex.TokenKind.COMMENT:
            lines.update(range(token.extent.start.line, token.extent.end.line + 1))
    return lines - directives


FUNCTIONS = {"FUNCTION_DECL", "CXX_METHOD", "CONSTRUCTOR", "DESTRUCTOR", "CONVERSION_FUNCTION", "FUNCTION_TEMPLATE", "LAMBDA_EXPR"}


def bodies(unit, path):
    """The functions that a file defines: (name, line and column of the body's brace, last line)."""
    found, is_here = [], {}

    def walk(cursor):
        for child in cursor.get_children():
            file = child.location.file
            if file is not None:
                if file.name not in is_here:
                    is_here[file.name] = os.path.realpath(file.name) == path
                if not is_here[file.name]:
                    continue
            if child.kind.name in FUNCTIONS:
                for body in child.get_children():
                    if body.kind == cindex.CursorKind.COMPOUND_STMT:
                        start = body.extent.start
                        found.append((child.spelling or "a lambda", start.line, start.column, body.extent.end.line))
            walk(child)

    walk(unit.cursor)
    return found


class Sources:
    """The audited files as text and tree: which lines have code, which functions they define, what is compiled where."""

    def __init__(self, folder, options, levels):
        folder = os.path.realpath(folder)
        index = cindex.Index.create()
        self.code, self.bodies, self.not_compiled, self.text = {}, {}, {}, {}
        for name in sorted(n for n in os.listdir(folder) if n.endswith((".hpp", ".cpp"))):
            path = os.path.join(folder, name)

            def parse(extra):
                return index.parse(path, ["-x", "c++", "-std=c++20", "-Wno-everything", *options, *extra],
                                   options=cindex.TranslationUnit.PARSE_DETAILED_PROCESSING_RECORD)

            with open(path, encoding="utf-8") as stream:
                self.text[name] = stream.read().splitlines()
            left_out, found = None, {}
            for level in levels:
                unit = parse(level)
                problems = [d.spelling for d in unit.diagnostics if d.severity >= cindex.Diagnostic.Error]
                if problems:
                    raise ValueError(f"{name} does not parse: {problems[0]}")
                lines = code_lines(unit, path)
                skipped = self._skipped(unit, path) & lines
                left_out = skipped if left_out is None else left_out & skipped
                found.update(((line, column), (what, line, column, end)) for what, line, column, end in bodies(unit, path))
            self.code[name] = lines - left_out
            self.bodies[name] = sorted(found.values(), key=lambda f: f[1:])
            self.not_compiled[name] = {line: None for line in left_out}
            for label, extra in OTHERWISE if left_out else []:
                compiled = left_out - self._skipped(parse(extra), path)
                for line in compiled:
                    if self.not_compiled[name][line] is None:
                        self.not_compiled[name][line] = label

    @staticmethod
    def _skipped(unit, path):
        return {line for first, last in clang19.skipped_lines(unit, path) for line in range(first, last + 1)}


class Measure:
    """The places of all builds, and how much of them some runs cover."""

    def __init__(self, builds, sources):
        self.sources = sources
        self.lines = collections.defaultdict(set)
        self.branches, self.conditions, self.widths = {}, collections.defaultdict(set), {}
        starts, self.functions = set(), set()
        for shape in (s for b in builds for s in b.shapes.values()):
            starts |= shape.starts
            self.functions.add(shape.start)
            self.lines[shape.file].update(shape.lines)
            for place, _, _ in shape.branches:
                self.branches[place] = shape.file
            for place, _, spots in shape.decisions:
                if self.widths.setdefault(place, len(spots)) != len(spots):
                    raise ValueError(f"a decision with {len(spots)} conditions and with {self.widths[place]}: {place}")
                self.conditions[place].update(i for i, spot in enumerate(spots) if spot not in shape.folded)
        self.uncompiled = [(file, *body) for file, found in sources.bodies.items() for body in found
                           if (file, body[1], body[2]) not in starts]
        for file, _, line, _, last in self.uncompiled:
            self.lines[file].update(range(line, last + 1))
        for file in sources.code:
            self.lines[file] &= sources.code[file]
        self.files = list(sources.code)

    def figures(self, ran):
        """file -> {line, branch, mcdc} -> (covered, all)."""
        table = {f: {"line": [0, 0], "branch": [0, 0], "mcdc": [0, 0]} for f in self.files}
        for file in self.files:
            table[file]["line"] = [sum((file, n) in ran.lines for n in self.lines[file]), len(self.lines[file])]
        for place, file in self.branches.items():
            table[file]["branch"][0] += ((place, True) in ran.sides) + ((place, False) in ran.sides)
            table[file]["branch"][1] += 2
        for place, wanted in self.conditions.items():
            cell = table[place[0][0]]["mcdc"]
            cell[0] += sum(covmap.shown(ran.vectors[place], i) for i in wanted)
            cell[1] += len(wanted)
        return table

    def misses(self, ran):
        found = []
        for file, name, line, column, _ in self.uncompiled:
            found.append(Miss(file, line, column, f"no program instantiates or compiles {name}"))
        found += [Miss(*start, "function never ran") for start in self.functions - ran.functions]
        for file in self.files:
            found += [Miss(file, n, 1, "line never ran") for n in sorted(self.lines[file]) if (file, n) not in ran.lines]
        for place, file in self.branches.items():
            sides = [side for side in (True, False) if (place, side) not in ran.sides]
            if sides:
                found.append(Miss(file, *place[0][1:3], f"branch never {' nor '.join(str(s).lower() for s in sides)}" + self._of(place)))
        for place, wanted in self.conditions.items():
            for i in sorted(wanted):
                if not covmap.shown(ran.vectors[place], i):
                    found.append(Miss(place[0][0], *place[0][1:3], f"MC/DC: condition {i + 1} of {self.widths[place]} not shown to decide "
                                      f"alone" + self._of(place) + self._vectors(ran.vectors[place])))
        return sorted(found)

    def _of(self, place):
        """Says what the place is of."""
        file, line, column, end_line, end_column = place[0]
        text = self.sources.text[file][line - 1][column - 1:end_column - 1 if end_line == line else None]
        if len(place) > 2:  # in a macro
            return f" ({text}, its condition {place[-1]})"
        return f" ({text})"

    @staticmethod
    def _vectors(vectors):
        letters = {True: "T", False: "F", None: "-"}
        return "; ran: " + (" ".join(sorted("".join(letters[v] for v in values) + "=" + letters[result] for values, result in vectors)) or "none")


def export(program, profile):
    """llvm-cov's own account: of each function (branches, records of MC/DC), to compare with ours."""
    import json
    done = subprocess.run(["llvm-cov-19", "export", program, f"-instr-profile={profile}"], check=True, capture_output=True, text=True)
    return json.loads(done.stdout)["data"][0]["functions"]


def compare(program, profile, folder):
    """Differences between llvm-cov's account of a program and ours, as lines of text; and how many functions both have. Left out are
    functions of one region that did not run: llvm-cov leaves out some of their placeholders."""
    def is_idle(regions, count):
        return len(regions) == 1 and count == 0

    inside = os.path.realpath(folder) + os.sep
    theirs = collections.Counter()
    for function in export(program, profile):
        if os.path.realpath(function["filenames"][0]).startswith(inside) and not is_idle(
                function["regions"], function["regions"][0][4]):
            theirs[(os.path.basename(function["filenames"][0]), *function["regions"][0][:5],
                    tuple(sorted(tuple(b[:6]) for b in function.get("branches", []))),
                    tuple(tuple(m[-1]) for m in function.get("mcdc_records", [])))] += 1
    counts = covmap.read_profile([profile])
    ours = collections.Counter()
    for function in covmap.read_program(program, lambda name: os.path.realpath(name).startswith(inside)):
        counted = counts.get((function.name_hash, function.hash), ([], b""))  # a sparse profile leaves out what never ran
        values = covmap.Counts(function, counted[0])
        branches = sorted((*r[3:7], values.of(r.count), values.of(r.other)) for r in function.regions
                          if r.kind in (covmap.BRANCH, covmap.CONDITION) and (r.count[0] or r.other[0]))
        records = tuple(tuple(covmap.shown(d.executed(counted[1]), i) for i in range(len(d.conditions))) for d in covmap.decisions(function))
        first = function.regions[0]
        if is_idle(function.regions, values.of(first.count)):
            continue
        ours[(os.path.basename(function.files[0]), *first[3:7], values.of(first.count), tuple(branches), records)] += 1
    different = [f"llvm-cov only: {key}" for key in theirs - ours] + [f"ours only: {key}" for key in ours - theirs]
    return different, sum((theirs & ours).values())
