#!/usr/bin/env python3
"""Checks that a misuse does not compile.

usage: check.py FILE -- COMPILER FLAG...

FILE says, in a line of its own, `// expect: REGEX`, and holds the misuse between `#ifdef ASSAY_FAIL` and `#endif`.
Without ASSAY_FAIL the file must compile: otherwise the test would pass for the wrong reason.
With it, and with warnings as errors, the compiler must refuse the file, in words that match REGEX.
"""

import os
import re
import subprocess
import sys


def compiles(command):
    # The C locale: g++ quotes with ' in it, and with other characters elsewhere.
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={**os.environ, "LC_ALL": "C"})
    return done.returncode == 0, done.stdout


def main():
    separator = sys.argv.index("--")
    (source,), command = sys.argv[1:separator], sys.argv[separator + 1:]
    text = open(source, encoding="utf-8").read()
    expect = re.search(r"^// expect: (.+)$", text, re.MULTILINE)
    if not expect:
        sys.exit(f"{source}: no line `// expect: REGEX`")
    if not re.search(r"^#ifdef ASSAY_FAIL\b", text, re.MULTILINE):
        sys.exit(f"{source}: no `#ifdef ASSAY_FAIL`")

    command = command + ["-Werror", "-fsyntax-only", source]
    accepted, output = compiles(command)
    if not accepted:
        sys.exit(f"{output}\n{source}: does not compile without ASSAY_FAIL")
    accepted, output = compiles(command + ["-DASSAY_FAIL"])
    if accepted:
        sys.exit(f"{source}: the misuse compiles")
    if not re.search(expect.group(1), output):
        sys.exit(f"{output}\n{source}: refused, but not with: {expect.group(1)}")
    print(f"refused: {expect.group(1)}")


if __name__ == "__main__":
    main()
