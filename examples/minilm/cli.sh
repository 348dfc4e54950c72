#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The program from outside: nearest line, JSON, embeddings as a file, wrong calls. 77 where the model is missing
# (golden.sh fetches it).
#   cli.sh MINILM
set -u
minilm="$1"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
failed=0
check() { # what, condition's status
    if [ "$2" != 0 ]; then
        echo "failed: $1"
        failed=1
    fi
}

printf 'The cat sleeps on the warm stove.\n\nInterest rates rose again in March.\r\nBread is baked from flour and "water".\n' >"$work/lines"
"$minilm" --device cpu "a recipe for a loaf" "$work/lines" >"$work/out" 2>"$work/err"
status=$?
if [ "$status" = 1 ] && grep -q get-minilm "$work/err"; then
    echo "skipped: $(cat "$work/err")"
    exit 77
fi
check "search ends with 0" "$status"
head -n 1 "$work/out" | grep -q '^0\.[0-9]*      4: Bread is baked from flour and "water"\.$'
check "the line about bread comes first" $?
test "$(wc -l <"$work/out")" -eq 3
check "blank lines are passed over" $?

"$minilm" --device cpu --json --top 2 "inflation and bank loans" - <"$work/lines" >"$work/json"
check "--json from standard input" $?
grep -q '^{"query": "inflation and bank loans", "lines": \[{"line": 3, "similarity": 0\.[0-9]*, "text": "Interest rates rose again in March\."}, ' "$work/json"
check "JSON has the line about money first, without its carriage return" $?
if command -v python3 >/dev/null; then
    "$minilm" --device cpu --json "$(printf 'a "b\\c\001')" "$work/lines" | python3 -c 'import json, sys; assert json.load(sys.stdin)["query"] == "a \"b\\c\u0001"'
    check "JSON escapes" $?
fi

"$minilm" --device cpu --time --embed "$work/rows.npy" "$work/lines" 2>"$work/err"
check "--embed" $?
grep -q '4 sentences' "$work/err"
check "--time tells how many sentences" $?
test "$(wc -c <"$work/rows.npy")" -eq $((128 + 4 * 384 * 4))
check "a row for every line, blank ones too" $?

"$minilm" "only a query" >/dev/null 2>&1
test $? -eq 2
check "one argument is a wrong call" $?
"$minilm" --dtype i8 a b >/dev/null 2>&1
test $? -eq 2
check "a wrong type is a wrong call" $?
"$minilm" a "$work/missing" >/dev/null 2>"$work/err"
test $? -eq 1 && grep -q missing "$work/err"
check "a missing file is named" $?
"$minilm" --model "$work" a "$work/lines" >/dev/null 2>"$work/err"
test $? -eq 1 && grep -q vocab.txt "$work/err"
check "a missing model is named" $?
exit "$failed"
