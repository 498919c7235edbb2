# Reads text files of all kinds and prints a line "CLASS PATH:LINE: what is wrong" per finding.

function found(class, what) { printf "%s %s:%d: %s\n", class, path, FNR, what }

# Columns as an editor shows them: tabs stop at every eighth, a UTF-8 sequence is one.
function columns(line,   part, n, i, width) {
	gsub(/[\200-\277]/, "", line)
	n = split(line, part, "\t")
	width = 0
	for (i = 1; i < n; i++)
		width += length(part[i]) + 8 - (width + length(part[i])) % 8
	return width + length(part[n])
}

FNR == 1 {
	path = FILENAME
	sub(/^\.\//, "", path)
	is_code = path !~ /\.(md|txt)$/
}

is_code && columns($0) > 100 { found("columns", "a line has at most 100 columns") }

/[ \t\r]$/ { found("whitespace", "white space at the end of the line") }
/ \t/ { found("whitespace", "a space before a tab") }

# Written with brackets, so that these patterns do not find themselves.
/(^|[^A-Za-z0-9_])(T[O]DO|F[I]XME|X[X]X|H[A]CK)([^A-Za-z0-9_]|$)/ {
	found("words", "unfinished work does not stay in the tree")
}
/(^|[^A-Za-z0-9_.-])\/(root|home|work)\// { found("words", "a path of somebody's machine") }
/(^|[^A-Za-z])(DESIGN|SPEC|STYLE)[.]md/ || /(^|[ "'(`])shared[\/][A-Za-z]/ {
	found("words", "a file that is not in this tree")
}
/(^|[ (])#[0-9]+([^0-9A-Za-z_]|$)/ || /(^|[^A-Za-z])[Ii]ssues? #?[0-9]/ {
	found("words", "the number of an issue: say what it is about instead")
}
