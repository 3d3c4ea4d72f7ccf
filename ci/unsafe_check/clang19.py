"""libclang 19 for Python: loading it, and the few C functions that its Python module does not wrap."""

import ctypes
import os
import subprocess
import sys

LIBRARY = "/usr/lib/llvm-19/lib/libclang-19.so.1"
PACKAGE = "python3-clang-19"


def _install() -> None:
    done = subprocess.run([os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "install"), PACKAGE], stdout=sys.stderr)
    if done.returncode != 0:
        sys.exit(f"unsafe-check: needs {PACKAGE} and libclang 19")


try:
    from clang import cindex
except ImportError:
    _install()
    from clang import cindex

if not os.path.exists(LIBRARY):
    _install()

cindex.Config.set_library_file(LIBRARY)
_lib = cindex.conf.lib


class _RangeList(ctypes.Structure):
    _fields_ = [("count", ctypes.c_uint), ("ranges", ctypes.POINTER(cindex.SourceRange))]


_lib.clang_getSkippedRanges.argtypes = [cindex.TranslationUnit, cindex.File]
_lib.clang_getSkippedRanges.restype = ctypes.POINTER(_RangeList)
_lib.clang_disposeSourceRangeList.argtypes = [ctypes.POINTER(_RangeList)]
_lib.clang_getCursorUnaryOperatorKind.argtypes = [cindex.Cursor]
_lib.clang_getCursorUnaryOperatorKind.restype = ctypes.c_int
# CXUnaryOperatorKind: PostInc, PostDec, PreInc, PreDec.
_STEP_OPERATORS = {1, 2, 3, 4}


def skipped_lines(unit, path):
    """The (first, last) line pairs that the preprocessor left out of `path`; each starts and ends at a directive."""
    ranges = _lib.clang_getSkippedRanges(unit, cindex.File.from_name(unit, path))
    found = []
    for i in range(ranges.contents.count):
        extent = ranges.contents.ranges[i]
        extent._tu = unit
        found.append((extent.start.line, extent.end.line))
    _lib.clang_disposeSourceRangeList(ranges)
    return found


def is_step_operator(cursor) -> bool:
    return _lib.clang_getCursorUnaryOperatorKind(cursor) in _STEP_OPERATORS


def overloads(cursor):
    return [_lib.clang_getOverloadedDecl(cursor, i) for i in range(_lib.clang_getNumOverloadedDecls(cursor))]


def template_of(cursor):
    """The template that `cursor` is a specialization of, or None."""
    return _lib.clang_getSpecializedCursorTemplate(cursor)
