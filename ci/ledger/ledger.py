"""The ledger of the audit: reading its rows, and the rules that join them to the code, to what ran, and to SAFETY.md.

Each rule is a function that yields one line for each place where it is broken. ci/audit calls them; ci/checks/audit-selftest shows
each of them fail.
"""

import glob
import hashlib
import os
import re
import subprocess
import tomllib

EVIDENCE = {"T": "tests/{}.cpp", "P": "property-tests/{}.cpp", "F": "fuzz/{}.cpp", "N": "tests/scopes/{}.cpp", "M": "tests/models/{}.cpp",
            "C": "tests/compile_fail/{}.cpp", "K": "sanitizer-scripts/canaries/{}.cpp"}
RUNS = ("T", "P", "F", "M")  # evidence of which the lines that it executed are known
FIELDS = {"obligation", "invariant", "established", "checks", "unchecked", "also", "mutants", "no_mutant", "signed", *EVIDENCE}
LISTS = {"established", "checks", "mutants", "signed", *EVIDENCE}
AUDITED = "runtime/assay/audited/"
BEGIN, END = "<!-- written by ci/audit: {} -->\n", "<!-- end -->\n"


class Ledger:
    def __init__(self, root):
        self.root = root
        self.path = os.path.join(root, "ci", "ledger", "rows.toml")
        with open(self.path, "rb") as stream:
            content = tomllib.load(stream)
        self.families = content.pop("family", [])
        self.rows = content

    def sign(self, names, signatures):
        """Writes the signatures of these rows into the file, and touches nothing else in it."""
        with open(self.path, encoding="utf-8") as stream:
            text = stream.read()
        for name in names:
            lines = "".join(f'  "{line}",\n' for line in signatures[name])
            pattern = re.compile(rf"(^\[{name}\]\n(?:(?!^\[).*\n)*?)signed = \[[^\]]*\]", re.MULTILINE)
            text, count = pattern.subn(lambda match: f"{match[1]}signed = [\n{lines}]", text)
            if count != 1:
                raise ValueError(f"row {name} has no field `signed`")
        with open(self.path, "w", encoding="utf-8") as stream:
            stream.write(text)


def digest(text):
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def signatures(survey):
    """tag -> the lines that sign it: file, function, digest of its code."""
    found = {}
    for operation in survey.operations:
        for tag in operation.tags:
            file = operation.file.removeprefix(AUDITED)
            found.setdefault(tag, set()).add(f"{file}: {operation.owner} {digest(survey.owners[(operation.file, operation.owner)])}")
    return {tag: sorted(lines) for tag, lines in found.items()}


# ---- rules

def whole(ledger, tags):
    """A row for each tag and a tag for each row; each row says what it must."""
    letters = "".join(family.get("letters", "") for family in ledger.families)
    for tag, (file, line) in sorted(tags.items()):
        if tag not in ledger.rows:
            yield f"{file}:{line}: tag {tag} has no row in the ledger"
    for name, row in ledger.rows.items():
        if name not in tags:
            yield f"row {name}: no operation has this tag"
        if name[0] not in letters:
            yield f"row {name}: no family has its letter"
        for field in sorted(set(row) - FIELDS):
            yield f"row {name}: unknown field '{field}'"
        for field in sorted(LISTS & set(row)):
            if not isinstance(row[field], list) or not all(isinstance(each, str) for each in row[field]):
                yield f"row {name}: '{field}' is no list of strings"
        for field in ("obligation", "invariant"):
            if not row.get(field):
                yield f"row {name}: says no {field}"
        for field, instead in (("checks", "unchecked"), ("mutants", "no_mutant")):
            if bool(row.get(field)) == bool(row.get(instead)):
                yield f"row {name}: wants `{field}`, or `{instead}` with the reason, and not both"
        if not any(row.get(kind) for kind in EVIDENCE):
            yield f"row {name}: no evidence"


def checks_exist(ledger):
    """Each message named as a check is one that the runtime can give."""
    texts = []
    for path in sorted(glob.glob(os.path.join(ledger.root, "runtime", "**", "*.?pp"), recursive=True)):
        with open(path, encoding="utf-8") as stream:
            texts.append(stream.read())
    runtime = "\n".join(texts)
    for name, row in ledger.rows.items():
        for message in row.get("checks", []):
            if f'"{message}"' not in runtime:
                yield f"row {name}: the runtime has no message \"{message}\""


def evidence_exists(ledger):
    for name, row in ledger.rows.items():
        for kind, place in EVIDENCE.items():
            for each in row.get(kind, []):
                if not os.path.exists(os.path.join(ledger.root, place.format(each))):
                    yield f"row {name}: its evidence {kind} {each} does not exist ({place.format(each)})"


