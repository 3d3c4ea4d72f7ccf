#!/usr/bin/env python3
"""usage: fuzz/dictionaries.py [--check]

Writes fuzz/dictionaries/TARGET.dict for the targets that read their input as steps of four bytes (fuzz/support/drive.hpp): one whole step
for each operation of the model and each of the first values of its first operand. A mutation that inserts one leaves the steps after it
in their places, which one that inserts a byte does not. --check: says whether the files are as they would be written.
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
OPERANDS = 3


def dictionary(target):
    text = (ROOT / "fuzz" / f"{target}.cpp").read_text()
    if "fuzz::drive<" not in text:
        return None
    header = re.search(r'#include "(assay_testkit/models/[a-z_]+\.hpp)"', text)[1]
    names = re.search(r"std::array<const char\*, \d+> names\{(.*?)\};", (ROOT / "testkit" / header).read_text(), re.DOTALL)[1]
    lines = [f"# Steps of {header}; written by fuzz/dictionaries.py."]
    for op, name in enumerate(re.findall(r'"(\w+)"', names)):
        lines += [f'{name}_{a}="\\x{op:02x}\\x{a:02x}\\x00\\x00"' for a in range(OPERANDS)]
    return "\n".join(lines) + "\n"


def main():
    folder, stale, count = ROOT / "fuzz" / "dictionaries", [], 0
    wanted = {}
    for source in sorted((ROOT / "fuzz").glob("*.cpp")):
        text = dictionary(source.stem)
        if text:
            wanted[folder / f"{source.stem}.dict"] = text
    for path in sorted({*wanted, *folder.glob("*.dict")}):
        count += 1
        if path not in wanted or not path.exists() or path.read_text() != wanted[path]:
            stale.append(path.name)
    if sys.argv[1:] == ["--check"]:
        print(f"fuzz/dictionaries.py: {'FAIL  stale: ' + ', '.join(stale) if stale else f'PASS  {count} dictionaries'}")
        return 1 if stale or not count else 0
    if sys.argv[1:]:
        print(__doc__.strip())
        return 0 if sys.argv[1] in ("-h", "--help") else 2
    folder.mkdir(exist_ok=True)
    for path in folder.glob("*.dict"):
        if path not in wanted:
            path.unlink()
    for path, text in wanted.items():
        path.write_text(text)
    print(f"fuzz/dictionaries.py: {len(wanted)} written, {len(stale)} of them changed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
