# SPDX-License-Identifier: Apache-2.0
# The man page knows every verb and every option that help knows, and renders without a warning.
. "$LIB"
sed -e 's/\\-/-/g' "$MAN_PAGE" >page
# Verbs: those that help lists.
run help
for verb in $(sed -n 's/^  \([a-z-]*\)  .*/\1/p' out); do
    checks=$((checks + 1))
    grep -q -e "$verb" page || fail "the man page lacks $verb"
    "$ANYMPS" help "$verb" >help_text 2>err
    for option in $(grep -o -e '--[a-z][a-z-]*' help_text | sort -u); do
        [ "$option" = --help ] && continue
        checks=$((checks + 1))
        grep -q -e "$option\b" page || fail "the man page lacks $option of $verb"
    done
done
if command -v man >/dev/null 2>&1 && man --version 2>/dev/null | grep -q man; then
    checks=$((checks + 1))
    warnings=$(LC_ALL=C.UTF-8 MANWIDTH=100 man -l --warnings "$MAN_PAGE" 2>&1 >/dev/null)
    [ -z "$warnings" ] || fail "man: $warnings"
fi
finish