def signed(ledger, survey):
    """What was audited is what stands there now."""
    now = signatures(survey)
    for name, row in ledger.rows.items():
        before, after = set(row.get("signed", [])), set(now.get(name, []))
        if not before:
            yield f"row {name}: was never signed; audit it, then: ci/audit --sign {name}"
            continue
        changed = {line.rsplit(" ", 1)[0] for line in before ^ after}
        if changed:
            yield f"re-audit {name}: {'; '.join(sorted(changed))} changed since it was signed; then: ci/audit --sign {name}"


def executed(ledger, survey, lines):
    """Each evidence of a row executed one of its operations, and each operation was executed by evidence of its row.

    `lines`: {"T kernel_slab": {"slab_chunk.hpp": [12, ...]}, ..., "code": {file: [...]}}; `code` are the lines that can be executed.
    """
    code = {file: set(numbers) for file, numbers in lines["code"].items()}
    operations = {}
    for operation in survey.operations:
        file = operation.file.removeprefix(AUDITED)
        if operation.line in code.get(file, ()):
            for tag in operation.tags:
                operations.setdefault(tag, set()).add((file, operation.line))
    for name, row in ledger.rows.items():
        wanted, seen = operations.get(name, set()), set()
        ran = 0
        for kind in RUNS:
            for each in row.get(kind, []):
                if f"{kind} {each}" not in lines:
                    yield f"row {name}: its evidence {kind} {each} did not run"
                    continue
                ran += 1
                of = lines[f"{kind} {each}"]
                touched = {(file, line) for file, line in wanted if line in of.get(file, ())}
                if wanted and not touched:
                    yield f"row {name}: its evidence {kind} {each} executes none of its operations"
                seen |= touched
        for file, line in sorted(wanted - seen) if ran else ():
            yield f"row {name}: no evidence of it executes {file}:{line}"


def mutants_died(ledger, survey):
    """Each mutant that a row names is in the row's files, applies, and was caught as it stands; `died` is mutants/died.tsv."""
    folder = os.path.join(ledger.root, "mutants")
    died, path = {}, os.path.join(folder, "died.tsv")
    if os.path.exists(path):
        with open(path, encoding="utf-8") as stream:
            died = dict(line.split("\t")[:2] for line in stream.read().splitlines()[1:])
    files = {}
    for operation in survey.operations:
        for tag in operation.tags:
            files.setdefault(tag, set()).add(os.path.basename(operation.file))
    for name, row in ledger.rows.items():
        for mutant in row.get("mutants", []):
            patch = os.path.join(folder, f"{mutant}.patch")
            if not os.path.exists(patch):
                yield f"row {name}: its mutant {mutant} does not exist"
                continue
            with open(patch, encoding="utf-8") as stream:
                text = stream.read()
            touched = {os.path.basename(file) for file in re.findall(r"^\+\+\+ b/(.*)$", text, re.MULTILINE)}
            if not touched & (files.get(name, set()) | set(row.get("established", []))):
                yield f"row {name}: its mutant {mutant} changes none of its files"
    for patch in mutant_patches(ledger.root):
        mutant = os.path.relpath(patch, folder).removesuffix(".patch")
        done = subprocess.run(["git", "apply", "--check", "-p1", patch], cwd=ledger.root, capture_output=True, text=True,
                              env={**os.environ, "GIT_CEILING_DIRECTORIES": os.path.dirname(ledger.root)})
        if done.returncode != 0:
            yield f"mutant {mutant}: its patch does not apply any more: {done.stderr.strip().splitlines()[0] if done.stderr else ''}"
        elif mutant not in died:
            yield f"mutant {mutant}: was never seen to die; mutants/run --record {mutant}"
        elif died[mutant] != mutant_digest(ledger.root, patch):
            yield f"mutant {mutant}: it or its test changed since it died; mutants/run --record {mutant}"
    for bug, answer, _ in not_mutants(ledger.root):
        kind, _, test = answer.partition(" ")
        if kind not in ("cannot", "test", "open") or (kind == "test") != os.path.exists(os.path.join(ledger.root, "tests", f"{test}.cpp")):
            yield f"mutants/not_mutants.tsv: {bug}: '{answer}' is none of: cannot, open, test NAME (of a file in tests/)"


def mutant_patches(root):
    """All seeded bugs, those of the explorer after those of the runtime."""
    folder = os.path.join(root, "mutants")
    return sorted(glob.glob(os.path.join(folder, "*.patch"))) + sorted(glob.glob(os.path.join(folder, "explorer", "*.patch")))


def not_mutants(root):
    """The bugs of the list that this project started from that are no mutant: (bug, answer, why)."""
    return read_tsv(root, "not_mutants.tsv")[1]


