#!/bin/bash
# kalix-admin completion: the shells themselves complete what is typed on a terminal, and what comes
# of it is what the command is called with. Without zsh or fish their part is left out.
# shellcheck disable=SC2016 # programs in quotes are for other shells
set -euo pipefail
cd "$(dirname "$0")/../.."
. tests/runner/counts.sh
./run tree test
admin=$PWD/build-test/bin/kalix-admin

work=$(mktemp -d "$PWD/build-test/completion.XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/home/my-app"

equal() { # FACT EXPECTED GOT
	local status=0
	[ "$2" = "$3" ] || status=1
	result "$status" "$1"
	[ "$status" -eq 0 ] || printf '    expected %s\n    got      %s\n' "$2" "$3"
}

# Waits until FILE has so many lines, at most 20 seconds.
lines() {
	for _ in $(seq 400); do
		if [ "$(wc -l 2>/dev/null <"$1" || true)" = "$2" ]; then return; fi
		sleep 0.05
	done
}

# What is typed (\t is the tabulator), and the words that the command gets.
keys=(
	'ap\tde\tmy\t --dry\t' '<app><deploy><my-app><--dry-run>'
	'entity h\tcart/c1 --cu\tx --cou\t5' '<entity><history><cart/c1><--cursor><x><--count><5>'
	'--node 127.0.0.1:7470 stat\t -o jsonl' '<--node><127.0.0.1:7470><status><-o><jsonl>'
	'store ver\tmy\t --st\t0' '<store><verify><my-app><--store><0>'
	'-o jsonl log d\tmy\t --rec\t' '<-o><jsonl><log><dump><my-app><--records>'
	'completion f\t' '<completion><fish>'
	'ben\tcounter/c1 add --con\t4 --ra\t9'
	'<bench><counter/c1><add><--connections><4><--rate><9>'
	'error l\t' '<error><list>'
	'call cart/c1 add --tok\tt --output tab\t'
	'<call><cart/c1><add><--token><t><--output><table>'
)

# In bash and zsh: each line is typed when the one before has run.
type_all() { # SHELL COMMAND SETUP
	local shell=$1 number=0 typed words
	rm -f "$work/words" "$work/keys"
	mkfifo "$work/keys"
	(cd "$work/home" && HOME=$work/home TERM=vt100 timeout 120 \
		script -qec "$2" "$work/screen" <"$work/keys" >/dev/null 2>&1) &
	local terminal=$!
	exec 9>"$work/keys"
	{
		echo "$3"
		echo "source <('$admin' completion $shell)"
		echo 'kalix-admin() { printf "<%s>" "$@"; echo; } >>'"'$work/words'"
		echo kalix-admin begins
	} >&9
	lines "$work/words" 1
	for ((number = 0; number < ${#keys[@]}; number += 2)); do
		# shellcheck disable=SC2059 # tabulators
		typed=$(printf -- "${keys[number]}")
		printf 'kalix-admin %s\n' "$typed" >&9
		lines "$work/words" $((number / 2 + 2))
		# Zsh takes the slash behind a directory away.
		words=$(sed -n "$((number / 2 + 2))s:/>:>:gp;$((number / 2 + 2))p" "$work/words" |
			head -n 1)
		equal "$shell completes ${keys[number]}" "${keys[number + 1]}" "$words"
	done
	echo exit >&9
	exec 9>&-
	wait "$terminal" || true
}

"$admin" completion bash >"$work/bash"
equal 'bash has nothing to say about it' '' "$(bash -n "$work/bash" 2>&1)"
shellcheck -s bash -e SC2207,SC2221,SC2222 "$work/bash" >"$work/said" || true
equal 'nor has shellcheck' '' "$(cat "$work/said")"
type_all bash 'bash --norc --noprofile -i' 'bind "set enable-bracketed-paste off"'
# With '=' bash makes three words of one.
options=$(bash -c ". '$work/bash'"'; COMP_WORDS=(kalix-admin status --output = js) COMP_CWORD=4
	_kalix_admin; echo "${COMPREPLY[*]}"' 2>&1 || true)
equal 'a value behind = too' 'json jsonl' "$options"
options=$(bash -c ". '$work/bash'"'; COMP_WORDS=(kalix-admin log verify --node "") COMP_CWORD=3
	_kalix_admin; echo "${COMPREPLY[*]}"' 2>&1 || true)
equal 'no option of other commands' '' "$options"

# Every command and each of its options is offered: what the help shows, the completion knows.
missing=''
while read -r noun verb _; do
	grep -Eq "^	'$noun (${verb//[![:lower:]-]/}|\*)" "$work/bash" ||
		grep -Eq "^	'$noun '\*" "$work/bash" || missing+=" $noun-$verb"
done < <("$admin" --help | sed -n 's/^  \([a-z]\)/\1/p')
equal 'no command is missing' '' "$missing"

if command -v zsh >/dev/null; then
	"$admin" completion zsh >"$work/zsh"
	equal 'zsh has nothing to say about it' '' "$(zsh -n "$work/zsh" 2>&1)"
	type_all zsh 'zsh -f -i' \
		'autoload -U compinit && compinit -u -D; unsetopt zle_bracketed_paste'
else
	skipped=$((skipped + 1))
fi

fish_offers() { (cd "$work/home" && HOME=$work/home fish -c \
	". '$work/fish'; complete -C 'kalix-admin $1'" | cut -f 1 | sort | tr '\n' ' '); }
if command -v fish >/dev/null; then
	"$admin" completion fish >"$work/fish"
	equal 'fish has nothing to say about it' '' "$(fish -n "$work/fish" 2>&1)"
	equal 'fish offers the verbs of a noun' 'dump repair verify ' "$(fish_offers 'store ')"
	equal 'and completes them' 'deploy ' "$(fish_offers 'app de')"
	equal 'what stands behind a noun without verbs' \
		'bash fish zsh ' "$(fish_offers 'completion ')"
	equal 'options' '--accept-loss ' "$(fish_offers 'log repair --acc')"
	equal 'directories behind the verb' 'my-app/ ' "$(fish_offers 'app deploy my')"
else
	skipped=$((skipped + 1))
fi

status=0
"$admin" completion tcsh >"$work/out" 2>&1 || status=$?
equal 'a shell that it is not for ends with 2' '2 1' \
	"$status $(grep -c "completion is for bash, zsh or fish, not 'tcsh'" "$work/out")"
finish
