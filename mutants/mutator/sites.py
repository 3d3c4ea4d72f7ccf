"""Finds the places of a source file that can be mutated, in clang's tree, and writes the file with all mutants in it.

Operators, and what stands in the program when the mutant's number is chosen:
    negate       the condition of an if, a loop or ?: is inverted
    operand      an operand of && is taken as true, one of || as false (it is still evaluated)
    boundary     < for <=, <= for <, > for >=, >= for >
    arithmetic   + for -, * for /, << for >>, & for | and back; += and the like too
    step         ++ for -- and back
    +1, -1       an integer literal, one more or one less
    value        true for false and back
    return       what is returned: inverted (bool), one more (an integer), null (a pointer)
    keep         std::exchange() gives the old value and writes nothing
    order        the memory order of an atomic operation, one step weaker
    drop         a statement is left out; drop-check, drop-wake, drop-unlink, drop-poison, drop-generation are kinds of it
    repeat       what gives or takes something (a reference, memory, a place in a list, a life) does so twice
    swap         two adjacent statements change places, neither being a check: a check that comes later still ends the process
Not mutated: declarations (but for what is in their initialisers); constants and what else the compiler evaluates; what only
other compilers or MemorySanitizer and Valgrind compile; the negation of a check (a test of anything at all would die); hints;
what is marked ASSAY_ALWAYS or ASSAY_NEVER, and a check of nothing else: no test can show the other answer (see base/check.hpp).
"""

import os
import re
import sys
from dataclasses import dataclass, field

HERE = os.path.dirname(os.path.realpath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(HERE)), "ci", "unsafe_check"))
from clang19 import cindex, is_step_operator  # noqa: E402
from operations import CLASSES, FUNCTIONS, SCOPES, expressions, stripped  # noqa: E402

C = cindex.CursorKind
T = cindex.TypeKind
INTEGERS = {T.CHAR_U, T.UCHAR, T.USHORT, T.UINT, T.ULONG, T.ULONGLONG, T.CHAR_S, T.SCHAR, T.SHORT, T.INT, T.LONG, T.LONGLONG}
IFS = {C.IF_STMT, C.WHILE_STMT, C.FOR_STMT, C.DO_STMT, C.CXX_FOR_RANGE_STMT}
JUMPS = {C.RETURN_STMT, C.BREAK_STMT, C.CONTINUE_STMT, C.GOTO_STMT}
BARRIERS = {C.DECL_STMT, C.LABEL_STMT, C.CASE_STMT, C.DEFAULT_STMT, C.NULL_STMT, C.CXX_TRY_STMT}
BOUNDARY = {"<": "<=", "<=": "<", ">": ">=", ">=": ">"}
ARITHMETIC = {"+": "-", "-": "+", "*": "/", "/": "*", "<<": ">>", ">>": "<<", "&": "|", "|": "&", "%": "/"}
ASSIGN = {"+=": "-=", "-=": "+=", "|=": "&=", "&=": "|=", "<<=": ">>=", ">>=": "<<="}
MARKED = re.compile(r"(ASSAY_(CHECK|ASSERT|DEBUG_ASSERT)\()?ASSAY_(ALWAYS|NEVER)\(")
CHECK = re.compile(r"ASSAY_(CHECK|ASSERT|DEBUG_ASSERT)\b")
KINDS = [("drop-check", CHECK), ("drop-poison", re.compile(r"\b(un)?poison\(|\bASAN_(UN)?POISON")),
         ("drop-wake", re.compile(r"\b(wake\w*|raise\w*|notify_one|enqueue)\(")),
         ("drop-unlink", re.compile(r"\bunlink\(|\bbecome_ring\(|->(next_|previous_|next) = |^(next_|previous_) = ")),
         ("drop-generation", re.compile(r"\bgeneration_"))]
REPEATED = re.compile(r"\+\+|--|\bdelete\b|\b\w*(release|drop|free|destroy|unlink|give_back|put_away|retain|clone|add|fetch_\w+|take|occupy|vacate|"
                      r"push|insert|enqueue|lock|swap|resume|raise|close|drain|trim)\w*(<[^()]*>)?\(")
ACCESSOR = re.compile(r"(load|store|exchange|fetch_\w+?|compare_exchange)_(relaxed|acquire|release|acq_rel|seq_cst)\b")
OPERATORS = {"negate", "operand", "boundary", "arithmetic", "step", "+1", "-1", "value", "return", "keep", "order", "drop", *(k for k, _ in KINDS),
             "repeat", "swap"}
