"""Finds the unsafe-equivalent operations of one translation unit in the compiler's tree.

What libclang shows of a template that nobody instantiates is partial: an expression may have no type. Then:
  - a subscript of an unknown type is reported; arithmetic is reported when the declared type is a pointer;
  - `x.resume()`, `x.destroy()` on an unknown type are reported; so is a member with the name of an ASSAY_UNSAFE function;
  - `T(x)` with T unknown is *not* reported, nor is arithmetic on the result of an unknown call.
Not shown at all are the operands of explicit(), alignas(), noexcept() and attributes, which are constants or never run.
Instantiations that the unit makes are therefore walked too: each function and class under the runtime that is reached
from the unit through a template. Their locations are those of the template.
"""

import re

from clang19 import cindex, is_step_operator, overloads, template_of

C = cindex.CursorKind
T = cindex.TypeKind

FUNCTIONS = {C.FUNCTION_DECL, C.CXX_METHOD, C.CONSTRUCTOR, C.DESTRUCTOR, C.CONVERSION_FUNCTION, C.FUNCTION_TEMPLATE}
CLASSES = {C.CLASS_DECL, C.STRUCT_DECL, C.UNION_DECL, C.CLASS_TEMPLATE, C.CLASS_TEMPLATE_PARTIAL_SPECIALIZATION}
DECLARATIONS = FUNCTIONS | CLASSES | {C.VAR_DECL, C.FIELD_DECL, C.TYPEDEF_DECL, C.TYPE_ALIAS_DECL, C.TYPE_ALIAS_TEMPLATE_DECL,
                                      C.ENUM_DECL, C.USING_DECLARATION, C.FRIEND_DECL, C.STATIC_ASSERT, C.CONCEPT_DECL,
                                      C.UNEXPOSED_DECL}
SCOPES = {C.TRANSLATION_UNIT, C.NAMESPACE, C.LINKAGE_SPEC}
TYPED = {C.VAR_DECL, C.PARM_DECL, C.FIELD_DECL, C.TYPEDEF_DECL, C.TYPE_ALIAS_DECL, C.TEMPLATE_NON_TYPE_PARAMETER}
REFERENCES = {C.NAMESPACE_REF, C.TYPE_REF, C.TEMPLATE_REF, C.OVERLOADED_DECL_REF, C.MEMBER_REF, C.LABEL_REF}
ARRAYS = {T.CONSTANTARRAY, T.INCOMPLETEARRAY, T.VARIABLEARRAY, T.DEPENDENTSIZEDARRAY}
INTEGERS = {T.BOOL, T.CHAR_U, T.UCHAR, T.USHORT, T.UINT, T.ULONG, T.ULONGLONG, T.CHAR_S, T.SCHAR, T.SHORT, T.INT, T.LONG,
            T.LONGLONG}

MEMORY = set("malloc calloc realloc reallocarray free aligned_alloc posix_memalign memalign valloc alloca memcpy memmove memset "
             "memcmp mempcpy memchr memrchr memccpy explicit_bzero bzero bcopy strlen strnlen strcpy strncpy strcat strncat "
             "strcmp strncmp strchr strrchr strstr strdup strndup stpcpy".split())
# Direct calls are known by their C linkage; these names are for calls through a table of function pointers.
SYSTEM_CALLS = set("read write readv writev pread pwrite open openat close poll ppoll select pselect eventfd timerfd_create "
                   "timerfd_settime timerfd_gettime epoll_create epoll_create1 epoll_ctl epoll_wait epoll_pwait epoll_pwait2 "
                   "fcntl ioctl syscall socket socketpair bind listen accept accept4 connect send sendto sendmsg recv recvfrom recvmsg "
                   "shutdown getsockopt setsockopt pipe pipe2 dup dup2 dup3 mmap munmap mprotect fork execve kill signal "
                   "sigaction signalfd clock_gettime nanosleep clock_nanosleep".split())
LIFETIME = set("construct_at destroy_at destroy destroy_n launder start_lifetime_as start_lifetime_as_array assume_aligned "
               "unreachable align".split())
