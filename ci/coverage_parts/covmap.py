"""Reads what clang 19 puts into a program about its coverage (sections __llvm_covmap and __llvm_covfun), and what the program
counted (llvm-profdata's text), and says of each function which regions, branches and test vectors were executed.

llvm-cov does the same, and ci/coverage compares the two. It is done again because llvm-cov's reports keep only the best of a
template's instantiations, do not say where a decision inside a macro stands, and do not give the test vectors, without which
those of several instantiations and programs cannot be put together.
"""

import collections
import functools
import hashlib
import os
import struct
import subprocess
import zlib

CODE, EXPANSION, SKIPPED, GAP, BRANCH, DECISION, CONDITION = range(7)
FORMAT = 6  # the number of version 7, which clang 18 and 19 write

Region = collections.namedtuple("Region", "kind file expanded line column end_line end_column count other parameters")
Function = collections.namedtuple("Function", "name_hash hash files regions expressions")


class Reader:
    """Bytes, read from the front."""

    def __init__(self, data, at=0):
        self.data, self.at = data, at

    def number(self):
        """A ULEB128."""
        value = shift = 0
        while True:
            byte = self.data[self.at]
            self.at += 1
            value |= (byte & 127) << shift
            if byte < 128:
                return value
            shift += 7

    def take(self, size):
        self.at += size
        return self.data[self.at - size:self.at]


def name_hash(name):
    return int.from_bytes(hashlib.md5(name).digest()[:8], "little")


def sections(path):
    """The sections of an ELF file of 64 bits, by name."""
    with open(path, "rb") as stream:
        data = stream.read()
    if data[:6] != b"\x7fELF\x02\x01":
        raise ValueError(f"{path}: not a little-endian ELF file of 64 bits")
    start, = struct.unpack_from("<Q", data, 0x28)
    size, count, names_index = struct.unpack_from("<HHH", data, 0x3A)
    headers = [struct.unpack_from("<IIQQQQ", data, start + i * size) for i in range(count)]
    names = headers[names_index][4]
    return {data[names + h[0]:data.index(b"\0", names + h[0])].decode(): data[h[4]:h[4] + h[5]] for h in headers}


def read_file_tables(data):
    """Hash of a table of file names -> the names."""
    tables, at = {}, 0
    while at + 16 <= len(data):
        _, size, _, version = struct.unpack_from("<IIII", data, at)
        if version != FORMAT:
            raise ValueError(f"coverage mapping of version {version + 1}, not {FORMAT + 1}: not by clang 19")
        blob = data[at + 16:at + 16 + size]
        reader = Reader(blob)
        count, plain, packed = reader.number(), reader.number(), reader.number()
        body = Reader(zlib.decompress(reader.take(packed)) if packed else reader.take(plain))
        names = [body.take(body.number()).decode() for _ in range(count)]
        tables[name_hash(blob)] = names[:1] + [os.path.normpath(os.path.join(names[0], n)) for n in names[1:]]
        at = (at + 16 + size + 7) // 8 * 8
    return tables


def read_mapping(data, table):
    """(files, regions, expressions) of one function. A counter is (tag, id): 0 zero, 1 counter, 2 difference, 3 sum."""
    reader = Reader(data)

    def counter(encoded=None):
        encoded = reader.number() if encoded is None else encoded
        return encoded & 3, encoded >> 2

    files = [table[reader.number()] for _ in range(reader.number())]
    expressions = [(counter(), counter()) for _ in range(reader.number())]
    regions = []
    for file in range(len(files)):
        line = 0
        for _ in range(reader.number()):
            head = reader.number()
            kind, expanded, count, other, parameters = CODE, 0, (0, 0), None, None
            if head & 3:
                count = counter(head)
            elif head & 4:
                kind, expanded = EXPANSION, head >> 3
            else:
                kind = head >> 3
                if kind in (BRANCH, CONDITION):
                    count, other = counter(), counter()
                    if kind == CONDITION:
                        own, if_true, if_false = reader.number() - 1, reader.number() - 1, reader.number() - 1
                        parameters = own, if_false, if_true
                elif kind == DECISION:
                    parameters = reader.number(), reader.number()  # the bit after its last, number of conditions
                elif kind not in (CODE, SKIPPED):
                    raise ValueError(f"unknown kind of region: {kind}")
            line += reader.number()
            column, lines, end_column = reader.number(), reader.number(), reader.number()
            if end_column >> 31:
                kind, end_column = GAP, end_column & 0x7FFFFFFF
            if column == 0 and end_column == 0:
                column, end_column = 1, 1 << 30
            regions.append(Region(kind, file, expanded, line, column, line + lines, end_column, count, other, parameters))
    return files, regions, expressions


def is_placeholder(function):
    """Whether a translation unit that does not use the function wrote this: its one region, and no counter."""
    return len(function.regions) == 1 and function.regions[0].count == (0, 0)


def read_program(path, wanted):
    """The functions of a program whose file satisfies wanted(). A placeholder is left out where there is the function itself."""
    found = sections(path)
    tables = read_file_tables(found["__llvm_covmap"])
    data, at, functions = found["__llvm_covfun"], 0, {}
    while at + 28 <= len(data):
        name, size, hash_, table = struct.unpack_from("<QIQQ", data, at)
        mapping = data[at + 28:at + 28 + size]
        at = (at + 28 + size + 7) // 8 * 8
        names = tables[table]
        peek = Reader(mapping)
        if peek.number() and wanted(names[peek.number()]):
            function = Function(name, hash_, *read_mapping(mapping, names))
            if name not in functions or is_placeholder(functions[name]):
                functions[name] = function
    return list(functions.values())


