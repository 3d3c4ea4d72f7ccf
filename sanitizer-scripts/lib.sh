# shellcheck shell=bash
# Shared by every script of this folder, by ci/test, ci/install and ci/fetch-test-sources.
# Sourced, never run: it defines functions and a few paths, and does nothing else.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
CACHE=${ASSAY_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/assay}
BUILD=$ROOT/build
LOGS=$BUILD/logs
JOBS=${ASSAY_JOBS:-$(nproc)}
export ASSAY_CACHE=$CACHE

# What a fresh Debian 12 needs. ci/test adds its own to these.
PACKAGES_COMMON=(clang-19 lld-19 llvm-19 libclang-rt-19-dev g++ cmake ninja-build git xz-utils dpkg-dev python3 ca-certificates procps)
PACKAGES_FUZZ=(libfuzzer-19-dev)

# The third-party sources, pinned. A changed checksum is an error, never a warning.
CATCH2_DEB=catch2=3.7.1-0.4~bpo12+1
CATCH2_TAR=catch2_3.7.1.orig.tar.gz
CATCH2_SHA256=c991b247a1a0d7bb9c39aa35faf0fe9e19764213f28ffba3109388e62ee0269c
RAPIDCHECK_DEB=rapidcheck=0~1048-a5724ea-1
RAPIDCHECK_TAR=rapidcheck_0~1048-a5724ea.orig.tar.xz
RAPIDCHECK_SHA256=a56df6c2fc91ae1a49092666e8115e71801fc2976543b822a616561c8b49a4b7
LLVM_DEB=llvm-toolchain-19
LLVM_TAR=llvm-toolchain-19_19.1.7.orig.tar.xz
LLVM_SHA256=ae498f3bc58ae2d9f64ef5f0c035c4240152bf015a5b7738b15c22e93bdc97ce

say() { printf '[%s] %s\n' "$(date +%H:%M:%S)" "$*" >&2; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }
# bad_usage MESSAGE   After a word on the command line that makes no sense. The script has a function usage.
bad_usage() { usage >&2; printf 'error: %s\n' "$*" >&2; VERDICT_SAID=yes; exit 2; }

# ---- Installing what is missing ------------------------------------------------------------------

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

# install PACKAGE...   Installs the Debian packages of these names that are not there yet.
install() {
  local missing=() package
  command -v dpkg-query >/dev/null ||
    die "this is not a Debian system: install the equivalents of: $*"
  for package in "$@"; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  say "installing: ${missing[*]}"
  mkdir -p "$LOGS"
  {
    as_root env DEBIAN_FRONTEND=noninteractive apt-get update -qq
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
  } >>"$LOGS/install.log" 2>&1 || { tail -n 5 "$LOGS/install.log" >&2; die "apt-get failed, see $LOGS/install.log"; }
}

