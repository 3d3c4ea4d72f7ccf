"""The survey of a whole project: each file of the runtime, and what programs show of its templates."""

import glob
import multiprocessing
import os
import sys
from dataclasses import dataclass, field

import rules
from rules import Finding


@dataclass
class Survey:
    project: object
    sources: list                                   # paths of the runtime's files
    operations: list                                # all rules.Operation, sorted
    found: list                                     # what breaks a rule in the code itself
    tags: dict                                      # identifier -> (file, line) of its first use
    owners: dict                                    # (file, name) -> tokens of the function or declaration
    code_lines: int                                 # of audited/
    notes: list = field(default_factory=list)

    @property
    def findings(self):
        """What breaks a rule in the code or in SAFETY.md as it is now, each once."""
        return sorted({*self.found, *rules.check_matrix(self.project, self.tags)})


def _instantiate(job):
    sys.setrecursionlimit(20000)
    return rules.instantiate(*job)


def _check(job):
    sys.setrecursionlimit(20000)
    return rules.check_file(*job)


def survey(root):
    project = rules.Project(root)
    sources, others = project.files()
    findings = [Finding(project.name(p), 1, "file of unknown kind (not checked)") for p in others]
    if not sources:
        findings.append(Finding("runtime/assay", 1, "no source files"))

    users = [os.path.join(project.root, "ci", "disassembly", "probe.cpp"),
             *sorted(glob.glob(os.path.join(project.root, "examples", "**", "*.cpp"), recursive=True))]
    users = [u for u in users if os.path.exists(u)]
    notes = []
    with multiprocessing.Pool() as pool:
        shown = set()
        for user, (found, problem) in zip(users, pool.map(_instantiate, [(project, u) for u in users], chunksize=1)):
            if found is None:
                notes.append(f"{project.name(user)} does not parse, its instantiations are not seen: {problem}")
            else:
                shown |= found
        results = pool.map(_check, [(project, s, {f for f in shown if f[0] == s}) for s in sources], chunksize=1)
        # Operations that one runtime file shows in another by instantiating its templates.
        strays = set().union(*(r[1] for r in results)) if results else set()
        again = {}
        for i, source in enumerate(sources):
            known = {(o.line, o.kind) for o in results[i][0].operations}
            new = {f for f in strays if f[0] == source and (f[1], f[2]) not in known}
            if new:
                again[i] = (project, source, new | {f for f in shown if f[0] == source})
        for i, result in zip(again, pool.map(_check, again.values(), chunksize=1)):
            results[i] = result

    tags, owners = {}, {}
    for source, (report, _) in zip(sources, results):
        findings += report.findings
        for identifier, place in report.tags.items():
            tags.setdefault(identifier, place)
        owners.update({(project.name(source), owner): text for owner, text in report.owners.items()})
    code_lines = sum(report.code_lines for report, _ in results)
    if code_lines > rules.LIMIT:
        findings.append(Finding("runtime/assay/audited", 1, f"{code_lines} code lines, limit {rules.LIMIT}"))
    operations = sorted(o for report, _ in results for o in report.operations)
    return Survey(project, sources, operations, findings, tags, owners, code_lines, notes)