HANDLE = {"resume", "destroy", "from_address", "from_promise", "promise", "done", "address", "operator()"}
ALLOCATOR = {"allocate", "deallocate", "construct", "destroy"}
ALLOCATOR_CLASS = re.compile(r"allocator|memory_resource")
# C functions that do nothing to memory, files or the process beyond what their arguments are.
HARMLESS_C = set("abort __errno_location abs labs llabs div ldiv lldiv isalnum isalpha isblank iscntrl isdigit isgraph islower isprint ispunct "
                 "isspace isupper isxdigit tolower toupper fabs floor ceil sqrt pow log log2 exp fmod round lround trunc "
                 "sin cos tan".split())
HARMLESS_BUILTINS = re.compile(r"__builtin_(expect\w*|clz\w*|ctz\w*|popcount\w*|ffs\w*|parity\w*|bswap\d+|\w+_overflow|trap|"
                               r"is_constant_evaluated|constant_p|LINE|FILE|FUNCTION|COLUMN|source_location|abort|addressof|"
                               r"debugtrap|rotate\w+|abs|labs|llabs)\Z")
ATOMIC_TYPE = re.compile(r"\b(atomic|atomic_flag|atomic_ref|__atomic_\w+)(<|\b(?!::\w))")
ATOMIC_OBJECT = re.compile(r"(volatile )?(struct )?(std::)?(__\d+::)?(atomic<.*|atomic_flag|atomic_ref<.*)\Z")
ATOMIC_CLASS = re.compile(r"(atomic|atomic_flag|atomic_ref|__atomic_\w+)\Z")
BODILESS = (["=", "default"], ["=", "delete"])
UNSAFE = "assay::unsafe"


def expressions(cursor):
    return [c for c in cursor.get_children() if c.kind not in REFERENCES]


def stripped(cursor):
    """The expression as written, below implicit conversions and parentheses."""
    while cursor.kind in (C.UNEXPOSED_EXPR, C.PAREN_EXPR):
        inner = expressions(cursor)
        if len(inner) != 1:
            break
        cursor = inner[0]
    return cursor


def type_of(cursor, depth=0):
    """The canonical type of an expression as written; of an undeduced `auto` variable, the type of its initializer."""
    cursor = stripped(cursor)
    kind = cursor.type.get_canonical()
    if kind.kind == T.AUTO and depth < 8 and cursor.referenced is not None:
        initializer = [c for c in cursor.referenced.get_children() if c.kind.is_expression()]
        if initializer:
            return type_of(initializer[-1], depth + 1)
    if kind.kind in (T.LVALUEREFERENCE, T.RVALUEREFERENCE):
        kind = kind.get_pointee()
    return kind


def is_pointer(kind):
    return kind.kind == T.POINTER or kind.kind in ARRAYS


def is_c_function_pointer(kind):
    """Points to a function that C could declare: no references, no classes by value."""
    function = kind.get_canonical().get_pointee().get_canonical()
    return function.kind == T.FUNCTIONPROTO and not any(
        k.get_canonical().kind in (T.LVALUEREFERENCE, T.RVALUEREFERENCE, T.RECORD)
        for k in [function.get_result(), *function.argument_types()])


def is_class(kind):
    return kind.kind == T.RECORD or (kind.kind in (T.UNEXPOSED, T.ELABORATED) and kind.spelling.endswith(">"))


def is_void_pointer(kind):
    return kind.kind == T.POINTER and kind.get_pointee().get_canonical().kind == T.VOID


def mentions_void_pointer(kind, depth=0):
    kind = kind.get_canonical()
    if depth > 6 or kind.kind == T.INVALID:
        return False
    if is_void_pointer(kind):
        return True
    if kind.kind in (T.POINTER, T.LVALUEREFERENCE, T.RVALUEREFERENCE, T.MEMBERPOINTER):
        return mentions_void_pointer(kind.get_pointee(), depth + 1)
    if kind.kind in ARRAYS:
        return mentions_void_pointer(kind.element_type, depth + 1)
    if kind.kind == T.FUNCTIONPROTO:
        return any(mentions_void_pointer(k, depth + 1) for k in [kind.get_result(), *kind.argument_types()])
    return any(mentions_void_pointer(kind.get_template_argument_type(i), depth + 1)
               for i in range(max(0, kind.get_num_template_arguments())))


def plain(kind):
    """The spelling of a type without cv-qualifiers, to compare with."""
    return re.sub(r"\b(const|volatile)\b\s*", "", kind.get_canonical().spelling).strip()