# private_apt SUITES ARG...   Runs apt-get on a list of source packages of its own, so that the machine's
# configuration stays as it is. The archive's address is the one the machine itself uses for Debian's main archive.
private_apt() {
  local suites=$1; shift
  local dir=$CACHE/apt/${suites// /_} uri keyring=/usr/share/keyrings/debian-archive-keyring.gpg
  mkdir -p "$dir"/{lists/partial,cache/archives/partial,sources}
  if [ ! -s "$dir/sources/extra.sources" ]; then
    uri=$(apt-get indextargets --format '$(REPO_URI) $(CODENAME)' 'Created-By: Packages' | awk '$2 == "bookworm" { print $1; exit }')
    [ -n "$uri" ] || die "no bookworm archive in this machine's apt configuration"
    printf 'Types: deb-src\nURIs: %s\nSuites: %s\nComponents: main\nSigned-By: %s\n' "$uri" "$suites" "$keyring" \
      >"$dir/sources/extra.sources"
  fi
  apt-get -qq -o Dir::Etc::sourcelist=/dev/null -o "Dir::Etc::sourceparts=$dir/sources" -o "Dir::State::lists=$dir/lists" \
    -o "Dir::Cache=$dir/cache" -o APT::Sandbox::User=root "$@" >&2
}

# fetch_source SUITES PACKAGE[=VERSION] TARBALL SHA256   Leaves the checked upstream tarball in $CACHE/tar.
fetch_source() {
  local suites=$1 package=$2 tarball=$3 sha256=$4 scratch
  if [ ! -f "$CACHE/tar/$tarball" ]; then
    say "downloading the source of $package"
    mkdir -p "$CACHE/tar"
    scratch=$(mktemp -d "$CACHE/tar/download.XXXXXX")
    private_apt "$suites" update || die "apt-get update for $suites failed"
    (cd "$scratch" && private_apt "$suites" source --download-only --tar-only "$package") || die "cannot fetch $package"
    [ -f "$scratch/$tarball" ] || die "$package brought $(ls "$scratch") and not $tarball"
    mv "$scratch/$tarball" "$CACHE/tar/$tarball"
    rm -r "$scratch"
  fi
  echo "$sha256  $CACHE/tar/$tarball" | sha256sum --check --quiet >&2 ||
    die "$CACHE/tar/$tarball is not what was pinned; delete it and try again"
}

# unpack TARBALL FOLDER [TAR-ARG...]   Unpacks into $CACHE/src/FOLDER, in one step, so that it is there whole or not at all.
unpack() {
  local tarball=$1 folder=$2 scratch; shift 2
  [ ! -d "$CACHE/src/$folder" ] || return 0
  mkdir -p "$CACHE/src"
  scratch=$(mktemp -d "$CACHE/src/unpack.XXXXXX")
  tar xf "$CACHE/tar/$tarball" -C "$scratch" "$@"
  mv -T "$scratch" "$CACHE/src/$folder"
}

# fetch_test_sources   Catch2 and RapidCheck, unpacked under $CACHE/src. Called by CMake as well as by hand.
fetch_test_sources() {
  mkdir -p "$CACHE"
  (
    flock 9
    fetch_source 'bookworm-backports trixie' "$CATCH2_DEB" "$CATCH2_TAR" "$CATCH2_SHA256"
    fetch_source 'bookworm-backports trixie' "$RAPIDCHECK_DEB" "$RAPIDCHECK_TAR" "$RAPIDCHECK_SHA256"
    unpack "$CATCH2_TAR" catch2-3.7.1 --strip-components=1
    unpack "$RAPIDCHECK_TAR" rapidcheck-a5724ea
  ) 9>"$CACHE/lock"
}

# instrumented_libcxx Memory|Thread   Builds libc++ and libc++abi with that sanitizer, once; prints the prefix.
# MSan needs every library instrumented; TSan needs it for the reference count inside std::exception_ptr.
instrumented_libcxx() {
  local kind=$1 prefix
  prefix=$CACHE/libcxx-19.1.7-$kind
  mkdir -p "$CACHE"
  (
    flock 9
    [ ! -f "$prefix/lib/libc++.a" ] || exit 0
    fetch_source 'bookworm' "$LLVM_DEB" "$LLVM_TAR" "$LLVM_SHA256"
    local top=${LLVM_TAR%.orig.tar.xz}
    unpack "$LLVM_TAR" llvm-runtimes-19.1.7 --strip-components=1 --exclude='*/test' --exclude='*/docs' \
      "$top"/{cmake,runtimes,libcxx,libcxxabi,llvm/cmake}
    say "building libc++ for ${kind}Sanitizer (once, about a minute)"
    mkdir -p "$LOGS"
    rm -rf "$prefix.build" "$prefix.partial"
    local how=$kind
    [ "$kind" != Memory ] || how=MemoryWithOrigins
    {
      cmake -G Ninja -S "$CACHE/src/llvm-runtimes-19.1.7/runtimes" -B "$prefix.build" -DCMAKE_BUILD_TYPE=RelWithDebInfo \
        -DCMAKE_C_COMPILER=clang-19 -DCMAKE_CXX_COMPILER=clang++-19 -DCMAKE_INSTALL_PREFIX="$prefix.partial" \
        -DLLVM_ENABLE_RUNTIMES='libcxxabi;libcxx' -DLLVM_USE_SANITIZER="$how" -DLLVM_INCLUDE_TESTS=OFF -DLLVM_INCLUDE_DOCS=OFF \
        -DLIBCXX_ENABLE_SHARED=OFF -DLIBCXX_ENABLE_STATIC=ON -DLIBCXX_INCLUDE_TESTS=OFF -DLIBCXX_INCLUDE_BENCHMARKS=OFF \
        -DLIBCXX_ENABLE_STATIC_ABI_LIBRARY=ON -DLIBCXX_INSTALL_MODULES=OFF -DLIBCXX_HARDENING_MODE=extensive \
        -DLIBCXXABI_ENABLE_SHARED=OFF -DLIBCXXABI_INCLUDE_TESTS=OFF -DLIBCXXABI_USE_LLVM_UNWINDER=OFF
      ninja -C "$prefix.build" install
    } >"$LOGS/libcxx-$kind.log" 2>&1 || die "libc++ for $kind did not build, see $LOGS/libcxx-$kind.log"
    mv -T "$prefix.partial" "$prefix"
    rm -rf "$prefix.build"
  ) 9>"$CACHE/lock" || return 1
  printf '%s\n' "$prefix"
}

# ---- One tool: build, canaries, suites, verdict -----------------------------------------------------
#
# A script sets TOOL, SUITES and what it needs of the hooks below, then calls run_levels. Results go to
# build/results/TOOL, one line per suite and level: SUITE LEVEL PASSED FAILED SKIPPED ASSERTIONS SECONDS REASON,
# where REASON is ok or, with underscores for spaces, what went wrong. `run` and .ci/run add these files up.

RESULTS=$BUILD/results
QUICK=no
LEVELS=(O0 O1)
LEVEL_GIVEN=no
WRAPPER=()            # what a test program is started with: setarch, valgrind
SUITES=(unit examples properties replay)
TARGETS=()            # what they need of the tree; empty: all of it
SUITE_LIMIT=1800      # seconds; a suite that takes longer hangs
RC_CASES=100          # RapidCheck cases per property
TEST_SCALE=100        # percent of the usual size, for tests tagged [slow]
STARTED=$(date +%s)
VERDICT_SAID=no

# parse_options ARG...   The options that all tools share. The script has a function usage.
parse_options() {
  while [ $# -gt 0 ]; do
    case $1 in
      --help | -h) usage; VERDICT_SAID=yes; exit 0 ;;
      --quick) QUICK=yes ;;
      --level)
        [[ ${2-} = O[01] ]] || bad_usage "--level is O0 or O1, not '${2-}'"
        LEVELS=("$2"); LEVEL_GIVEN=yes; shift ;;
      *) bad_usage "unknown word: $1" ;;
    esac
    shift
  done
}

