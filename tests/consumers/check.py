#!/usr/bin/env python3
"""Builds and runs a project that uses assay the way a stranger would, in a temporary folder.

usage: check.py KIND --source CHECKOUT --build BUILT_TREE --cmake CMAKE --compiler COMPILER

find_package, testkit   assay is installed from BUILT_TREE, the project sees only the installation
fetch_content           the project sees only the checkout
readme                  as fetch_content; the program is the first ```cpp block of README.md
exploring               as testkit; the programs are the ```cpp blocks of docs/exploring.md, and print the ```text blocks that follow them
"""

import argparse
import pathlib
import re
import subprocess
import sys
import tempfile


def run(*command):
    command = [str(word) for word in command]
    print("+", " ".join(command), flush=True)
    subprocess.run(command, check=True, timeout=600)


def first_cpp_block(readme):
    block = re.search(r"^```cpp\n(.*?)^```$", readme.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    if not block:
        sys.exit(f"{readme} holds no ```cpp block")
    return block.group(1)


def programs_of(page):
    """The programs of a page, each with what it says that they print."""
    blocks = re.findall(r"^```(cpp|text)\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    kinds = [kind for kind, _ in blocks]
    if not blocks or kinds != ["cpp", "text"] * (len(blocks) // 2):
        sys.exit(f"{page}: each ```cpp block wants a ```text block")
    return [(blocks[at][1], blocks[at + 1][1]) for at in range(0, len(blocks), 2)]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=["find_package", "fetch_content", "testkit", "readme", "exploring"])
    parser.add_argument("--source", type=pathlib.Path, required=True)
    parser.add_argument("--build", type=pathlib.Path, required=True)
    parser.add_argument("--cmake", required=True)
    parser.add_argument("--compiler", required=True)
    options = parser.parse_args()

    project = options.source / "tests" / "consumers" / options.kind
    with tempfile.TemporaryDirectory(prefix="assay-consumer-") as folder:
        folder = pathlib.Path(folder)
        where = []
        if options.kind in ("find_package", "testkit", "exploring"):
            run(options.cmake, "--install", options.build, "--prefix", folder / "prefix")
            where = [f"-DCMAKE_PREFIX_PATH={folder / 'prefix'}"]
        else:
            where = [f"-DFETCHCONTENT_SOURCE_DIR_ASSAY={options.source}", "-DFETCHCONTENT_FULLY_DISCONNECTED=ON"]
        if options.kind == "readme":
            (folder / "main.cpp").write_text(first_cpp_block(options.source / "README.md"), encoding="utf-8")
            where.append(f"-DREADME_PROGRAM={folder / 'main.cpp'}")
        programs = programs_of(options.source / "docs" / "exploring.md") if options.kind == "exploring" else []
        for number, (program, _) in enumerate(programs):
            (folder / f"program{number}.cpp").write_text(program, encoding="utf-8")
        if programs:
            where.append(f"-DPROGRAMS={';'.join(str(folder / f'program{number}.cpp') for number in range(len(programs)))}")
        run(options.cmake, "-S", project, "-B", folder / "build", f"-DCMAKE_CXX_COMPILER={options.compiler}", *where)
        run(options.cmake, "--build", folder / "build", "--parallel", "2")
        for number, (_, prints) in enumerate(programs):
            printed = subprocess.run([folder / "build" / f"program{number}"], stdout=subprocess.PIPE, text=True, check=True, timeout=60).stdout
            if printed != prints:
                sys.exit(f"docs/exploring.md: program {number + 1} does not print what the page says, but\n{printed}")
        if not programs:
            run(folder / "build" / "consumer")


if __name__ == "__main__":
    main()
