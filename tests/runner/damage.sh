# shellcheck shell=bash disable=SC2154
# damage.sh: how scripts of the test run find places of a data directory's log, and damage files. To
# be sourced, with `admin` (the kalix-admin to ask) set.
#
#   log_frame DIR STORE N    "SEGMENT OFFSET" of a frame with records that has N - 1 such behind it,
#                            or of the first one
#   log_file DIR STORE SEGMENT
#   flip_bit FILE OFFSET     one of the byte there

log_frame() {
	local number='\([0-9]*\)'
	"$admin" log dump "$1" --store "$2" -o jsonl | grep '"kind":"records","place":"live"' |
		sed "s/.*\"segment\":$number,\"offset\":$number,.*/\1 \2/" | tail -n "$3" |
		sed -n 1p
}

log_file() { printf '%s/stores/%03d/log/%016x.seg' "$1" "$2" "$3"; }

flip_bit() {
	local byte
	byte=$(od -An -tu1 -j "$2" -N 1 "$1")
	printf '%b' "$(printf '\\x%02x' $((byte ^ 4)))" |
		dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}
