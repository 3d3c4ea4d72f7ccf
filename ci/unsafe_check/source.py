"""One source file as tokens: comments and the SAFETY tags in them, directives, code lines, and what tokens alone show."""

import bisect
import re
from dataclasses import dataclass, field

from clang19 import cindex

Kind = cindex.TokenKind

TAG = re.compile(r"SAFETY\(([^)]*)\)\s*:")
TAG_LIKE = re.compile(r"SAFETY\s*[(:]")
IDENTIFIERS = re.compile(r"[A-Z][0-9]+(\s*,\s*[A-Z][0-9]+)*\Z")
SHORTEST_WHY = 12

# Found by spelling alone: exact for keywords, and it reaches into macro bodies and code that no configuration compiles.
WORDS = {
    "reinterpret_cast": "reinterpret_cast",
    "const_cast": "const_cast",
    "union": "union",
    "asm": "inline asm", "__asm": "inline asm", "__asm__": "inline asm",
    "thread_local": "thread_local", "__thread": "thread_local",
    "offsetof": "offsetof", "__builtin_offsetof": "offsetof",
    "atomic_thread_fence": "fence", "atomic_signal_fence": "fence", "__atomic_thread_fence": "fence",
    "__sync_synchronize": "fence",
    "from_address": "coroutine handle", "from_promise": "coroutine handle",
    "va_start": "variadic arguments", "va_arg": "variadic arguments",
    "no_sanitize": "sanitizer request", "RUNNING_ON_VALGRIND": "sanitizer request",
}
PREFIXES = {
    "memory_order": "atomic", "__atomic_": "atomic", "__sync_": "atomic",
    "ASAN_": "sanitizer request", "MSAN_": "sanitizer request", "TSAN_": "sanitizer request",
    "VALGRIND_": "sanitizer request", "ANNOTATE_": "sanitizer request",
    "__asan_": "sanitizer request", "__msan_": "sanitizer request", "__tsan_": "sanitizer request",
    "__lsan_": "sanitizer request", "tysan_": "sanitizer request", "__ubsan_": "sanitizer request", "__sanitizer_": "sanitizer request",
}
# Operations of std::atomic that nothing else is called, and those of wrappers that carry the order in their name.
ATOMIC_NAME = re.compile(r"(compare_exchange_(weak|strong)|fetch_(add|sub|and|or|xor)|"
                         r"(load|store|exchange|fetch_\w+|compare_exchange\w*)_(relaxed|acquire|release|acq_rel|seq_cst))\Z")
ACCESS = {"public", "private", "protected"}


@dataclass
class Token:
    text: str
    comment: bool
    line: int
    last_line: int
    offset: int


@dataclass
class Tag:
    names: list
    line: int
    used: bool = False


@dataclass
class Group:
    """Comment lines that stand together with no code and no blank line between them."""
    first: int
    last: int
    text: list = field(default_factory=list)
    tags: list = field(default_factory=list)