def read_tsv(root, name):
    """(head, rows) of a table in mutants/, each row a list of cells; (None, []) where there is none."""
    path = os.path.join(root, "mutants", name)
    if not os.path.exists(path):
        return None, []
    with open(path, encoding="utf-8") as stream:
        head, *rows = (line.split("\t") for line in stream.read().splitlines())
    return head, rows


def mutant_digest(root, patch):
    """Of a mutant and the test that must catch it."""
    with open(patch, encoding="utf-8") as stream:
        text = stream.read()
    test = re.search(r"^test: ([^,\n]*)", text, re.MULTILINE)
    path = os.path.join(root, "tests", f"{test[1].strip()}.cpp") if test else ""
    if os.path.exists(path):
        with open(path, encoding="utf-8") as stream:
            text += stream.read()
    return digest(text)


def tables_fresh(ledger, survey):
    path = os.path.join(ledger.root, "SAFETY.md")
    with open(path, encoding="utf-8") as stream:
        before = stream.read()
    after, missing = written(ledger, survey, before)
    for name in missing:
        yield f"SAFETY.md has no place for the table '{name}' ({BEGIN.format(name).strip()})"
    if after != before:
        yield "SAFETY.md: its tables are stale; ci/audit --write writes them"


# ---- tables

def evidence_of(row):
    parts = [f"{kind} {', '.join(row[kind])}" for kind in EVIDENCE if row.get(kind)]
    if row.get("also"):
        parts.append(row["also"])
    return "; ".join(parts)


def tables(ledger, survey):
    """name -> Markdown: the matrix, the inventory of operations, the mutation score, which tool sees which bug, the memory orders, the models."""
    places = {}
    for operation in survey.operations:
        for tag in operation.tags:
            places.setdefault(tag, {}).setdefault(operation.file.removeprefix(AUDITED), set()).add((operation.line, operation.kind))
    matrix = []
    for family in ledger.families:
        matrix.append(f"\n### {family['title']}\n\n"
                      "| ID | where, and how many operations | obligation | invariant that discharges it | checked at run time | evidence | mutants |\n"
                      "|---|---|---|---|---|---|---|\n")
        for name, row in ledger.rows.items():
            if name[0] not in family["letters"]:
                continue
            where = ", ".join(f"{file} {len(found)}" for file, found in sorted(places.get(name, {}).items()))
            checks = "; ".join(f"\"{each.strip()}\"" for each in row.get("checks", [])) or f"no: {row.get('unchecked', '')}"
            mutants = ", ".join(row.get("mutants", [])) or f"none: {row.get('no_mutant', '')}"
            cells = [name, where, row["obligation"], row["invariant"], checks, evidence_of(row), mutants]
            matrix.append("| " + " | ".join(cells) + " |\n")
    kinds = {}
    for operation in survey.operations:
        kinds.setdefault(operation.kind.split(" (")[0], []).append(operation)
    inventory = ["| kind of operation | number | files |\n|---|---|---|\n"]
    for kind, found in sorted(kinds.items(), key=lambda item: (-len(item[1]), item[0])):
        files = sorted({operation.file.removeprefix(AUDITED) for operation in found})
        inventory.append(f"| {kind} | {len(found)} | {', '.join(files)} |\n")
    inventory.append(f"| all | {len(survey.operations)} | {survey.code_lines} lines of code |\n")
    return {"matrix": "".join(matrix), "inventory": "".join(inventory), "mutation": mutation_table(ledger.root), "detectors": detector_table(ledger.root),
            "orders": order_table(ledger.root), "models": model_table(ledger.root)}


def model_table(root):
    """How far Relacy searches each model of tests/models: what the model itself asks for."""
    bounds = {}
    for path in sorted(glob.glob(os.path.join(root, "tests", "models", "*.cpp"))):
        with open(path, encoding="utf-8") as file:
            for name, bound in re.findall(r'\brun_model<.+?>\("(\w+)"(?:, (\d+))?\)', file.read()):
                bounds.setdefault(int(bound or 0), []).append(name)
    if not bounds:
        return "None: no `run_model` in tests/models.\n"
    out = ["| Relacy's search | models | |\n|---|---|---|\n"]
    out += [f"| {f'involuntary switches: at most {bound}' if bound else 'in full'} | {len(names)} | {', '.join(sorted(names))} |\n" for bound, names in sorted(bounds.items())]
    return "".join([*out, f"| all | {sum(map(len, bounds.values()))} | |\n"])


