# shellcheck shell=bash
# mutations.sh: how scripts go through the deliberate faults of base/mutation_list.h. To be sourced:
#
#     . tests/runner/mutations.sh
#     search() { ...; }   # NAME SEEDS_MAX: whether the fault is found; sets `by`
#     each_mutation PROGRAM PREFIXES search [NAME...]
#
# PROGRAM lists them (--mutations); PREFIXES is an ERE of what the names begin with. Prints a line
# for each, or for those named only, and ends with "N passed, N failed".
each_mutation() {
	local lists=$1 prefixes=$2 search=$3 name seeds_max description by passed=0 failed=0
	shift 3
	while read -r name seeds_max description; do
		[[ $name =~ ^($prefixes)_ ]] || continue
		if [ $# -gt 0 ] && [[ " $* " != *" $name "* ]]; then
			continue
		fi
		if "$search" "$name" "$seeds_max"; then
			printf '%-40s %s (%s)\n' "$name" "$by" "$description"
			passed=$((passed + 1))
		else
			printf '%-40s NOT FOUND in %s seeds (%s)\n' "$name" "$seeds_max" \
				"$description"
			failed=$((failed + 1))
		fi
	done < <("$lists" --mutations)
	echo "$passed passed, $failed failed"
	[ "$failed" -eq 0 ]
}
