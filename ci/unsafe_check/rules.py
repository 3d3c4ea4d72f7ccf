"""The rules: which operations may stand where, and what must be said about them."""

import os
import re
from dataclasses import dataclass, field

import clang19
from clang19 import cindex
from operations import Finder, unsafe_names
from source import SourceFile

SOURCES = (".hpp", ".h", ".cpp", ".cc")
NOT_CODE = (".md", ".txt", ".cmake", ".in", ".svg")
LIMIT = 1500
LONGEST_REGION = 30
LAST_WORDS = '"assay/audited/system.hpp"'
STANDARD = re.compile(r"<[a-z_0-9]+>\Z")  # the headers of C++; those of C and of the system have a dot or a slash
HEADER_WORDS = ("Purpose", "Thread rules", "Invariants")
BASE = ["-std=c++20", "-x", "c++", "-I/usr/lib/llvm-19/lib/clang/19/include", "-DASSAY_HARDENING_LEVEL=3",
        "-Wno-pragma-once-outside-header"]
# Tried in this order on a file that has code which the base configuration leaves out.
OTHERS = [["-fsanitize=address"], ["-fsanitize=thread"], ["-fsanitize=memory"], ["-UASSAY_HARDENING_LEVEL"],
          ["-UASSAY_HARDENING_LEVEL", "-DASSAY_HARDENING_LEVEL=0"], ["-UASSAY_HARDENING_LEVEL", "-DASSAY_HARDENING_LEVEL=1"],
          ["-UASSAY_HARDENING_LEVEL", "-DASSAY_HARDENING_LEVEL=2"], ["-DNDEBUG"], ["-U__clang__"], ["-fno-exceptions"],
          ["-fno-rtti"], ["-stdlib=libc++"], ["-U__clang_major__", "-D__clang_major__=22"]]


@dataclass(frozen=True, order=True)
class Operation:
    file: str
    line: int
    kind: str
    tags: tuple = ()
    text: str = ""
    owner: str = ""       # the function, or where there is none the declaration, that it stands in


@dataclass(frozen=True, order=True)
class Finding:
    file: str
    line: int
    kind: str
    text: str = ""


@dataclass
class Report:
    """What one file gives."""
    operations: list
    findings: list
    tags: dict            # identifier -> (file, line) of its first use
    code_lines: int
    owners: dict = field(default_factory=dict)  # name -> its tokens, of those in which an operation stands


class Project:
    def __init__(self, root):
        self.root = os.path.realpath(root)
        self.runtime = os.path.join(self.root, "runtime", "assay")
        self.audited = os.path.join(self.runtime, "audited")
        self.base = os.path.join(self.runtime, "base")

    def inside(self, path):
        return path.startswith(self.runtime + os.sep)

    def is_audited(self, path):
        return path.startswith(self.audited + os.sep)

    def is_base(self, path):
        return path.startswith(self.base + os.sep)

    def name(self, path):
        return os.path.relpath(path, self.root)

    def files(self):
        """(sources, others): paths under runtime/assay."""
        sources, others = [], []
        for folder, folders, names in os.walk(self.runtime):
            folders.sort()
            for name in sorted(names):
                path = os.path.join(folder, name)
                if name.endswith(SOURCES):
                    sources.append(path)
                elif not name.endswith(NOT_CODE):
                    others.append(path)
        return sources, others

    def parse(self, path, extra=()):
        arguments = [*BASE, f"-I{os.path.join(self.root, 'runtime')}", *extra]
        return cindex.Index.create().parse(
            path, arguments, options=cindex.TranslationUnit.PARSE_DETAILED_PROCESSING_RECORD)

    @staticmethod
    def lex(path):
        """A unit that serves for its tokens only: no header is read, so it is quick."""
        return cindex.Index.create().parse(path, ["-std=c++20", "-x", "c++", "-nostdinc", "-nostdinc++"])


def errors(unit):
    return [d for d in unit.diagnostics if d.severity >= cindex.Diagnostic.Error]