def derives(derived, base, depth=0):
    """True, False, or None where the bases cannot be seen."""
    declaration = derived.get_canonical().get_declaration()
    definition = declaration.get_definition() or declaration
    bases = [c.type.get_canonical() for c in definition.get_children() if c.kind == C.CXX_BASE_SPECIFIER]
    if any(plain(b) == plain(base) for b in bases):
        return True
    if depth > 16 or any(b.kind != T.RECORD for b in bases):
        return None
    return any(derives(b, base, depth + 1) for b in bases)


def in_namespace_std(cursor):
    parent, outermost = cursor.semantic_parent, None
    while parent is not None and parent.kind != C.TRANSLATION_UNIT:
        outermost, parent = parent, parent.semantic_parent
    return outermost is not None and outermost.kind == C.NAMESPACE and outermost.spelling in ("std", "__gnu_cxx")


def is_mutable(kind):
    while kind.kind in ARRAYS:
        kind = kind.element_type
    canonical = kind.get_canonical()
    while canonical.kind in ARRAYS:
        canonical = canonical.element_type
    if canonical.kind in (T.LVALUEREFERENCE, T.RVALUEREFERENCE):
        return False
    return not (kind.is_const_qualified() or canonical.is_const_qualified())


def qualified_name(cursor):
    """The name with the classes around it, and without namespaces and template arguments."""
    names, parent = [re.sub(r"\((anonymous|unnamed) (\w+) at .*", r"(\2)", cursor.spelling)], cursor.semantic_parent
    while parent is not None and parent.kind in CLASSES:
        if not parent.is_anonymous():
            names.append(parent.spelling)
        parent = parent.semantic_parent
    return "::".join(re.sub(r"(?<=\w)<.*", "", name) for name in reversed(names))


def init_captures(lambda_tokens):
    """The name tokens of the init-captures in a lambda expression's tokens."""
    depth, item = 0, []
    for token in lambda_tokens:
        depth += {"(": 1, "{": 1, "[": 1, ")": -1, "}": -1, "]": -1}.get(token.text, 0)
        if depth == 0 or (depth == 1 and token.text in (",", "[")):
            if len(item) > 1 and item[1].text in ("=", "{", "("):
                yield item[0]
            item = []
        elif item or token.text not in ("&", "..."):
            item.append(token)
        if depth == 0:
            return


