#!/bin/bash
# Clusters of three and five kalixd, each node in a network namespace of its own, under load from
# several clients while something is wrong: one fault after the other, each with a history that has
# to be one of cells that take one operation at a time, and with what is left in the end the same
# whichever replica leads.
#
#   tests/cluster/faults.sh [NAME...]   NAME or NAME:SECONDS of the fault, NAME@5 for five nodes, or
#                                       NAME@lease for three with `reads = lease`; without any, all
#                                       of them.
#
# FAULTS_KEEP=DIR   keeps the histories, their exports and the nodes' logs there
# FAULTS_SEED=N     another course of things
# FAULTS_SHARDS=N   instead of 128
# FAULTS_LOOPBACK=1 without namespaces
# FAULTS_TIMES=N    so many times as long, where no SECONDS are given
#
# Where the machine permits no namespaces, what needs them is skipped, and the rest runs on
# loopback.
set -euo pipefail
cd "$(dirname "$0")/../.."
# With mounts of its own, as root or as one who has a namespace of users: what is mounted goes with
# the script.
if [ -z "${FAULTS_INSIDE:-}" ]; then
	export FAULTS_INSIDE=1
	for how in '' --map-root-user; do
		# shellcheck disable=SC2086
		if unshare $how --mount true 2>/dev/null; then
			exec unshare $how --mount tests/cluster/faults.sh "$@"
		fi
	done
fi
. tests/cluster/lib.sh
. tests/cluster/faults_lib.sh
. tests/cluster/faults_schedules.sh
make -s -C "$build" tests/cluster/history tests/cluster/wire tests/cluster/clock_jump.so
"$history" self >"$work/self" || cat "$work/self"
closing_line 0 "$work/self"

[ $# -gt 0 ] || set -- "${all_faults[@]}"
for kind in 3 5 lease; do
	wanted=()
	for name in "$@"; do
		at=${name#*@}
		[ "$at" != "$name" ] || at=3
		if [ "${at%%:*}" = "$kind" ]; then wanted+=("${name/@*([0-9a-z])/}"); fi
	done
	[ ${#wanted[@]} -gt 0 ] || continue
	cluster_begins "$kind"
	for name in "${wanted[@]}"; do fault "${name%%:*}" "${name#*:}"; done
	cluster_ends
done
finish