ORDERS = {"relaxed": 0, "acquire": 1, "release": 2, "acq_rel": 3}
WEAKER = {"acquire": ["relaxed"], "release": ["relaxed"], "acq_rel": ["acquire", "release"]}

# Parsed in place of the real headers: a check is a call there, so that its argument is code of the file and not of a macro.
PLAIN_CHECK = """#pragma once
#include <initializer_list>
namespace assay::audited {
[[noreturn]] void fail(const char* message, const char* file, int line, const char* subject = nullptr) noexcept;
void report_line(std::initializer_list<const char*> parts) noexcept;
template <class Condition> void checked(const Condition&, const char*) noexcept;
template <class Condition> bool marked(const Condition&) noexcept;
}
#define ASSAY_ALWAYS ::assay::audited::marked
#define ASSAY_NEVER ::assay::audited::marked
#define ASSAY_CHECK ::assay::audited::checked
#define ASSAY_ASSERT ::assay::audited::checked
#define ASSAY_DEBUG_ASSERT ::assay::audited::checked
"""
PLAIN_EFFECTS = """#pragma once
#include "assay/base/attributes.hpp"
#define ASSAY_NONBLOCKING
#define ASSAY_RUNS_OTHERS
#define ASSAY_UNCHECKED
"""


@dataclass
class Mutant:
    file: str        # below the folder that is mutated
    function: str
    operator: str
    text: str        # of the site, in one line
    number: int = -1
    id: str = ""

    @property
    def key(self):
        return (self.file, self.function, self.operator, self.text)


@dataclass
class Edit:
    start: int
    end: int
    rank: int        # where two have the same range: the lower is outside
    render: object   # of a function that gives the rewritten text of a part
    inner: list = field(default_factory=list)