class SourceFile:
    def __init__(self, path, name, unit):
        self.path, self.name = path, name
        with open(path, encoding="utf-8") as stream:
            self.lines = stream.read().splitlines()
        self.tokens = self._read(unit)
        self.code = [t for t in self.tokens if not t.comment]
        self.code_lines = {n for t in self.code for n in range(t.line, t.last_line + 1)}
        self.directives, self.includes, self.conditions = [], [], set()
        self.plain = self._split_directives()
        self._plain_offsets = [t.offset for t in self.plain]
        self.malformed = []
        self.above, self.trailing = self._comments()

    def _read(self, unit):
        tokens = []
        for token in unit.get_tokens(extent=unit.cursor.extent):
            start, end = token.extent.start, token.extent.end
            tokens.append(Token(token.spelling, token.kind == Kind.COMMENT, start.line, end.line, start.offset))
        return tokens

    def _split_directives(self):
        """Records the preprocessor directives and returns the code tokens that are in none of them."""
        plain, i = [], 0
        while i < len(self.code):
            token = self.code[i]
            if token.text != "#" or (i > 0 and self.code[i - 1].last_line == token.line):
                plain.append(token)
                i += 1
                continue
            last = token.line
            while last <= len(self.lines) and self.lines[last - 1].rstrip().endswith("\\"):
                last += 1
            end = i
            while end < len(self.code) and self.code[end].line <= last:
                end += 1
            body = self.code[i + 1:end]
            word = body[0].text if body else ""
            self.directives.append((token.line, last, word, body[1:]))
            if word.startswith(("include", "import", "embed")):
                self.includes.append((token.line, "".join(t.text for t in body[1:])))
            if word.startswith(("if", "elif")):
                self.conditions.update(t.text for t in body[1:] if re.match(r"[A-Za-z_]\w*\Z", t.text))
            i = end
        return plain

    def _comments(self):
        above, trailing, group = {}, {}, None
        for token in (t for t in self.tokens if t.comment):
            if token.line in self.code_lines or token.last_line in self.code_lines:
                only = Group(token.line, token.last_line, [(token.line, token.text)])
                self._find_tags(only)
                trailing.setdefault(token.line, []).extend(only.tags)
                group = None
                continue
            if group is None or token.line != group.last + 1:
                if group:
                    above[group.last + 1] = group
                group = Group(token.line, token.last_line)
            group.last = token.last_line
            group.text.append((token.line, token.text))
            above[group.last + 1] = group
        # A group was registered under each of its growing ends; the last registration is the only one that code can follow.
        kept = {line: g for line, g in above.items() if line == g.last + 1}
        for g in kept.values():
            self._find_tags(g)
        return kept, trailing

    def _find_tags(self, group):
        text, starts = "", []
        for line, comment in group.text:
            for extra, piece in enumerate(comment.split("\n")):
                starts.append((len(text), line + extra))
                text += re.sub(r"^\s*(///?<?!?|/\*+|\*/?)", "", piece).replace("*/", "").strip() + " "
        line_at = lambda offset: starts[bisect.bisect_right([s for s, _ in starts], offset) - 1][1]
        found = list(TAG.finditer(text))
        for i, match in enumerate(found):
            end = found[i + 1].start() if i + 1 < len(found) else len(text)
            line, why = line_at(match.start()), text[match.end():end].strip()
            if not IDENTIFIERS.match(match[1].strip()):
                self.malformed.append((line, "malformed tag (want SAFETY(T3): why)"))
            elif len(why) < SHORTEST_WHY:
                self.malformed.append((line, f"tag without a reason (want {SHORTEST_WHY} characters)"))
            else:
                group.tags.append(Tag(re.split(r"\s*,\s*", match[1].strip()), line))
        well_formed = {m.start() for m in found}
        for match in TAG_LIKE.finditer(text):
            if match.start() not in well_formed:
                self.malformed.append((line_at(match.start()), "malformed tag (want SAFETY(T3): why)"))

    def tags(self):
        for group in self.above.values():
            yield from group.tags
        for tags in self.trailing.values():
            yield from tags

    def header_comment(self):
        """All comment text before the first token of code."""
        text = []
        for token in self.tokens:
            if not token.comment:
                break
            text.append(token.text)
        return "\n".join(text)

    def line(self, number):
        return self.lines[number - 1].strip() if 0 < number <= len(self.lines) else ""

    def code_text(self, first, last):
        """The code of these lines, as tokens: layout and comments do not count."""
        return " ".join(t.text for t in self.code if first <= t.line <= last)

    def token_index(self, offset):
        return bisect.bisect_left(self._plain_offsets, offset)

    def word_at(self, offset):
        i = self.token_index(offset)
        return self.plain[i].text if i < len(self.plain) else ""

    def tokens_between(self, first_offset, last_offset):
        return self.plain[self.token_index(first_offset):self.token_index(last_offset)]

    def words_between(self, first_offset, last_offset):
        return [t.text for t in self.tokens_between(first_offset, last_offset)]

    def first_line(self, offset):
        """The line where the statement or declaration around `offset` begins, attributes and template heads included."""
        i = min(self.token_index(offset), len(self.plain) - 1)
        while i > 0:
            before = self.plain[i - 1].text
            if before in (";", "{", "}"):
                break
            if before == ":" and i > 1 and self.plain[i - 2].text in ACCESS:
                break
            i -= 1
        return self.plain[i].line

    def lexical_operations(self):
        """(line, kind) of the operations that tokens alone show."""
        for _, _, word, body in self.directives:
            if word == "define":
                yield from self._words(body)
        yield from self._words(self.plain)

    @staticmethod
    def _words(tokens):
        for i, token in enumerate(tokens):
            kind = WORDS.get(token.text)
            if kind is None:
                kind = next((k for prefix, k in PREFIXES.items() if token.text.startswith(prefix)), None)
            if kind is None and ATOMIC_NAME.match(token.text):
                kind = "atomic"
            if kind:
                yield token.line, kind
            if token.text in (".", "->") and i + 1 < len(tokens) and tokens[i + 1].text == "~":
                yield token.line, "explicit destructor call"
