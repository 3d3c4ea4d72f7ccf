"""Shows on fixture/ that each operator makes the mutants that it must and no others, that a killed one is told as killed, one that
nothing notices as a survivor, one that nothing calls as not reached, and that a survivor without an entry and an entry without
a survivor are errors. fixture/expected.txt: function, operator and text of each mutant, and what becomes of it."""

import os
import shutil
import subprocess
import tempfile

import sites

HERE = os.path.dirname(os.path.realpath(__file__))
FIXTURE = os.path.join(HERE, "fixture")


def build(automatic, folder, files):
    """The fixture with its mutants, its tests and its model in `folder`."""
    for name, file in files:
        automatic.write_if_changed(os.path.join(folder, "audited", name), file.rewritten().encode())
    for name in ("test.cpp", "model.cpp"):  # a quoted include looks beside the file that includes first
        shutil.copy(os.path.join(FIXTURE, name), folder)
    for top in ("runtime", "testkit"):
        for path, _, names in os.walk(os.path.join(automatic.ROOT, top)):
            for name in (n for n in names if n.endswith(".hpp")):
                source = os.path.relpath(os.path.join(path, name), automatic.ROOT)
                with open(os.path.join(automatic.ROOT, source), "rb") as stream:
                    automatic.write_if_changed(os.path.join(folder, source), automatic.with_orders(source, stream.read()))
    compile_ = ["clang++-19", "-std=c++20", "-O0", "-w", "-Wno-c++11-narrowing", "-fno-sized-deallocation", "-DMODEL_RELACY", "-include", automatic.SWITCH,
                *(f"-I{os.path.join(folder, d)}" for d in ("", "runtime", "testkit")), "-pthread"]
    jobs = [subprocess.Popen([*compile_, os.path.join(folder, f"{name}.cpp"), "-o", os.path.join(folder, name)]) for name in ("test", "model")]
    if any([job.wait() for job in jobs]):
        automatic.stop("the fixture does not build")


def run(automatic):
    wrong = []
    files, mutants = sites.find(os.path.join(FIXTURE, "audited"), os.path.join(automatic.ROOT, "runtime"))
    with open(os.path.join(FIXTURE, "expected.txt"), encoding="utf-8") as stream:
        expected = [line.rstrip("\n").split("  ") for line in stream if line.strip()]
    with tempfile.TemporaryDirectory() as folder:
        build(automatic, folder, files)
        tests = [automatic.Test("tests/sample", [os.path.join(folder, "test")]), automatic.Test("model hand", [os.path.join(folder, "model")])]
        runner = automatic.Running(folder, memory=4 << 30)
        automatic.see_clean(runner, tests, mutants)
        hunt = automatic.Hunt(runner, tests, patience=2)
        found = {m.id: hunt.judge(m) for m in mutants}
    seen = [[m.function, m.operator, m.text, "hangs" if found[m.id].case == "hangs" else found[m.id].how] for m in mutants]
    wrong += [f"expected and not seen: {'  '.join(row)}" for row in expected if row not in seen]
    wrong += [f"seen and not expected: {'  '.join(row)}" for row in seen if row not in expected]
    if len(seen) != len(expected):
        wrong.append(f"{len(seen)} mutants, expected {len(expected)}")

    made = {m.operator for m in mutants}
    wrong += [f"no mutant of the operator '{o}'" for o in sorted(sites.OPERATORS ^ made)]
    survivor = next(m for m in mutants if m.function == "Counter::hint" and m.operator == "drop")
    killed = next(m for m in mutants if found[m.id].how == "killed")
    entry = lambda m: automatic.Explained(*m.key, why="for the self-test only")
    explained, unexplained, stale = automatic.explain(mutants, found, [entry(survivor), entry(killed)])
    if [m for m, _ in explained] != [survivor]:
        wrong.append("an explained survivor is not told as explained")
    if survivor in unexplained or not unexplained:
        wrong.append("survivors that nothing explains are not told")
    if [e.text for e in stale] != [killed.text]:
        wrong.append("an entry that fits no survivor is not told")
    for line in wrong:
        print(line)
    print(f"mutants/automatic --self-test: {'FAIL' if wrong else 'PASS'}  {len(mutants)} mutants of {len(made)} operators")
    return 1 if wrong else 0