def order_table(root):
    """What ci/checks/memory-orders found."""
    head, rows = read_tsv(root, "orders.tsv")
    if head is None:
        return "Not run: `ci/checks/memory-orders --write`.\n"
    out = ["| where | operation | order | weakened to | then fails, or why it is so all the same |\n|---|---|---|---|---|\n"]
    out += [f"| {file.removeprefix('audited/')}, `{function}` | {operation} | {order} | {weaker} | {why if fails == 'none' else f'`{fails}`'} |\n"
            for file, function, operation, order, weaker, fails, why in rows]
    return "".join(out)


def mutation(root):
    """What mutants/automatic left in mutants/automatic.tsv, or None: rows of (file, mutants, killed, explained, open), the last of them
    for all files; and the survivors, each (file, function, operator, text, how, why), with no `why` where nobody has explained it."""
    head, lines = read_tsv(root, "automatic.tsv")
    if head is None:
        return None
    scores, survivors = {}, []
    for what, file, *rest in lines:
        if what == "score":
            scores[file] = [a + int(b) for a, b in zip(scores.get(file, (0, 0, 0)), rest[2:])]
        else:
            survivors.append((file, *rest[:-1], rest[-1] if rest[-1].startswith("equivalent") else ""))
    total = [sum(column) for column in zip(*scores.values())]
    rows = [(file, *sums, sums[0] - sums[1] - sums[2]) for file, sums in [*sorted(scores.items()), ("all", total)]]
    return rows, survivors


def mutation_table(root):
    found = mutation(root)
    if found is None:
        return "Not run: `mutants/automatic --record`.\n"
    rows, survivors = found
    out = ["| file | mutants | killed | explained | open |\n|---|---|---|---|---|\n"]
    out += ["| " + " | ".join(map(str, row)) + " |\n" for row in rows]
    still = [survivor for survivor in survivors if not survivor[-1]]
    if still:
        out.append("\nOpen, neither killed nor explained:\n\n")
        out += [f"- {file}, `{function}`, {operator}: `{text}` ({how})\n" for file, function, operator, text, how, _ in still]
    return "".join(out)


OURS = ("checks", "unit", "scope", "property", "explorer", "fuzz", "executor")  # columns of mutants/matrix.tsv that are no tool of others


def detectors(root):
    """What mutants/matrix found: (columns, {mutant: {column: seen, not, always, - or ?}}), or None. A mutant that changed since is not tried."""
    head, lines = read_tsv(root, "matrix.tsv")
    if head is None:
        return None
    columns, known, rows = head[2:], {name: rest for name, *rest in lines}, {}
    for patch in glob.glob(os.path.join(root, "mutants", "*.patch")):
        name = os.path.basename(patch).removesuffix(".patch")
        digest_then, *cells = known.get(name, [""])
        is_same = digest_then == mutant_digest(root, patch)
        rows[name] = dict(zip(columns, cells)) if is_same else dict.fromkeys(columns, "?")
    return columns, rows


def detector_table(root):
    found = detectors(root)
    if found is None:
        return "Not run: `mutants/matrix`.\n"
    columns, rows = found
    out = ["| column | seen | not seen | reported also without the bug | no such test | not tried |\n|---|---|---|---|---|---|\n"]
    for column in columns:
        cells = [row[column] for row in rows.values()]
        out.append(f"| {column} | " + " | ".join(str(cells.count(kind)) for kind in ("seen", "not", "always", "-", "?")) + " |\n")
    tools = [column for column in columns if column not in OURS]
    blind = [name for name, row in sorted(rows.items()) if any(row[c] == "not" for c in tools) and not any(row[c] == "seen" for c in tools)]
    out.append(f"\nOf {len(rows)} bugs, {len(blind)} were seen by no tool of others that was tried, and by these of ours:\n\n")
    out += [f"- {name}: {', '.join(c for c in OURS if rows[name].get(c) == 'seen') or 'none that was tried here; see `mutants/run`'}\n" for name in blind]
    out.append("\nEach bug and each column, in the order of the table above: `X` seen, `.` not seen, `~` reported also without the bug, `-` no such test,"
               " blank: not tried.\n\n```\n")
    signs = {"seen": "X", "not": ".", "always": "~", "-": "-", "?": " "}
    width = max(map(len, rows), default=0)
    out += [f"{name:{width}} |{'|'.join(signs[row[column]] for column in columns)}|\n" for name, row in sorted(rows.items())]
    return "".join([*out, "```\n"])


def written(ledger, survey, text):
    """SAFETY.md with its tables as they should be, and the names of those that have no place in it."""
    missing = []
    for name, table in tables(ledger, survey).items():
        begin = BEGIN.format(name)
        pattern = re.compile(re.escape(begin) + r"(?:(?!<!-- ).*\n)*" + re.escape(END))
        text, count = pattern.subn(lambda _: begin + table + END, text)
        if count != 1:
            missing.append(name)
    return text, missing