class File:
    """The mutants of one file. Numbers are given out by `number(mutant)`."""

    def __init__(self, path, name, unit, number):
        self.name, self.number, self.unit = name, number, unit
        with open(path, "rb") as stream:
            self.bytes = stream.read()
        self.path = path
        self.edits = []
        self.function, self.result = "", T.INVALID
        self.negated = set()
        self.constant = False
        self.spaces = [(t.extent.start.offset, t.extent.end.offset) for t in unit.get_tokens(extent=unit.cursor.extent)
                       if t.kind == cindex.TokenKind.COMMENT]
        self._scope(unit.cursor, ())

    # ---- text ------------------------------------------------------------------------------------------------------------

    def code(self, start, end):
        """Source text without comments, in one line."""
        kept, at = [], start
        for first, last in self.spaces:
            if first >= end or last <= start:
                continue
            kept.append(self.bytes[at:first])
            at = last
        kept.append(self.bytes[at:end])
        return " ".join(b" ".join(kept).decode().split())

    def span(self, cursor):
        start, end = cursor.extent.start.offset, cursor.extent.end.offset
        macro = re.search(rb"ASSAY_UNCHECKED\Z", self.bytes[max(0, start - 20):start])  # expands to nothing here
        return start - len(macro[0]) if macro else start, end

    def text_of(self, cursor):
        return self.code(*self.span(cursor))

    def statement_span(self, cursor):
        start, end = self.span(cursor)
        rest = self.bytes[end:end + 200].decode(errors="replace")
        semicolon = re.match(r"\s*;", rest)
        return start, end + (semicolon.end() if semicolon else 0)

    def is_here(self, cursor):
        return cursor.extent.start.file is not None and cursor.extent.start.file.name == self.path

    # ---- mutants ---------------------------------------------------------------------------------------------------------

    def mutant(self, operator, text):
        if len(text) > 160:
            text = text[:157] + "..."
        return self.number(Mutant(self.name, self.function, operator, text))

    def edit(self, start, end, rank, render):
        self.edits.append(Edit(start, end, rank, render))

    def negate(self, cursor, operator="negate", rank=1):
        start, end = self.span(cursor)
        if (start, end) in self.negated or CHECK.match(self.code(start, end)):
            return
        self.negated.add((start, end))
        n = self.mutant(operator, self.code(start, end))
        self.edit(start, end, rank, lambda part: f"(static_cast<bool>({part(start, end)}) != ::assay_mutant({n}))")

    def choose(self, cursor, operator, rank, other):
        """`other(part)` in place of the expression."""
        start, end = self.span(cursor)
        n = self.mutant(operator, self.code(start, end))
        self.edit(start, end, rank, lambda part: f"(::assay_mutant({n}) ? ({other(part)}) : ({part(start, end)}))")

    # ---- declarations ----------------------------------------------------------------------------------------------------

    def _scope(self, cursor, names):
        for child in cursor.get_children():
            if child.kind in (C.UNEXPOSED_DECL,):  # extern "C", a concept
                self._scope(child, names)
            if cursor.kind == C.TRANSLATION_UNIT and not self.is_here(child):
                continue
            if child.kind in SCOPES:
                self._scope(child, names)
            elif child.kind in CLASSES:
                self._scope(child, (*names, child.spelling))
            elif child.kind in FUNCTIONS:
                self._function(child, names)
            elif child.kind == C.FIELD_DECL and not self.constant and names:
                self.function = "::".join((*names, child.spelling))
                if not re.search(r"\bconstinit\b", self.bytes.decode()) or self.name.endswith(".cpp"):
                    for inner in expressions(child):
                        self._expression(inner, child)
            elif child.kind == C.VAR_DECL and child.extent.start.file is not None:
                self.function = "::".join((*names, child.spelling))
                self._lambdas(child)

    def _lambdas(self, cursor):
        for child in cursor.get_children():
            if child.kind == C.LAMBDA_EXPR:
                for body in (c for c in child.get_children() if c.kind == C.COMPOUND_STMT):
                    self._block(body, outermost=True)
            else:
                self._lambdas(child)

    def _function(self, cursor, names):
        children = list(cursor.get_children())
        body = [c for c in children if c.kind == C.COMPOUND_STMT]
        if not body:
            return
        owner, parent = [], cursor.semantic_parent
        while parent is not None and parent.kind in CLASSES:
            owner.insert(0, parent.spelling)
            parent = parent.semantic_parent
        outer, self.function = self.function, "::".join((*(owner or names), re.sub(r"<.*", "", cursor.spelling)))
        if cursor.kind == C.CONSTRUCTOR or (cursor.kind == C.FUNCTION_TEMPLATE and owner and cursor.spelling.split("<")[0] == owner[-1]):
            for child in children:
                if child.kind.is_expression() and self.span(child)[1] <= self.span(body[0])[0]:
                    self._expression(child, cursor)
        self.result = cursor.result_type.get_canonical().kind
        self._block(body[0], outermost=True)
        self.function = outer

    # ---- statements ------------------------------------------------------------------------------------------------------

    def _block(self, cursor, outermost=False):
        children = list(cursor.get_children())
        run = []
        for i, child in enumerate(children):
            is_last = outermost and i + 1 == len(children)
            self._statement(child, is_last)
            start = self.span(child)[0]
            gap = b"#" in self.bytes[self.statement_span(run[-1])[1]:start] if run else False
            if child.kind in BARRIERS or child.kind in JUMPS or child.kind == C.COMPOUND_STMT or gap:
                self._swaps(run)
                run = []
            if child.kind not in BARRIERS and child.kind not in JUMPS and child.kind != C.COMPOUND_STMT:
                run.append(child)
        self._swaps(run)

    def _swaps(self, run):
        if len(run) < 2:
            return
        spans = [self.statement_span(c) for c in run]
        texts = [self.code(*s) for s in spans]
        numbers = [None if CHECK.match(a) or CHECK.match(b) else self.mutant("swap", f"{a} <-> {b}") for a, b in zip(texts, texts[1:])]
        if not any(n is not None for n in numbers):
            return

        def render(part):
            out = []
            for i, span in enumerate(spans):
                if i < len(numbers) and numbers[i] is not None:
                    out.append(f"if (::assay_mutant({numbers[i]})) {{ {part(*spans[i + 1])} }}\n")
                body = part(*span)
                if i > 0 and numbers[i - 1] is not None:
                    body = f"if (!::assay_mutant({numbers[i - 1]})) {{ {body} }}"
                out.append(body + "\n")
            return "".join(out)

        self.edit(spans[0][0], spans[-1][1], 0, render)

    def _statement(self, cursor, is_last=False):
        """`is_last`: the function ends with it."""
        kind = cursor.kind
        if kind == C.COMPOUND_STMT:
            return self._block(cursor)
        if kind == C.DECL_STMT:
            for declared in cursor.get_children():
                if declared.kind in CLASSES:
                    self._scope(declared, (self.function, declared.spelling))
                elif declared.kind == C.VAR_DECL and not re.match(r"(static|constexpr|thread_local)\b", self.text_of(cursor)):
                    for inner in expressions(declared):
                        self._expression(inner, declared)
            return None
        if kind == C.CXX_TRY_STMT:
            for child in cursor.get_children():
                for inner in [child] if child.kind == C.COMPOUND_STMT else child.get_children():
                    if inner.kind == C.COMPOUND_STMT:
                        self._block(inner)
            return None
        if kind == C.NULL_STMT:
            return None
        start, end = self.statement_span(cursor)
        text = self.code(start, end)
        drop = repeat = None
        if kind in IFS:
            self._branch(cursor)
            body = [c for c in cursor.get_children() if c.kind == C.COMPOUND_STMT]
            if (body and len(list(body[-1].get_children())) > 1) or kind in (C.WHILE_STMT, C.FOR_STMT, C.DO_STMT):
                drop = self.mutant("drop", text)
        elif kind in JUMPS:
            if kind == C.RETURN_STMT:
                self._returned(cursor)
            if not is_last:
                drop = self.mutant("drop", text)
        elif not MARKED.match(text):
            name = next((name for name, pattern in KINDS if pattern.search(text)), "drop")
            drop = self.mutant(name, text)
            inner = stripped(cursor)
            if (inner.kind in (C.CALL_EXPR, C.CXX_DELETE_EXPR, C.UNARY_OPERATOR) and REPEATED.search(text) and not CHECK.match(text)
                    and not re.search(r"(?<![=!<>+*/&|-])=(?!=)", text)):
                repeat = self.mutant("repeat", text)
            self._expression(cursor, None)
        if drop is not None:
            def render(part):
                again = f"if (::assay_mutant({repeat})) {{ {part(start, end)} }} " if repeat is not None else ""
                return f"{{ {again}if (!::assay_mutant({drop})) {{ {part(start, end)} }} }}"
            self.edit(start, end, 1, render)
        return None

    def _branch(self, cursor):
        children = list(cursor.get_children())
        text = self.text_of(cursor)
        if cursor.kind == C.CXX_FOR_RANGE_STMT:
            return self._statement(children[-1])
        bodies = 1
        if cursor.kind == C.IF_STMT:
            # The statements are the last one or two children; the condition is right before them, and begins inside the parentheses.
            closing = self._closing(self.span(cursor)[0])
            bodies = sum(1 for c in children if self.span(c)[0] > closing)
        if cursor.kind == C.DO_STMT:
            self._statement(children[0])
            self.negate(children[1])
            return self._expression(children[1], None)
        head, tail = children[:-bodies], children[-bodies:]
        condition = None
        if cursor.kind == C.FOR_STMT:
            condition = self._for_condition(cursor, head)
        elif head and head[-1].kind.is_expression() or head and head[-1].kind == C.UNEXPOSED_EXPR:
            condition = head[-1]
        if not re.match(r"if\s+constexpr\b", text):
            for child in head:
                if child.kind == C.DECL_STMT:
                    self._statement(child)
                else:
                    self._expression(child, None)
            if condition is not None:
                self.negate(condition)
        for child in tail:
            self._statement(child)
        return None

    def _closing(self, start):
        """Where the first parenthesis after `start` is closed."""
        depth = 0
        for i in range(self.bytes.index(b"(", start), len(self.bytes)):
            depth += {40: 1, 41: -1}.get(self.bytes[i], 0)
            if depth == 0:
                return i
        return len(self.bytes)

    def _for_condition(self, cursor, head):
        start = self.span(cursor)[0]
        first = self.bytes.index(b";", start)
        second = self.bytes.index(b";", first + 1)
        return next((c for c in head if first < self.span(c)[0] and self.span(c)[1] <= second), None)

    def _returned(self, cursor):
        values = expressions(cursor)
        if not values:
            return
        value = values[0]
        if self.result == T.BOOL:
            self.negate(value, "return")
        elif self.result in INTEGERS:
            self.choose(value, "return", 3, lambda part: f"{part(*self.span(value))} + 1")
        elif self.result == T.POINTER and "nullptr" != self.text_of(value):
            self.choose(value, "return", 3, lambda part: "nullptr")
        self._expression(value, cursor)

    # ---- expressions -----------------------------------------------------------------------------------------------------

    def _expression(self, cursor, parent):
        if cursor.kind in (C.TYPE_REF, C.TEMPLATE_REF, C.NAMESPACE_REF, C.MEMBER_REF, C.PARM_DECL):
            return
        if cursor.kind == C.LAMBDA_EXPR:
            outer, self.result = self.result, T.INVALID
            for body in (c for c in cursor.get_children() if c.kind == C.COMPOUND_STMT):
                self._block(body, outermost=True)
            self.result = outer
            return
        children = expressions(cursor)
        start, end = self.span(cursor)
        if cursor.kind == C.CALL_EXPR and MARKED.match(self.code(start, end)):
            return
        if cursor.kind == C.BINARY_OPERATOR and len(children) == 2:
            self._binary(cursor, *children)
        elif cursor.kind == C.COMPOUND_ASSIGNMENT_OPERATOR and len(children) == 2:
            (_, left), (right, last) = self.span(children[0]), self.span(children[1])
            other = ASSIGN.get(self.code(left, right))
            if other:
                self.choose(cursor, "arithmetic", 4, lambda part: f"{part(start, left)} {other} {part(right, last)}")
        elif cursor.kind == C.CONDITIONAL_OPERATOR and len(children) == 3:
            self.negate(children[0])
        elif cursor.kind == C.UNARY_OPERATOR and is_step_operator(cursor):
            text = self.bytes[start:end]
            if text[:2] in (b"++", b"--"):
                other = "--" if text[:2] == b"++" else "++"
                self.choose(cursor, "step", 4, lambda part: other + part(start + 2, end))
            else:
                other = "--" if text[-2:] == b"++" else "++"
                self.choose(cursor, "step", 4, lambda part: part(start, end - 2) + other)
        elif cursor.kind == C.INTEGER_LITERAL:
            self._literal(start, end)
        elif cursor.kind == C.CXX_BOOL_LITERAL_EXPR:
            self.negate(cursor, "value")
        elif cursor.kind == C.CALL_EXPR:
            self._call(cursor, start, end)
        hint = self.code(start, end).startswith("__builtin_expect(")
        for child in children[:-1] if hint and cursor.kind == C.CALL_EXPR else children:
            self._expression(child, cursor)

    def _binary(self, cursor, left, right):
        (start, left_end), (right_start, end) = self.span(left), self.span(right)
        operator = self.code(left_end, right_start)
        if operator in ("&&", "||"):
            for side in (left, right):
                self._operand(side, operator)
        elif operator in BOUNDARY:
            self.choose(cursor, "boundary", 4, lambda part: f"{part(start, left_end)} {BOUNDARY[operator]} {part(right_start, end)}")
        elif operator in ARITHMETIC:
            self.choose(cursor, "arithmetic", 4, lambda part: f"{part(start, left_end)} {ARITHMETIC[operator]} {part(right_start, end)}")
        elif operator in ("==", "!="):
            self.negate(cursor, "negate")

    def _operand(self, side, operator):
        start, end = self.span(side)
        inner = stripped(side)
        if inner.kind == C.BINARY_OPERATOR and self._operator(inner) == operator:
            return  # a && b && c: its own operands are mutated, not the whole of two
        self.negated.add((start, end))
        n = self.mutant("operand", self.code(start, end))
        self.edit(start, end, 2, lambda part: f"(static_cast<bool>({part(start, end)}) || ::assay_mutant({n}))" if operator == "&&"
                  else f"(static_cast<bool>({part(start, end)}) && !::assay_mutant({n}))")

    def _operator(self, cursor):
        children = expressions(cursor)
        return self.code(self.span(children[0])[1], self.span(children[1])[0]) if len(children) == 2 else ""

    def _literal(self, start, end):
        if self.bytes[:start].rstrip().endswith(b"<") and self.bytes[end:].lstrip().startswith(b">"):
            return  # a template's argument
        text = self.code(start, end)
        around = self.code(max(self.bytes.rfind(b"\n", 0, start) + 1, start - 60), start) + self.code(start, min(end + 20, self.bytes.find(b"\n", end)))
        more = self.mutant("+1", f"{text} in {around}")
        less = self.mutant("-1", f"{text} in {around}") if not re.match(r"0+[uUlL]*\Z", text) else None

        def render(part):
            return f"({text} + ::assay_mutant({more})" + (f" - ::assay_mutant({less}))" if less is not None else ")")
        self.edit(start, end, 4, render)

    def _call(self, cursor, start, end):
        text = self.code(start, end)
        if CHECK.match(text):
            self.negated.add(self.span(expressions(cursor)[-2]))
        if text.startswith("std::exchange("):
            arguments = expressions(cursor)[-2:]
            first = self.span(arguments[0])
            self.choose(cursor, "keep", 4, lambda part: f"::assay_mutation::keep({part(*first)})")
            return
        callee = expressions(cursor)
        name_end = self.span(callee[0])[1] if callee else start
        match = re.search(rb"(?:\.|->)\s*(\w+)\Z", self.bytes[start:name_end])
        if not match or self.name == "sync.hpp":
            return
        accessor = ACCESSOR.fullmatch(match[1].decode())
        if not accessor or accessor[2] not in ORDERS:
            return
        weaker = WEAKER.get(accessor[2], [])
        if accessor[1] == "load":
            weaker = [w for w in weaker if w == "relaxed"]
        numbers = [(self.mutant("order", f"{text}: {w}"), ORDERS[w]) for w in weaker]
        if not numbers:
            return
        name_start, closing = start + match.start(1), end - 1
        opening = self.bytes.index(b"(", name_end - 1)
        order = ", ".join([str(ORDERS[accessor[2]]), *(f"{n}, {w}" for n, w in numbers)])
        comma = ", " if self.bytes[opening + 1:closing].strip() else ""
        self.edit(start, end, 5, lambda part: part(start, name_start) + f"{accessor[1]}_as(" + part(opening + 1, closing) +
                  f"{comma}::assay_order({order}))")

    # ---- the result ------------------------------------------------------------------------------------------------------

    def rewritten(self):
        top, stack = [], []
        for edit in self.edits:
            edit.inner = []
        for edit in sorted(self.edits, key=lambda e: (e.start, -e.end, e.rank)):
            while stack and stack[-1].end <= edit.start:
                stack.pop()
            if stack and edit.end > stack[-1].end:
                raise ValueError(f"{self.name}: '{self.code(edit.start, edit.end)}' overlaps '{self.code(stack[-1].start, stack[-1].end)}'")
            (stack[-1].inner if stack else top).append(edit)
            stack.append(edit)
        return self._apply(top, 0, len(self.bytes))

    def _apply(self, edits, start, end):
        out, at = [], start
        for edit in edits:
            if edit.start < start or edit.end > end:
                continue
            out.append(self.bytes[at:edit.start].decode())
            out.append(edit.render(lambda a, b, inner=edit.inner: self._apply(inner, a, b)))
            at = edit.end
        out.append(self.bytes[at:end].decode())
        return "".join(out)