# quick_is LEVEL RC-CASES TEST-SCALE   What --quick means for this tool.
quick_is() {
  [ "$QUICK" = yes ] || return 0
  [ "$LEVEL_GIVEN" = yes ] || LEVELS=("$1")
  RC_CASES=$2 TEST_SCALE=$3
  export ASSAY_FAULT_BRIEF=yes  # ci/test has each error of each system call
}

# Programs whose shadow memory may collide with randomised addresses are started without randomisation, where allowed.
without_aslr() {
  if setarch -R true 2>/dev/null; then WRAPPER=(setarch -R "${WRAPPER[@]}"); fi
}

begin_tool() {
  mkdir -p "$LOGS" "$RESULTS"
  : >"$RESULTS/$TOOL"
  # Whatever ends the script early, it ends with a line that says FAIL, and leaves a failure in the results.
  trap 'status=$?; if [ "$VERDICT_SAID" = no ]; then record script - 0 1 0 0 0 "stopped early with status $status"; verdict; fi' EXIT
}

# record SUITE LEVEL PASSED FAILED SKIPPED ASSERTIONS SECONDS REASON
record() {
  local reason=${8// /_}
  printf '%s %s %s %s %s %s %s %s\n' "$1" "$2" "$3" "$4" "$5" "$6" "$7" "$reason" >>"$RESULTS/$TOOL"
  if [ "$8" = ok ]; then
    say "$TOOL $2 $1: $3 passed in $7 s"
  else
    say "$TOOL $2 $1: FAILED, $8 ($3 passed, $4 failed)"
  fi
}

# verdict   The last line; exits.
verdict() {
  local failures seconds=$(($(date +%s) - STARTED)) line
  VERDICT_SAID=yes
  failures=$(awk '$8 != "ok" { gsub("_", " ", $8); printf "%s%s -%s: %s", n++ ? "; " : "", $1, $2, $8 }' "$RESULTS/$TOOL")
  echo "$seconds" >"$RESULTS/$TOOL.seconds"
  line=$(awk '
    # The same suite ran at each level: the smaller count is the one that is certain.
    !($1 in count) || $3 < count[$1] { count[$1] = $3; assertions[$1] = $6 }
    { skipped[$1] = $5 > skipped[$1] ? $5 : skipped[$1] }
    $2 != "-" && !($2 in level) { level[$2] = 1; levels = levels (levels ? " " : "") ($2 ~ /^O/ ? "-" : "") $2 }
    END {
      n = split("canaries unit examples properties replay fuzz clang gcc helgrind drd", order)
      for (i = 1; i <= n; ++i) {
        s = order[i]
        if (!(s in count)) continue
        out = out (out ? ", " : "") s " " count[s]
        if (s == "unit") out = out " cases " assertions[s] " assertions"
        if (s == "replay") out = out " inputs"
        if (skipped[s]) out = out " (" skipped[s] " skipped)"
      }
      print out (levels ? " (each at " levels ")" : "")
    }' "$RESULTS/$TOOL")
  if [ -z "$failures" ] && [ -s "$RESULTS/$TOOL" ]; then
    printf '%s: PASS  %s, %s s\n' "$TOOL" "$line" "$seconds"
    exit 0
  fi
  printf '%s: FAIL  %s, %s s, see %s\n' "$TOOL" "${failures:-nothing ran}" "$seconds" "build/logs/$TOOL-*.log"
  exit 1
}

# build_tree PRESET [TARGET...]   Configures and builds build/PRESET.
build_tree() {
  local preset=$1 log=$LOGS/$1-build.log targets=(); shift
  [ $# -eq 0 ] || targets=(--target "$@")
  say "$TOOL: building $preset${1:+ ($*)}"
  if ! { (cd "$ROOT" && cmake --preset "$preset") && cmake --build "$BUILD/$preset" --parallel "$JOBS" "${targets[@]}"; } >"$log" 2>&1; then
    grep -m 3 -E 'error:|Error|FAILED' "$log" >&2 || tail -n 5 "$log" >&2
    return 1
  fi
}

# check_canaries LEVEL   Programs with a known bug: the tool must report each of them, or its silence means nothing.
check_canaries() {
  local level=$1 source name log expect passed=0 failed=0 missed='' start
  start=$(date +%s)
  if ! build_tree "$TOOL-$level" canaries; then
    record canaries "$level" 0 1 0 0 0 'canaries do not build'
    return 0
  fi
  for source in "$ROOT/sanitizer-scripts/canaries/$TOOL"_*.cpp; do
    name=$(basename "$source" .cpp)
    log=$LOGS/$TOOL-$level-canary-$name.log
    expect=$(sed -n '1s,^// expect: ,,p' "$source")
    [ -n "$expect" ] || die "$source does not say what it expects"
    if ! "${WRAPPER[@]}" "$BUILD/$TOOL-$level/sanitizer-scripts/canary_$name" >"$log" 2>&1 && grep -qE "$expect" "$log"; then
      passed=$((passed + 1))
    else
      failed=$((failed + 1)); missed="$missed $name"
    fi
  done
  if [ "$failed" = 0 ] && [ "$passed" -gt 0 ]; then
    record canaries "$level" "$passed" 0 0 0 $(($(date +%s) - start)) ok
  else
    record canaries "$level" "$passed" $((failed > 0 ? failed : 1)) 0 0 $(($(date +%s) - start)) "the tool missed:${missed:- everything}"
  fi
}

# catch_counts LOG [RUNS]   Prints PASSED FAILED SKIPPED ASSERTIONS of a Catch2 run, or of all RUNS in that log; fails when the last
# line of one of them is not there.
catch_counts() {
  awk -v runs="${2:-1}" '
    /^Randomness seeded to: / { add_up() }
    /^All tests passed \(/ { match($0, /\([0-9]+/); a = substr($0, RSTART + 1, RLENGTH - 1)
      match($0, /in [0-9]+/); p = substr($0, RSTART + 3, RLENGTH - 3); f = s = 0; found = 1 }
    /^test cases: / { p = f = s = 0; found = 1; n = split($0, part, "|")
      for (i = 2; i <= n; ++i) { split(part[i], w, " "); if (w[2] == "passed") p = w[1]; else if (w[2] == "failed") f += w[1]; else if (w[2] == "skipped") s = w[1] } }
    /^assertions: / { split($2, w, " "); a = w[1] }
    function add_up() { if (found) { ++ended; P += p; F += f; S += s; A += a; found = p = f = s = a = 0 } }
    END { add_up(); if (ended != runs) exit 1; print P + 0, F + 0, S + 0, A + 0 }' "$1"
}

# A report in the log of a run that ended well was swallowed by something: that is a failure as well.
report_in() {
  grep -qE '(ERROR|WARNING): (Address|Leak|Thread|Memory|Realtime|Type)Sanitizer|^SUMMARY: [A-Za-z]*Sanitizer|: runtime error: ' "$1"
}

# reports_in LOG   The first reports, and the first expectations that failed, with the names of their tests: whoever reads the log of a
# machine that is gone has nothing else. It only prints, of a run that is known to have failed: to find no report decides nothing.
reports_in() {
  grep -m 3 -hE 'ERROR: |WARNING: Thread|runtime error: |Invalid (read|write)|uninitialised|definitely lost' "$1" || true
  awk '
    /^-+$/ && length($0) == 79 { heading = !heading; if (heading) name = ""; next }
    heading { sub(/^ +/, ""); name = name (name == "" ? "" : " > ") $0; next }
    /: FAILED:$/ && ++shown <= 4 { print "in \"" name "\":"; left = 14 }
    left > 0 { print; --left }
    /^$/ { left = 0 }
    END { if (!shown) print "no test says that it failed; the log ends with:" }' "$1"
  grep -q ': FAILED:$' "$1" || tail -n 5 "$1"
}

# The build tree of a level; ci/test has compilers in place of levels.
tree_of() { printf '%s-%s' "$TOOL" "$1"; }

# one_suite SUITE LEVEL   Runs one suite and records it.
one_suite() {
  local suite=$1 level=$2 tree log=$LOGS/$TOOL-$2-$1.log status=0 counts start seconds reason=ok runs=1
  local passed failed skipped assertions
  start=$(date +%s)
  tree=$BUILD/$(tree_of "$level")
  case $suite in
    unit) runs=$PARTS; run_shards "$log" "$tree/tests/assay_tests" --min-duration 2 '~[examples]' || status=$? ;;
    examples) run_logged "$log" "$tree/tests/assay_tests" --min-duration 2 '[examples]' || status=$? ;;
    properties) run_logged "$log" "$tree/property-tests/assay_properties" --min-duration 2 || status=$? ;;
    replay) replay_all "$tree" "$log" || status=$? ;;
  esac
  seconds=$(($(date +%s) - start))
  if [ "$suite" = replay ]; then
    counts="$(awk '/^replayed [0-9]+ inputs$/ { n += $2 } END { print n + 0 }' "$log") 0 0 0"
  else
    counts=$(catch_counts "$log" "$runs") || { counts='0 0 0 0'; [ "$status" != 0 ] || status=1; }
  fi
  read -r passed failed skipped assertions <<<"$counts"
  if [ "$status" = 124 ] || [ "$status" = 137 ]; then
    reason="took more than $SUITE_LIMIT s"
  elif [ "$status" != 0 ]; then
    reason="exit status $status"
    [ "$failed" = 0 ] || reason="$failed of $((passed + failed)) failed, $reason"
  elif [ "$passed" = 0 ]; then
    reason='nothing ran'
  elif report_in "$log"; then
    reason='a report in the log of a passing run'
  fi
  if [ "$reason" != ok ]; then
    [ "$failed" != 0 ] || failed=1
    say "$(reports_in "$log")"
  fi
  record "$suite" "$level" "$passed" "$failed" "$skipped" "$assertions" "$seconds" "$reason"
}

# run_logged LOG PROGRAM ARG...   SIGABRT on a hang: Catch2 then says in which test it was. Bash starts what is in the
# background with SIGINT ignored; the examples are stopped by just that.
run_logged() {
  local log=$1; shift
  printf '+ %s\n' "RC_PARAMS='$RC_PARAMS' ASSAY_TEST_SCALE=$ASSAY_TEST_SCALE ${WRAPPER[*]} $*" >"$log"
  timeout --signal=ABRT --kill-after=20 "$SUITE_LIMIT" env --default-signal=INT,QUIT "${WRAPPER[@]}" "$@" >>"$log" 2>&1 </dev/null
}

# run_shards LOG PROGRAM ARG...   A Catch2 program in PARTS parts, as many at a time as there are cores: all in one order, each its share
# of it. The slow tests stand beside one another, so there are more parts than cores.
PARTS=$((4 * JOBS))
run_shards() {
  local log=$1 seed part status=0
  shift
  seed=$(od -An -N4 -tu4 /dev/urandom | tr -d ' ')
  for ((part = 0; part < PARTS; ++part)); do
    [ "$part" -lt "$JOBS" ] || wait -n || status=$?
    run_logged "$log.$part" "$@" --rng-seed "$seed" --shard-count "$PARTS" --shard-index "$part" &
  done
  for ((part = 0; part < JOBS; ++part)); do wait -n || status=$?; done
  : >"$log"
  for ((part = 0; part < PARTS; ++part)); do cat "$log.$part" >>"$log"; rm "$log.$part"; done
  return "$status"
}

# replay_all TREE LOG   Every file of the corpora and of the regressions, through every fuzz target.
replay_all() {
  local tree=$1 log=$2 source name status=0
  : >"$log"
  for source in "$ROOT"/fuzz/*.cpp; do
    name=$(basename "$source" .cpp)
    run_logged "$log.$name" "$tree/fuzz/replay_$name" "$ROOT/fuzz/corpus/$name" --optional "$ROOT/fuzz/regressions/$name" ||
      { status=$?; echo "FAILED: replay_$name, exit status $status" >>"$log.$name"; }
    cat "$log.$name" >>"$log"; rm "$log.$name"
  done
  return "$status"
}

# set_sizes   Tells the test programs how much to do, and from which seed.
set_sizes() {
  RC_PARAMS="max_success=$RC_CASES seed=${ASSAY_SEED:-$(od -An -N4 -tu4 /dev/urandom | tr -d ' ')}"
  ASSAY_TEST_SCALE=$TEST_SCALE
  export RC_PARAMS ASSAY_TEST_SCALE
}

# run_suites LEVEL   All suites of a built tree, as many at a time as there are cores.
run_suites() {
  local level=$1 suite
  for suite in "${SUITES[@]}"; do
    while [ "$(jobs -rp | wc -l)" -ge "$JOBS" ]; do wait -n || :; done  # each suite records how it ended
    one_suite "$suite" "$level" &
  done
  wait
  for suite in "${SUITES[@]}"; do
    grep -q "^$suite $level " "$RESULTS/$TOOL" || record "$suite" "$level" 0 1 0 0 0 'did not run'
  done
}

# run_levels   Everything of one tool.
run_levels() {
  local level
  set_sizes
  for level in "${LEVELS[@]}"; do
    if ! build_tree "$TOOL-$level" "${TARGETS[@]}"; then
      record build "$level" 0 1 0 0 0 'does not build'
      continue
    fi
    check_canaries "$level"
    run_suites "$level"
  done
  verdict
}

# add_up TOOL...   Prints "N passed, N failed" over the results of these. Each replay is one test, whatever its inputs.
add_up() {
  local tool
  for tool in "$@"; do
    if [ -s "$RESULTS/$tool" ]; then cat "$RESULTS/$tool"; else echo "script - 0 1 0 0 0 did_not_run"; fi
  done | awk '{ passed += $1 == "replay" ? ($8 == "ok") : $3; failed += $8 == "ok" ? $4 : ($4 > 0 ? $4 : 1) }
    END { printf "%d passed, %d failed\n", passed, failed }'
}