def read_profile(paths):
    """(hash of name, hash of function) -> (counters, bitmap), of these profiles, raw or indexed, together."""
    text = subprocess.run(["llvm-profdata-19", "merge", "-sparse", "-text", *paths, "-o", "-"], check=True, capture_output=True).stdout
    counts = {}
    for record in text.split(b"\n\n"):
        lines = [line for line in record.split(b"\n") if line and not line.startswith((b"#", b":"))]
        if not lines:
            continue
        number = int(lines[2])
        counters = [int(line) for line in lines[3:3 + number]]
        rest = lines[3 + number:]
        bitmap = bytes(int(line, 16) for line in rest[1:1 + int(rest[0][1:])]) if rest and rest[0].startswith(b"$") else b""
        counts[name_hash(lines[0]), int(lines[1])] = counters, bitmap
    return counts


@functools.lru_cache(maxsize=None)
def vectors(following):
    """What can happen in a decision: (index in the bitmap, value of each condition or None, result) for each way through it.
    `following` has, for each condition, the next one if it is false and if it is true; negative: the decision is over."""
    number = len(following)
    incoming = [0] * number
    for nexts in following:
        for next_ in nexts:
            if next_ >= 0:
                incoming[next_] += 1
    width, index, ends = [1] + [0] * (number - 1), [[0, 0] for _ in range(number)], []
    ready = [0]
    while ready:
        here = ready.pop(0)
        for value, next_ in enumerate(following[here]):
            if next_ < 0:
                ends.append((-width[here], len(ends), here, value))
                continue
            index[here][value] = width[next_]
            width[next_] += width[here]
            incoming[next_] -= 1
            if incoming[next_] == 0:
                ready.append(next_)
    first = 0
    for negative_width, _, here, value in sorted(ends):
        index[here][value] = first
        first -= negative_width

    ways = []

    def walk(here, at, values):
        for value, next_ in enumerate(following[here]):
            now = values[:here] + (bool(value),) + values[here + 1:]
            if next_ < 0:
                ways.append((at + index[here][value], now, bool(value)))
            else:
                walk(next_, at + index[here][value], now)

    walk(0, 0, (None,) * number)
    return tuple(ways)


def shown(executed, condition):
    """Whether two of these vectors, (values, result), show that the condition alone decides."""
    for a, result_a in executed:
        for b, result_b in executed:
            if result_a != result_b and a[condition] is True and b[condition] is False and all(
                    i == condition or x == y or x is None or y is None for i, (x, y) in enumerate(zip(a, b))):
                return True
    return False


class Decision:
    """One decision of one function: its region, and its conditions' regions in the order of the source."""

    def __init__(self, region, conditions):
        self.region, self.conditions = region, conditions
        by_number = sorted(conditions, key=lambda c: c.parameters[0])
        if [c.parameters[0] for c in by_number] != list(range(region.parameters[1])):
            raise ValueError(f"a decision of {region.parameters[1]} conditions has {len(conditions)} of them: {region}")
        self.following = tuple(c.parameters[1:] for c in by_number)
        self.order = [c.parameters[0] for c in conditions]

    def executed(self, bitmap):
        """The test vectors that ran: (values in the order of the source, result)."""
        ways = vectors(self.following)
        first = self.region.parameters[0] - len(ways)
        return {(tuple(values[i] for i in self.order), result) for index, values, result in ways
                if bitmap and bitmap[(first + index) // 8] >> ((first + index) % 8) & 1}


def decisions(function):
    """The decisions of a function. A condition in a macro belongs to the decision around the place where the macro stands."""
    places = {r.expanded: r for r in function.regions if r.kind == EXPANSION}
    found = [r for r in function.regions if r.kind == DECISION]
    members = collections.defaultdict(list)
    for condition in (r for r in function.regions if r.kind == CONDITION):
        at = condition
        while True:
            around = [i for i, d in enumerate(found) if d.file == at.file and (d.line, d.column) <= (at.line, at.column) and
                      (at.end_line, at.end_column) <= (d.end_line, d.end_column)]
            if around or at.file not in places:
                break
            at = places[at.file]
        if not around:
            raise ValueError(f"a condition of no decision: {condition}")
        # The smallest; of equal ones, which a macro makes that names its argument twice, the one that lacks it.
        size = {i: (found[i].end_line - found[i].line, found[i].end_column - found[i].column) for i in around}
        least = min(size.values())
        for i in (i for i in around if size[i] == least):
            if all(m.parameters[0] != condition.parameters[0] for m in members[i]):
                members[i].append(condition)
                break
    return [Decision(region, members[i]) for i, region in enumerate(found)]


class Counts:
    """The counters of one function, and what its expressions come to."""

    def __init__(self, function, counters):
        self.counters, self.expressions, self.known = counters, function.expressions, {}

    def of(self, counter):
        tag, number = counter
        if tag == 0:
            return 0
        if tag == 1:
            return self.counters[number] if number < len(self.counters) else 0
        if counter not in self.known:
            left, right = (self.of(c) for c in self.expressions[number])
            self.known[counter] = max(0, left - right) if tag == 2 else left + right
        return self.known[counter]
