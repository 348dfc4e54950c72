# SPDX-License-Identifier: Apache-2.0
# lib.sh: what the tests of the tool share. Each test is a shell script that begins with `. "$LIB"` and runs
# in an empty folder of its own. $ANYMPS is the tool, $NPYTOOL makes and prints .npy files.
set -u
ANYMPS_DEVICE=cpu
export ANYMPS_DEVICE
unset ANYMPS_ISA ANYMPS_NUM_THREADS
work=$(mktemp -d) && cd "$work" || exit 99
trap 'cd /; rm -rf "$work"' EXIT
failures=0
checks=0

npy() { "$NPYTOOL" "$@" || exit 99; }

# run ARGS...: runs the tool; its answer is in $code, out and err.
run() {
    last="anymps $*"
    "$ANYMPS" "$@" >out 2>err
    code=$?
}

fail() {
    failures=$((failures + 1))
    echo "FAILED: $last"
    echo "  $1"
    sed 's/^/  stdout: /' out
    sed 's/^/  stderr: /' err
}

# expect CODE: the exit code.
expect() {
    checks=$((checks + 1))
    [ "$code" -eq "$1" ] || fail "exit code $code, expected $1"
}

# Times, rates and the machine's name are not the same anywhere.
normalise() {
    sed -e 's/ on cpu (.*): / on cpu: /' \
        -e 's/: [0-9.e+]* [num]*s, [0-9.e+-]* G[A-Z]*\/s/: TIME, RATE/'
}

# says TEXT: standard output, normalised, is exactly this.
says() {
    checks=$((checks + 1))
    [ "$(normalise <out)" = "$1" ] || fail "expected stdout: $1"
}

# complains TEXT: standard error is exactly this one line, after "anymps: "; nothing on standard output.
complains() {
    checks=$((checks + 1))
    [ "$(cat err)" = "anymps: $1" ] || fail "expected stderr: anymps: $1"
    [ -s out ] && fail "expected nothing on stdout"
    return 0
}

# mentions FILE TEXT: the file (out or err) has the text in it.
mentions() {
    checks=$((checks + 1))
    grep -qF -e "$2" "$1" || fail "expected '$2' in $1"
}

# holds FILE.npy TEXT: what npytool prints of it.
holds() {
    checks=$((checks + 1))
    found=$("$NPYTOOL" print "$1" 2>&1)
    [ "$found" = "$2" ] || fail "$1 is '$found', expected '$2'"
}

# only FILES...: the folder holds these files and no others (besides out and err).
only() {
    checks=$((checks + 1))
    found=$(ls -A | grep -v -x -e out -e err | tr '\n' ' ')
    [ "$found" = "${*:+$* }" ] || fail "files are '$found', expected '$*'"
}

finish() {
    echo "$checks checks, $failures failed"
    [ "$failures" -eq 0 ] && [ "$checks" -gt 0 ]
    exit
}