class Sources:
    """The runtime's SourceFiles by path, each read once by each process."""
    _read = {}

    def __init__(self, project):
        self.project = project

    def __contains__(self, path):
        return self.get(path) is not None

    def __getitem__(self, path):
        return self.get(path)

    def get(self, path):
        if path not in self._read and self.project.inside(path):
            self.put(path, self.project.lex(path))
        return self._read.get(path)

    def put(self, path, unit):
        self._read[path] = SourceFile(path, self.project.name(path), unit)
        return self._read[path]


def instantiate(project, path):
    """Operations of the runtime that a program outside it shows by instantiating templates."""
    unit = project.parse(path)
    if errors(unit):
        return None, str(errors(unit)[0])
    finder = Finder(Sources(project), project.inside, unsafe_names(unit, project.inside))
    finder.walk_unit(unit, path)
    return finder.found, ""


def check_file(project, path, elsewhere):
    """`elsewhere`: the (path, line, kind) that instantiations in other units showed in this file."""
    unit = project.parse(path)
    name = project.name(path)
    sources = Sources(project)
    source = sources.put(path, unit)
    findings = [Finding(name, d.location.line if d.location.file and d.location.file.name == path else 1,
                        "does not parse", d.spelling) for d in errors(unit)[:3]]
    finder = Finder(sources, project.inside, unsafe_names(unit, project.inside))
    finder.walk_unit(unit, path)
    for line in _other_configurations(project, path, source, unit, finder):
        finder.found.add((path, line, "code that no configuration compiles"))
    for line, kind in source.lexical_operations():
        finder.found.add((path, line, kind))
    finder.found |= elsewhere
    requests = {line for where, line, kind in finder.found if where == path and kind == "sanitizer request"}
    # What a client-request macro expands to (asm, casts, arrays) is its own affair.
    finder.found = {f for f in finder.found if f[0] != path or f[1] not in requests or f[2] == "sanitizer request"}
    strays = {f for f in finder.found if f[0] != path}
    finder.found -= strays

    audited = project.is_audited(path)
    operations, owners = [], {}
    for _, line, kind in sorted(finder.found):
        tags = _tags_for(source, finder.regions.get(path, set()), line) if audited else ()
        owner, extents = _owner_of(source, finder.owners.get(path, set()), line)
        owners.setdefault(owner, set()).update(extents)
        operations.append(Operation(name, line, kind, tags, source.line(line), owner))
    owners = {owner: " ".join(source.code_text(first, last) for first, last in sorted(extents)) for owner, extents in owners.items()}
    findings += _judge(project, source, name, audited, operations)
    findings += _judge_includes(project, source, name, audited)
    used = {}
    for tag in source.tags() if audited else ():
        for identifier in tag.names:
            used.setdefault(identifier, (name, tag.line))
    for tag in source.tags() if audited else ():
        if not tag.used:
            findings.append(Finding(name, tag.line, "tag covers no operation", ",".join(tag.names)))
    return Report(operations, findings, used, len(source.code_lines) if audited else 0, owners), strays


def _left_out(unit, path):
    lines = set()
    for first, last in clang19.skipped_lines(unit, path):
        lines.update(range(first, last + 1))
    return lines


def _other_configurations(project, path, source, unit, finder):
    """Walks the file in further configurations until each code line was compiled in one; returns the lines that never were."""
    directives = {n for first, last, _, _ in source.directives for n in range(first, last + 1)}
    source.left_out = _left_out(unit, path)
    missing = (source.left_out & source.code_lines) - directives
    own = sorted(c for c in source.conditions if c.startswith("ASSAY_"))
    candidates = OTHERS + [[flag] for c in own for flag in (f"-D{c}=1", f"-U{c}", f"-D{c}=0")]
    for extra in candidates:
        if not missing:
            break
        other = project.parse(path, extra)
        compiled = missing - _left_out(other, path)
        if compiled and not errors(other):
            finder.walk_unit(other, path)
            missing -= compiled
    return missing


