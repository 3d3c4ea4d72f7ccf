"""What must be reported as missing is, and nothing else: ci/coverage --self-test."""

import collections
import os
import re
import subprocess
import tempfile

import covmap
import measure

HERE = os.path.dirname(os.path.realpath(__file__))
FIXTURE = os.path.join(HERE, "fixture")
AUDITED = os.path.join(FIXTURE, "audited")
RUNTIME = os.path.join(os.path.dirname(os.path.dirname(HERE)), "runtime")
COMPILER = ["clang++-19", "-std=c++20", "-O0", f"-I{RUNTIME}", f"-I{FIXTURE}"]


def built_and_run(folder, level):
    """(program, its profiles) of the fixture at one hardening level."""
    profile_list = os.path.join(folder, "list")
    with open(os.path.join(HERE, "audited.list"), encoding="utf-8") as stream:
        text = stream.read()
    with open(profile_list, "w", encoding="utf-8") as stream:
        stream.write(text.replace("*/runtime/assay/audited/", "*/fixture/audited/"))
    program = os.path.join(folder, f"program{level}")
    subprocess.run([*COMPILER, "-fprofile-instr-generate", "-fcoverage-mapping", "-fcoverage-mcdc", "-fprofile-update=atomic",
                    f"-fprofile-list={profile_list}", f"-DASSAY_HARDENING_LEVEL={level}", "-DASSAY_ALWAYS_KIND=2", "-Wno-unused",
                    os.path.join(FIXTURE, "program.cpp"), os.path.join(HERE, "write_profile.cpp"), "-o", program], check=True)
    profile = os.path.join(folder, f"{level}-%m.profraw")
    subprocess.run([program], check=True, env={**os.environ, "LLVM_PROFILE_FILE": profile})
    return program, [os.path.join(folder, n) for n in os.listdir(folder) if n.startswith(f"{level}-")]


def expected():
    """Line -> words of each miss that must be reported there; and line -> where else it is compiled."""
    missing, elsewhere = collections.defaultdict(list), {}
    with open(os.path.join(AUDITED, "samples.hpp"), encoding="utf-8") as stream:
        for number, line in enumerate(stream, 1):
            match = re.search(r"// EXPECT(-ELSEWHERE)?: (.*)", line)
            if match and match[1]:
                elsewhere[number] = None if match[2] == "None" else match[2]
            elif match:
                missing[number] = [w.strip() for w in match[2].split(";")]
    return missing, elsewhere


def check_fixture(folder):
    problems = []
    programs = {level: built_and_run(folder, level) for level in (2, 3)}
    builds = {level: measure.Build([program], AUDITED) for level, (program, _) in programs.items()}
    sources = measure.Sources(AUDITED, [f"-I{RUNTIME}"], [[f"-DASSAY_HARDENING_LEVEL={n}", "-DASSAY_ALWAYS_KIND=2"] for n in programs])
    measured = measure.Measure(builds.values(), sources)
    ran = measure.Ran()
    for level, build in builds.items():
        ran.add(build.ran(programs[level][1]))
    wanted, elsewhere = expected()
    for miss in measured.misses(ran):
        hit = next((w for w in wanted[miss.line] if miss.what.startswith(w)), None)
        if hit is None:
            problems.append(f"reported, not expected: {miss}")
        else:
            wanted[miss.line].remove(hit)
    problems += [f"not reported: line {line}: {w}" for line, words in wanted.items() for w in words]
    if sources.not_compiled["samples.hpp"] != elsewhere:
        problems.append(f"compiled elsewhere: {sources.not_compiled}, expected {elsewhere}")
    cells = measured.figures(ran)["samples.hpp"]
    if any(covered >= all_ for covered, all_ in cells.values()):
        problems.append(f"figures of something incomplete: {cells}")

    alone = measured.misses(builds[2].ran(programs[2][1]))
    if not any("ASSAY_HARDENING_LEVEL" in sources.text[m.file][m.line - 1] for m in alone):
        problems.append("level 2 alone covers what only level 3 runs")

    program, profiles = programs[2]
    merged = os.path.join(folder, "merged")
    subprocess.run(["llvm-profdata-19", "merge", *profiles, "-o", merged], check=True)
    different, same = measure.compare(program, merged, AUDITED)
    if different or same < 10:
        problems.append(f"differs from llvm-cov ({same} functions do not): {different[:3]}")
    real, covmap.shown = covmap.shown, lambda executed, condition: False
    different, _ = measure.compare(program, merged, AUDITED)
    covmap.shown = real
    if not different:
        problems.append("the comparison with llvm-cov does not see a wrong account")
    return problems


