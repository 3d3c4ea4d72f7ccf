#!/usr/bin/env bash
# Builds every fuzz target in the manner of OSS-Fuzz: with the compiler, flags and engine that the environment gives (CXX, CXXFLAGS,
# LIB_FUZZING_ENGINE, SANITIZER), into $OUT: the programs, a zip of each one's corpus, its dictionary and its options.
# ci/checks/oss-fuzz runs it with the values of a local clang.
set -euo pipefail

: "${CXX:?the compiler}" "${OUT:?where the targets go}" "${LIB_FUZZING_ENGINE:?what the targets are linked with}"
ROOT=${ASSAY_SOURCE:-${SRC:-}/assay}
[ -f "$ROOT/CMakeLists.txt" ] || { echo "build.sh: no source in $ROOT; set SRC or ASSAY_SOURCE" >&2; exit 2; }
WORK=${WORK:-$(mktemp -d)}

cmake -S "$ROOT" -B "$WORK/assay" -G Ninja -DCMAKE_BUILD_TYPE=None -DCMAKE_CXX_COMPILER="$CXX" -DCMAKE_CXX_FLAGS="${CXXFLAGS:-}" \
  -DASSAY_FUZZ_ENGINE="$LIB_FUZZING_ENGINE" -DASSAY_BUILD_FUZZ=ON -DASSAY_BUILD_TESTS=OFF -DASSAY_BUILD_EXAMPLES=OFF \
  -DASSAY_HARDENING=debug -DASSAY_WERROR=OFF
cmake --build "$WORK/assay" --parallel "$(nproc)" --target fuzz_targets

mkdir -p "$OUT"
for source in "$ROOT"/fuzz/*.cpp; do
  name=$(basename "$source" .cpp)
  cp "$WORK/assay/fuzz/fuzz_$name" "$OUT/"
  (cd "$ROOT/fuzz" && python3 -m zipfile -c "$OUT/fuzz_${name}_seed_corpus.zip" "corpus/$name/"*)
  if [ -f "$ROOT/fuzz/dictionaries/$name.dict" ]; then cp "$ROOT/fuzz/dictionaries/$name.dict" "$OUT/fuzz_$name.dict"; fi
  printf '[libfuzzer]\nmax_len = %s\ntimeout = 10\n' "$("$ROOT/fuzz/max_len" "$name")" >"$OUT/fuzz_$name.options"
done
echo "build.sh: $(find "$OUT" -name 'fuzz_*' -perm -u+x -type f | wc -l) targets in $OUT"