def _tags_for(source, regions, line):
    """The tags that cover `line`: beside it, above it, or above a statement, definition or short block around it."""
    groups = [source.above.get(line)]
    found = list(source.trailing.get(line, []))
    for first, last, whole in regions:
        if first <= line <= last and (whole or last - first < LONGEST_REGION):
            groups.append(source.above.get(first))
    for first, last, word, _ in source.directives:
        if word == "define" and first <= line <= last:
            groups.append(source.above.get(first))
    for group in groups:
        found += group.tags if group else []
    for tag in found:
        tag.used = True
    return tuple(sorted({n for t in found for n in t.names}))


def _owner_of(source, owners, line):
    """(name, extents) of the outermost function around a line, or else of the innermost declaration or macro. Functions of one
    name have the extents of all of them: overloads are audited together."""
    around = [o for o in owners if o[0] <= line <= o[1]]
    functions = [o for o in around if o[2]]
    if functions:
        name = max(functions, key=lambda o: o[1] - o[0])[3]
        return name, {(o[0], o[1]) for o in owners if o[3] == name and o[2]}
    for first, last, word, body in source.directives:
        if first <= line <= last:
            return f"#{word} {body[0].text if body else ''}".strip(), {(first, last)}
    if around:
        first, last, _, name = min(around, key=lambda o: o[1] - o[0])
        return name, {(first, last)}
    return "(top of the file)", {(line, line)}


def _judge(project, source, name, audited, operations):
    for operation in operations:
        if operation.kind == "fence":
            yield Finding(name, operation.line, "fence (ThreadSanitizer does not model it)", operation.text)
        elif not audited:
            yield Finding(name, operation.line, operation.kind, operation.text)
        elif not operation.tags:
            yield Finding(name, operation.line, f"untagged {operation.kind}", operation.text)
    for line, problem in source.malformed:
        yield Finding(name, line, problem, source.line(line))
    if not audited:
        for tag in source.tags():
            yield Finding(name, tag.line, "SAFETY tag outside audited/", source.line(tag.line))
        return
    header = source.header_comment()
    for word in HEADER_WORDS:
        if word not in header:
            yield Finding(name, 1, f"header comment does not say '{word}'", source.line(1))


def _judge_includes(project, source, name, audited):
    for line, target in source.includes:
        own = target.startswith('"assay/') and ".." not in target
        if project.is_base(source.path):
            last_words = target == LAST_WORDS and source.path.endswith(".cpp")
            if not (own and target.startswith('"assay/base/') or last_words or STANDARD.match(target)):
                yield Finding(name, line, "base file includes something outside base/ and the standard library",
                              source.line(line))
            continue
        if line in source.left_out and re.match(r"[A-Z]", target):
            continue  # `#include MACRO` that an ordinary build does not see: a test may put something in its place
        system = target.startswith("<") and not target.startswith(("<assay/", "<."))
        if audited and not system and not (own and target.startswith(('"assay/audited/', '"assay/base/'))):
            yield Finding(name, line, "audited file includes something outside audited/ and base/", source.line(line))
        elif not system and not own:
            yield Finding(name, line, "includes something outside the runtime", source.line(line))


def check_matrix(project, tags):
    """Each tag has one row `| T3 | ...` in SAFETY.md, and each row a tag."""
    path = os.path.join(project.root, "SAFETY.md")
    rows = {}
    if os.path.exists(path):
        with open(path, encoding="utf-8") as stream:
            for number, line in enumerate(stream, 1):
                match = re.match(r"\|\s*([A-Z][0-9]+)\s*\|", line)
                if match and match[1] in rows:
                    yield Finding("SAFETY.md", number, f"second row for {match[1]}", line.strip())
                elif match:
                    rows[match[1]] = (number, line.strip())
    for identifier, (file, line) in sorted(tags.items()):
        if identifier not in rows:
            yield Finding(file, line, f"tag {identifier} has no row in SAFETY.md")
    for identifier, (number, text) in sorted(rows.items()):
        if identifier not in tags:
            yield Finding("SAFETY.md", number, f"row {identifier} is used by no code", text)