def check_always(folder):
    """Each definition of ASSAY_ALWAYS and ASSAY_NEVER, where the impossible happens."""
    wanted = {0: (0, "false", 0, "true"), 1: (3, "internal: not always arguments > 5", 3, "internal: not never arguments < 5"),
              2: (0, "true", 0, "false")}
    problems = []
    for kind, outcome in wanted.items():
        program = os.path.join(folder, f"always{kind}")
        subprocess.run([*COMPILER, f"-DASSAY_ALWAYS_KIND={kind}", os.path.join(FIXTURE, "always.cpp"), "-o", program], check=True)
        seen = ()
        for arguments in ([], ["never"]):
            done = subprocess.run([program, *arguments], capture_output=True, text=True)
            seen += done.returncode, done.stdout.strip()
        if seen != outcome:
            problems.append(f"ASSAY_ALWAYS_KIND={kind}: {seen}, not {outcome}")
    return problems


def check_runs(coverage, folder):
    """A run that fails, or that ran nothing, is no evidence; a difference between the three definitions is seen."""
    problems = []
    coverage.PROFILES = coverage.LOGS = folder
    coverage.ROOT = folder

    def script(text):
        return ["sh", "-c", text]

    passed = "echo 'All tests passed (3 assertions in 2 test cases)'"
    for label, command, is_good in [
            ("T good", script(passed), True), ("P good", script(passed), True),
            ("T fails", script("printf 'test cases: 2 | 1 passed | 1 failed\\nassertions: 3 | 2 passed | 1 failed\\n'"), False),
            ("T status", script(passed + "; exit 1"), False), ("T silent", ["true"], False), ("T crash", script("kill -SEGV $$"), False),
            ("F good", script("echo replayed 3 inputs"), True), ("F none", script("echo replayed 0 inputs"), False),
            ("M fails", ["false"], False), ("M good", ["true"], True)]:
        result = coverage.run(coverage.Job("tree", label, command))
        if (result.problem is None) != is_good:
            problems.append(f"a run of {label}: {result.problem}")
    results = [coverage.Result(coverage.Job(tree, label, []), None, counts, [], 0)
               for tree in ("one", "two") for label, counts in (("T same", (1, 0, 0, 5)), ("T other", (1, 0, 0, 5 if tree == "one" else 6)))]
    found, totals = coverage.compare_definitions(results, ["one", "two"])
    if len(found) != 1 or "T other" not in found[0] or totals != {"one": (2, 10), "two": (2, 11)}:
        problems.append(f"definitions that differ: {found} {totals}")
    figures = {"a.hpp": {"line": [9, 10], "branch": [1, 2]}, "b.hpp": {"line": [0, 0], "branch": [0, 0]}}
    for floors, wrong in [({"a.hpp": (90, 50), "b.hpp": (0, 0)}, 0), ({"a.hpp": (91, 50), "b.hpp": (0, 0)}, 1), ({"a.hpp": (90, 51), "b.hpp": (0, 0)}, 1),
                          ({"a.hpp": (90, 50)}, 1), ({"a.hpp": (90, 50), "b.hpp": (0, 0), "c.hpp": (0, 0)}, 1)]:
        if len(coverage.below_floors(figures, floors)) != wrong:
            problems.append(f"floors {floors}: {coverage.below_floors(figures, floors)}")
    return problems


def main(coverage):
    with tempfile.TemporaryDirectory() as folder:
        problems = check_fixture(folder) + check_always(folder) + check_runs(coverage, folder)
    for problem in problems:
        print(problem)
    expectations = sum(len(w) for w in expected()[0].values())
    print(f"coverage: FAIL  self-test: {len(problems)} problems" if problems else
          f"coverage: PASS  self-test: {expectations} seeded misses reported, and nothing else")
    return 1 if problems else 0