class Finder:
    """Walks one unit. `sources` maps the paths of the runtime's files to their SourceFile, for the lines to report."""

    def __init__(self, sources, inside, unsafe_names):
        self.sources = sources          # path -> SourceFile
        self.inside = inside            # path -> bool: is it a file of the runtime?
        self.unsafe_names = unsafe_names
        self.found = set()              # (path, line, kind)
        self.regions = {}               # path -> set of (first, last, is_definition)
        self.owners = {}                # path -> set of (first, last, is_function, name): what a line belongs to
        self._pending, self._seen = [], set()
        self._captures = {}             # (path, offset) -> line of the init-captures that were not walked yet
        self._unsafe = {}

    # ---- walking

    def walk_unit(self, unit, main):
        for cursor in unit.cursor.get_children():
            file = cursor.location.file
            if file is not None and file.name == main:
                self._walk(cursor, (main, cursor.location.line), None)
        while self._pending:
            cursor = self._pending.pop()
            file = cursor.location.file
            self._walk(cursor, (file.name, cursor.location.line), None)
        for (path, _), line in self._captures.items():
            self.found.add((path, line, "init-capture that is not used (libclang does not show it)"))
        self._captures.clear()

    def _walk(self, cursor, place, parent):
        file = cursor.location.file
        if file is not None:
            place = (file.name, cursor.location.line)
        if cursor.kind in FUNCTIONS and self._is_bodiless(cursor):
            return  # deleted: does nothing; defaulted: written by the compiler
        self._note_region(cursor, place, parent)
        self._note_instantiations(cursor)
        self._note_captures(cursor, place)
        if self.inside(place[0]):
            for kind in self._operations(cursor, parent):
                self.found.add((place[0], place[1], kind))
        for child in self._children(cursor, place):
            self._walk(child, place, cursor)

    @staticmethod
    def _is_enum_parameter(cursor):
        """Whether clang made this cast, for the value of an enumeration that a template's parameter stands for: as written it is
        one name, above a literal."""
        if cursor.type.get_canonical().kind != T.ENUM or len(list(cursor.get_tokens())) != 1:
            return False
        return [stripped(c).kind for c in expressions(cursor)] in ([C.INTEGER_LITERAL], [C.CHARACTER_LITERAL])

    def _is_bodiless(self, cursor):
        if cursor.availability == cindex.AvailabilityKind.NOT_AVAILABLE:
            return True
        source = self._source_of(cursor)
        if source is None:
            return False
        # The extent ends before `= delete` or after it, depending on the kind of function.
        end = source.token_index(cursor.extent.end.offset)
        near = [t.text for t in source.plain[max(0, end - 2):end + 2]]
        return near[:2] in BODILESS or near[-2:] in BODILESS

    def _source_of(self, cursor):
        file = cursor.extent.start.file
        return self.sources.get(file.name) if file else None

    def _children(self, cursor, place):
        children = list(cursor.get_children())
        if cursor.kind == C.UNEXPOSED_STMT and children and children[0].kind == C.COMPOUND_STMT \
                and children[0].extent == cursor.extent:
            return children[:1]  # a coroutine: its body as written, then what the compiler adds
        if cursor.kind == C.UNEXPOSED_EXPR and len(children) > 3 and place[0] in self.sources \
                and self.sources[place[0]].word_at(cursor.extent.start.offset) in ("co_await", "co_yield"):
            return children[:1]  # the operand; the rest are the awaiter's calls, made up by the compiler
        return children

    def _note_region(self, cursor, place, parent):
        source = self.sources.get(place[0])
        if source is None or cursor.kind in SCOPES or cursor.extent.start.file is None:
            return
        start, last = cursor.extent.start, cursor.extent.end.line
        definition = cursor.kind in FUNCTIONS or cursor.kind in CLASSES
        declaration = cursor.kind in DECLARATIONS
        statement = cursor.kind.is_statement() or (parent is not None and parent.kind.is_statement())
        if not (declaration or statement or cursor.kind == C.LAMBDA_EXPR):
            return
        first = start.line
        if declaration and cursor.kind != C.UNEXPOSED_DECL:
            first = source.first_line(start.offset)
        whole = definition or (declaration and not statement)  # what is not whole may be 30 lines long at most
        self.regions.setdefault(place[0], set()).add((first, last, whole))
        if declaration and cursor.spelling and cursor.kind != C.UNEXPOSED_DECL:
            self.owners.setdefault(place[0], set()).add((first, last, cursor.kind in FUNCTIONS, qualified_name(cursor)))

    def _note_instantiations(self, cursor):
        if cursor.kind in (C.DECL_REF_EXPR, C.MEMBER_REF_EXPR, C.CALL_EXPR):
            self._instantiation(cursor.referenced)
        if cursor.kind in (C.VAR_DECL, C.FIELD_DECL, C.PARM_DECL, C.CALL_EXPR, C.CXX_BASE_SPECIFIER):
            kind = cursor.type.get_canonical()
            if kind.kind in (T.LVALUEREFERENCE, T.RVALUEREFERENCE, T.POINTER):
                kind = kind.get_pointee()
            if kind.kind == T.RECORD and kind.get_num_template_arguments() > 0:
                self._instantiation(kind.get_declaration())

    def _note_captures(self, cursor, place):
        """libclang does not show what `[name = value]` is initialized with; the first use of `name` leads there."""
        if cursor.kind == C.LAMBDA_EXPR:
            source = self._source_of(cursor)
            extent = cursor.extent
            for token in init_captures(source.tokens_between(extent.start.offset, extent.end.offset)) if source else ():
                self._captures[(source.path, token.offset)] = token.line
        elif cursor.kind == C.DECL_REF_EXPR:
            target = cursor.referenced
            if target is not None and target.kind == C.VAR_DECL and target.location.file is not None and \
                    self._captures.pop((target.location.file.name, target.location.offset), None) is not None:
                self._pending.append(target)

    def _instantiation(self, target):
        if target is None or target.kind not in FUNCTIONS | CLASSES or target.location.file is None:
            return
        if not self.inside(target.location.file.name):
            return
        parent = target.semantic_parent
        if template_of(target) is None and (parent is None or template_of(parent) is None):
            return
        definition = target.get_definition() or target
        usr = definition.get_usr()
        if usr not in self._seen:
            self._seen.add(usr)
            self._pending.append(definition)

    # ---- judging one cursor

    def _operations(self, cursor, parent):
        kind = cursor.kind
        if kind == C.CXX_REINTERPRET_CAST_EXPR:
            yield "reinterpret_cast"
        elif kind == C.CXX_CONST_CAST_EXPR:
            yield "const_cast"
        elif kind == C.CSTYLE_CAST_EXPR:
            if cursor.type.get_canonical().kind != T.VOID and not self._is_enum_parameter(cursor):
                yield "C-style cast"
        elif kind == C.CXX_FUNCTIONAL_CAST_EXPR:
            yield from self._functional_cast(cursor)
        elif kind == C.CXX_STATIC_CAST_EXPR:
            yield from self._static_cast(cursor)
        elif kind == C.CXX_NEW_EXPR:
            yield from self._new(cursor)
        elif kind == C.CXX_DELETE_EXPR:
            yield "delete"
        elif kind == C.ARRAY_SUBSCRIPT_EXPR:
            yield from self._subscript(cursor)
        elif kind in (C.BINARY_OPERATOR, C.COMPOUND_ASSIGNMENT_OPERATOR):
            if cursor.spelling in ("+", "-", "+=", "-=") and any(is_pointer(type_of(c)) for c in expressions(cursor)):
                yield "pointer arithmetic"
        elif kind == C.UNARY_OPERATOR:
            if is_step_operator(cursor) and any(is_pointer(type_of(c)) for c in expressions(cursor)):
                yield "pointer arithmetic"
        elif kind == C.CXX_FOR_RANGE_STMT:
            yield from self._range_for(cursor)
        elif kind == C.UNION_DECL:
            yield "union"
        elif kind in (C.ASM_STMT, C.MS_ASM_STMT):
            yield "inline asm"
        elif kind in (C.DECL_REF_EXPR, C.MEMBER_REF_EXPR, C.OVERLOADED_DECL_REF):
            yield from self._reference(cursor, parent)
        elif kind == C.CALL_EXPR:
            yield from self._call(cursor)
        elif kind == C.VAR_DECL:
            yield from self._variable(cursor)
        elif kind == C.UNEXPOSED_DECL:
            yield from self._variable_template(cursor)

        if kind in FUNCTIONS:
            yield from self._function(cursor)
        if kind in TYPED and mentions_void_pointer(
                cursor.underlying_typedef_type if kind in (C.TYPEDEF_DECL, C.TYPE_ALIAS_DECL) else cursor.type):
            yield "void*"
        if kind in (C.VAR_DECL, C.FIELD_DECL, C.PARM_DECL) and ATOMIC_TYPE.search(cursor.type.get_canonical().spelling):
            yield "atomic"
        if kind.is_expression() and is_void_pointer(cursor.type.get_canonical()):
            yield "void*"

    @staticmethod
    def _functional_cast(cursor):
        target = cursor.type.get_canonical()
        operand = expressions(cursor)
        if target.kind in (T.POINTER, T.LVALUEREFERENCE, T.RVALUEREFERENCE):
            yield "functional cast to a pointer or reference"
        elif target.kind in INTEGERS and operand and is_pointer(type_of(operand[-1])):
            yield "functional cast of a pointer"

    @staticmethod
    def _static_cast(cursor):
        # The cursor's own type has lost a reference; the operand tells whether it is one.
        target, operand = cursor.type.get_canonical(), expressions(cursor)
        if not operand or target.kind == T.VOID:
            return
        source = type_of(operand[-1])
        if target.kind == T.POINTER:
            if source.kind in ARRAYS:
                return
            to, of = target.get_pointee().get_canonical(), source.get_pointee().get_canonical()
            if source.kind == T.POINTER and of.kind == T.VOID and to.kind != T.VOID:
                yield "static_cast from void*"
                return
            if source.kind == T.NULLPTR or to.kind in (T.FUNCTIONPROTO, T.VOID):
                return
            if source.kind == T.RECORD:
                return  # a conversion function
            if source.kind != T.POINTER:
                if source.kind in (T.DEPENDENT, T.UNEXPOSED, T.AUTO):
                    yield "static_cast that may downcast (type not known in the template)"
                return
        elif target.kind == T.MEMBERPOINTER and source.kind == T.MEMBERPOINTER:
            if plain(target) != plain(source):
                yield "static_cast downcast"
            return
        else:
            # Only a cast to a reference has an lvalue or xvalue result; libclang does not tell, the token does.
            written = "".join(t.spelling for t in cursor.get_tokens()).partition("(")[0]
            if not written.rstrip(">").endswith("&"):
                return
            to, of = target, source
        if plain(to) == plain(of):
            return
        if to.kind == T.RECORD and of.kind == T.RECORD:
            if derives(to, of) is not False:
                yield "static_cast downcast"
        elif T.RECORD in (to.kind, of.kind) or is_class(to) or is_class(of) or \
                any(k.kind in (T.DEPENDENT, T.UNEXPOSED, T.AUTO) for k in (to, of)):
            yield "static_cast that may downcast (type not known in the template)"

    def _new(self, cursor):
        source = self._source_of(cursor)
        words = source.words_between(cursor.extent.start.offset, cursor.extent.end.offset) if source else []
        words = [w for w in words[:3] if w != "::"]
        yield "placement new" if words[1:2] == ["("] else "new"

    @staticmethod
    def _subscript(cursor):
        bases = [type_of(c) for c in expressions(cursor)]
        if any(is_pointer(b) for b in bases):
            yield "raw subscript"
        elif bases and not is_class(bases[0]):
            yield "raw subscript (type not known in the template)"

    def _reference(self, cursor, parent):
        target = cursor.referenced
        if cursor.kind == C.OVERLOADED_DECL_REF or (target is not None and target.kind == C.OVERLOADED_DECL_REF):
            candidates = overloads(target)
            if cursor.kind != C.OVERLOADED_DECL_REF:
                return  # the reference is a child of its own
        elif target is None:
            yield from self._unknown_member(cursor, parent)
            return
        else:
            candidates = [target]
        if target.kind == C.FIELD_DECL and target.spelling in SYSTEM_CALLS and is_c_function_pointer(target.type):
            yield "system call"  # through a table of them
        if target.kind in (C.VAR_DECL, C.FIELD_DECL, C.PARM_DECL) and ATOMIC_OBJECT.match(plain(type_of(cursor))):
            yield "atomic"
        for candidate in candidates:
            yield from self._named(candidate)

    def _unknown_member(self, cursor, parent):
        """A member of something that has no type yet: its name is the last word written."""
        source = self._source_of(cursor)
        if source is None:
            return
        words = source.words_between(cursor.extent.start.offset, cursor.extent.end.offset)
        if not words:
            return
        name, base = words[-1], expressions(cursor)
        known = type_of(base[0]) if base else None
        handle = known is not None and "coroutine_handle" in known.spelling
        unknown = known is None or not is_class(known)
        arguments = len(expressions(parent)) - 1 if parent is not None and parent.kind == C.CALL_EXPR else 1
        if handle and name in HANDLE or unknown and name in ("resume", "destroy") and arguments == 0:
            yield "coroutine handle"
        if name in self.unsafe_names and (unknown or not known.spelling.startswith("std::")):
            yield "call of an ASSAY_UNSAFE function"

    def _named(self, target):
        """Operations that are known by the name of what is referred to."""
        name, owner = target.spelling, target.semantic_parent
        function = target.kind in FUNCTIONS
        if owner is not None and owner.kind in CLASSES:
            if owner.kind == C.UNION_DECL:
                yield "union"
            if function and ATOMIC_CLASS.match(owner.spelling):
                yield "atomic"
            if owner.spelling == "coroutine_handle" and name in HANDLE:
                yield "coroutine handle"
            if name in ALLOCATOR and function and ALLOCATOR_CLASS.search(owner.spelling) and in_namespace_std(target):
                yield "raw allocation"
        if function and name.startswith(("operator new", "operator delete")):
            yield "operator new/delete"
        if target.kind == C.DESTRUCTOR:
            yield "explicit destructor call"
        if target.kind == C.VAR_DECL and not self.inside(target.location.file.name if target.location.file else "") \
                and target.semantic_parent.kind in (C.NAMESPACE, C.TRANSLATION_UNIT, C.LINKAGE_SPEC) \
                and is_mutable(target.type):
            yield "mutable global"
        if function and self._is_unsafe(target):
            yield "call of an ASSAY_UNSAFE function"
        if function and (owner is None or owner.kind not in CLASSES):
            yield from self._free_function(target, name)

    def _free_function(self, target, name):
        if name in MEMORY:
            yield "memory function"
        elif name.startswith("__builtin_"):
            if not HARMLESS_BUILTINS.match(name):
                yield "compiler builtin"
        elif in_namespace_std(target) and (name in LIFETIME or name.startswith("uninitialized_")):
            yield "object lifetime function"
        elif in_namespace_std(target) and name == "bit_cast":
            kinds = [target.type.get_result(), *target.type.argument_types()]
            kinds = [k.get_pointee() if k.kind in (T.LVALUEREFERENCE, T.RVALUEREFERENCE) else k for k in kinds]
            if any(k.get_canonical().kind not in INTEGERS | {T.FLOAT, T.DOUBLE, T.ENUM, T.RECORD} for k in kinds):
                yield "bit_cast of a pointer"
        elif name not in HARMLESS_C and target.mangled_name == name:
            definition = target.get_definition()
            if definition is None or not self.inside(definition.location.file.name if definition.location.file else ""):
                yield "system call"

    def _call(self, cursor):
        target = cursor.referenced
        if target is not None and target.kind == C.CONSTRUCTOR and self._is_unsafe(target):
            yield "call of an ASSAY_UNSAFE function"

    @staticmethod
    def _function(cursor):
        if mentions_void_pointer(cursor.result_type):
            yield "void*"
        if ATOMIC_TYPE.search(cursor.result_type.get_canonical().spelling):
            yield "atomic"
        if cursor.spelling.startswith(("operator new", "operator delete")):
            yield "operator new/delete"
        if cursor.type.get_canonical().kind == T.FUNCTIONPROTO and cursor.type.is_function_variadic():
            yield "variadic arguments"

    @staticmethod
    def _variable(cursor):
        if cursor.tls_kind != cindex.TLSKind.NONE:
            yield "thread_local"
            return
        namespace = cursor.semantic_parent.kind in SCOPES
        static = cursor.storage_class in (cindex.StorageClass.STATIC, cindex.StorageClass.EXTERN)
        member = cursor.semantic_parent.kind in CLASSES
        if (namespace or static or member) and is_mutable(cursor.type):
            yield "mutable global" if namespace or member else "mutable static local"

    def _range_for(self, cursor):
        """`for (init; x : range)`: libclang does not show the initializer, so it may not be there."""
        source = self._source_of(cursor)
        depth = 0
        for word in source.words_between(cursor.extent.start.offset, cursor.extent.end.offset) if source else ():
            depth += {"(": 1, "{": 1, "[": 1, ")": -1, "}": -1, "]": -1}.get(word, 0)
            if word == ";" and depth == 1:
                yield "range-for with an initializer (libclang does not show it)"
            if depth == 0 and word == ")":
                return

    def _variable_template(self, cursor):
        """libclang has no cursor for a variable template: its tokens must do."""
        source = self._source_of(cursor)
        if source is None or not cursor.spelling:
            return
        words = source.words_between(cursor.extent.start.offset, cursor.extent.end.offset)
        if words[:2] != ["template", "<"]:
            return
        depth = 0
        for i, word in enumerate(words):
            depth += {"<": 1, ">": -1, ">>": -2}.get(word, 0)
            if i > 0 and depth <= 0:
                break
        head = words[i + 1:]
        head = head[:head.index(cursor.spelling)] if cursor.spelling in head else head
        # Its initializer is not shown either; that of a constexpr one is checked by the compiler.
        if not {"constexpr", "using", "concept", "class", "struct"} & set(head):
            yield "mutable global"

    # ---- ASSAY_UNSAFE

    def _is_unsafe(self, function):
        usr = function.get_usr()
        if usr not in self._unsafe:
            declarations = [function, function.canonical, function.get_definition(), template_of(function)]
            self._unsafe[usr] = any(is_annotated(d) for d in declarations if d is not None)
        return self._unsafe[usr]


def is_annotated(declaration):
    return any(c.kind == C.ANNOTATE_ATTR and c.spelling == UNSAFE for c in declaration.get_children())


def unsafe_names(unit, inside):
    """Names of all functions declared under the runtime with ASSAY_UNSAFE."""
    names = set()

    def visit(cursor):
        for child in cursor.get_children():
            if cursor.kind == C.TRANSLATION_UNIT and \
                    (child.location.file is None or not inside(child.location.file.name)):
                continue
            if child.kind in FUNCTIONS and is_annotated(child):
                names.add(child.spelling)
            if child.kind in SCOPES or child.kind in CLASSES or child.kind == C.FRIEND_DECL:
                visit(child)

    visit(unit.cursor)
    return names
