#!/bin/bash
# kalix-admin app test, without a server: what it prints and what it ends with, for tests that pass
# and that fail, for the examples, for what `app init` writes, and for what the docs say.
# shellcheck disable=SC2016 # programs in quotes are for other shells
set -euo pipefail
cd "$(dirname "$0")/../.."
./run tree test
admin=$PWD/build-test/bin/kalix-admin

work=$(mktemp -d "$PWD/build-test/app-tests.XXXXXX")
trap 'rm -rf "$work"' EXIT

. tests/runner/expect.sh
# same NAME FILE: what was printed last is exactly this.
same() {
	local got=0
	diff "$2" "$work/out" >"$work/err" || got=1
	told "$got" "$1"
}

# ---- What is there ----

expect 'the shop is tested' 0 '^13 passed, 0 failed$' "$admin" app test examples/shop
expect 'with a line for each test' 0 '^ok +a cart > is empty at first$' \
	"$admin" app test examples/shop
expect 'in the working directory, too' 0 '^13 passed, 0 failed$' \
	bash -c "cd examples/shop && '$admin' app test"
expect 'app check counts them' 0 '^13 tests: kalix-admin app test' "$admin" app check examples/shop
"$admin" app init "$work/first" >"$work/out"
expect 'what app init writes passes' 0 '^3 passed, 0 failed$' "$admin" app test "$work/first"

# The app and the tests of docs/write-an-app.md: what stands below "-- FILE".
mkdir -p "$work/bank/tests"
awk -v dir="$work/bank" '
	/^    -- (app|wallet|tests\/wallet_test)\.lua$/ { file = dir "/" $2; next }
	/^[^ ]/ || /^    kalix-admin/ { file = "" }
	file { print substr($0, 5) > file }' docs/write-an-app.md
expect 'what the docs say is so' 0 '^2 passed, 0 failed$' "$admin" app test "$work/bank"

# ---- Failures ----

cp -r "$work/first" "$work/bad"
cat >"$work/bad/tests/counter_test.lua" <<'LUA'
local test = require "kalix.test"
describe("bad", function()
  it("adds up", function()
    local app = test.app()
    app:call("counter/c1", "add", { n = 2 })
    assert.same({ value = { 1, 2 } }, { value = { 1, app:query("counter/c1", "get") + 1 } })
  end)
  it("is refused", function() test.app():call("counter/c1", "add", { n = 0 }) end)
  it("prints", function() print("so \27[31m it is") end)
  it("ends", function() while true do end end)
end)
LUA
printf 'local x = =\n' >"$work/bad/tests/broken_test.lua"
expect 'failures end with 1, and the others go on' 1 '^1 passed, 4 failed$' \
	"$admin" app test "$work/bad"
cat >"$work/expected" <<'TEXT'
tests/broken_test.lua
FAILED  the file can't be loaded
        tests/broken_test.lua:1: unexpected symbol near '='
tests/counter_test.lua
FAILED  bad > adds up
        tests/counter_test.lua:6: at value[2]: expected 2, got 3
        expected: {value = {1, 2}}
        got:      {value = {1, 3}}
FAILED  bad > is refused
        tests/counter_test.lua:8: INVALID_ARGUMENT: n: expected integer >= 1, got 0
ok      bad > prints
        so \u001b[31m it is
FAILED  bad > ends
        tests/counter_test.lua:10: the test ran out of instructions (200000000)
1 passed, 4 failed
TEXT
same 'each says where, and what' "$work/expected"
expect 'app check tells of files that do not load' 1 \
	"^tests/broken_test.lua:1: error: unexpected symbol near '='$" \
	"$admin" app check "$work/bad"
expect 'as JSON, too' 1 \
	'"file":"tests/broken_test.lua","line":1,"severity":"error",.*"good":false,.*"tests":4' \
	"$admin" app check "$work/bad" -o json
rm "$work/bad/tests/broken_test.lua"
expect 'but runs no test' 0 '^4 tests: ' "$admin" app check "$work/bad"

# ---- Which, and how ----

expect 'a filter' 1 '^0 passed, 1 failed$' "$admin" app test "$work/bad" --filter 'adds up'
expect 'of a file' 0 '^3 passed, 0 failed$' "$admin" app test examples/shop --filter=stock_
expect 'that nothing has' 1 "no test has 'nothing' in its name" \
	"$admin" app test examples/shop --filter nothing
expect 'objects, one a line' 1 '^\{"file":.*\}$' \
	"$admin" app test "$work/bad" -o jsonl --filter 'adds up'
{
	printf '{"file":"tests/counter_test.lua","line":3,"name":"bad > adds up","result":"failed",'
	printf '"where":"tests/counter_test.lua:6","message":"at value[2]: expected 2, got 3",'
	printf '"path":"value[2]","expected":"{value = {1, 2}}","got":"{value = {1, 3}}"}\n'
} >"$work/expected"
same 'with all that is known' "$work/expected"
expect 'and what passed' 0 '"line":9,"name":"bad > prints","result":"passed","printed":"so ' \
	"$admin" app test "$work/bad" -o jsonl --filter prints
expect 'one array' 0 '^13$' bash -c \
	"'$admin' app test examples/shop -o json | python3 -c 'import json,sys
print(len(json.load(sys.stdin)))'"
expect 'no colour in a pipe' 0 '^ok  ' "$admin" app test examples/shop --filter stock
expect 'but on a terminal' 0 $'\033\\[32mok\033\\[0m' script -qec \
	"$admin app test examples/shop --filter stock" /dev/null

# ---- Nothing to test, and wrong use ----

mkdir "$work/none"
cp "$work/first"/*.lua "$work/none"
expect 'an app without tests is told so' 1 'no tests found: .*/none has none in its tests/' \
	"$admin" app test "$work/none"
expect 'and is good to app check' 0 'first: good, 1 component' "$admin" app check "$work/none"
expect 'a directory without an app' 1 'has no app.lua' "$admin" app test "$work"
expect 'no directory' 1 'nowhere' "$admin" app test "$work/nowhere"
expect 'an option that it has not' 2 '--count is not for this command: app test' \
	"$admin" app test "$work/first" --count 5
expect 'nor has another one its own' 2 '--filter is not for this command: app check' \
	"$admin" app check "$work/first" --filter x
expect '--filter of nothing' 2 '--filter needs a value' "$admin" app test "$work/first" --filter
expect 'a word too many' 2 'too many words: app test' "$admin" app test "$work/first" more
printf 'local test = require "kalix.test"\nreturn {}\n' >"$work/none/app.lua"
expect 'files of the app do not require kalix.test' 1 \
	'^app.lua:1: error: require: "kalix.test" is there for tests/' \
	"$admin" app check "$work/none"
mkdir "$work/none/tests"
printf 'it("a", function() end)\n' >"$work/none/tests/a_test.lua"
expect 'and an app that is not good is not tested' 1 'so nothing was tested' \
	"$admin" app test "$work/none"

finish