def find(folder, include, arguments=()):
    """[(name, File)] and all mutants of the C++ files of `folder`."""
    mutants, files = [], []
    plain = [(os.path.join(include, "assay", "base", "check.hpp"), PLAIN_CHECK),
             (os.path.join(include, "assay", "audited", "effects.hpp"), PLAIN_EFFECTS)]

    def number(mutant):
        mutant.number = len(mutants)
        mutant.id = f"{mutant.file}#{sum(1 for m in mutants if m.file == mutant.file) + 1}"
        mutants.append(mutant)
        return mutant.number

    for name in sorted(os.listdir(folder)):
        if not name.endswith((".hpp", ".cpp")) or name == "effects.hpp":
            continue
        path = os.path.join(folder, name)
        unit = cindex.Index.create().parse(
            path, ["-std=c++20", "-x", "c++", "-I/usr/lib/llvm-19/lib/clang/19/include", "-DASSAY_HARDENING_LEVEL=3", "-fsanitize=address",
                   "-Wno-pragma-once-outside-header", f"-I{include}", *arguments],
            unsaved_files=[p for p in plain if p[0] != path and os.path.exists(p[0])])
        wrong = [d for d in unit.diagnostics if d.severity >= cindex.Diagnostic.Error]
        if wrong:
            sys.exit(f"mutants/automatic: {name} does not parse: {wrong[0]}")
        files.append((name, File(path, name, unit, number)))
    return files, mutants
