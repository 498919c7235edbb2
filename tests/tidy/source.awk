# Reads C sources and prints a line "CLASS PATH:LINE: what is wrong" for each finding.
# Variables: layers, banned (the two tables), trusted prefixes come from layers.
# It leans on clang-format: a function's braces stand alone in the first column.

function found(class, line, what) { printf "%s %s:%d: %s\n", class, path, line, what }

function folder_of(file) { return sub(/\/[^\/]*$/, "", file) ? file : "." }

function begins(text, prefix) { return substr(text, 1, length(prefix)) == prefix }

function matches(text, pattern) {
	if (pattern ~ /\*$/)
		return begins(text, substr(pattern, 1, length(pattern) - 1))
	return text == pattern
}

function is_trusted(file,   i) {
	for (i = 1; i <= trusted_count; i++)
		if (begins(file, trusted[i]))
			return 1
	return 0
}

function read_layers(   line, word, n, i, number) {
	while ((getline line < layers) > 0) {
		number++
		if (line ~ /^[ \t]*(#|$)/)
			continue
		n = split(line, word, /[ \t]+/)
		if (word[1] == "layer") {
			order[word[3]] = ++layer_count
			for (i = 4; i <= n; i++) {
				may[word[3], word[i]] = 1
				if ((word[i] in order) || (folder_of(word[i]) in order))
					continue
				path = layers
				found("arrows", number, word[i] " does not stand above " word[3])
			}
		} else if (word[1] == "trusted") {
			trusted[++trusted_count] = word[2]
		} else if (word[1] == "only") {
			owned[++owned_count] = word[2]
			for (i = 3; i <= n; i++)
				owner[owned_count, word[i]] = 1
		} else {
			path = layers
			found("arrows", number, "unknown word " word[1])
		}
	}
	close(layers)
}

function read_banned(   line, word, n, i) {
	while ((getline line < banned) > 0) {
		if (line ~ /^[ \t]*(#|$)/)
			continue
		n = split(line, word, /[ \t]+/)
		where[word[1]] = word[2]
		instead[word[1]] = word[3]
		for (i = 4; i <= n; i++)
			instead[word[1]] = instead[word[1]] " " word[i]
	}
	close(banned)
}

# The line without comments and without what strings and character constants hold. in_comment
# lasts from line to line.
function strip(line,   out, i, c, two, quote) {
	out = ""
	for (i = 1; i <= length(line); i++) {
		two = substr(line, i, 2)
		c = substr(line, i, 1)
		if (in_comment) {
			if (two == "*/") {
				in_comment = 0
				i++
			}
		} else if (quote != "") {
			if (c == "\\")
				i++
			else if (c == quote) {
				quote = ""
				out = out c
			}
		} else if (two == "/*") {
			in_comment = 1
			out = out " "
			i++
		} else if (two == "//") {
			break
		} else {
			if (c == "\"" || c == "'")
				quote = c
			out = out c
		}
	}
	return out
}

function check_include(line,   target, folder, i) {
	sub(/^[ \t]*#[ \t]*include[ \t]*/, "", line)
	target = substr(line, 2)
	sub(/[">].*/, "", target)
	folder = folder_of(path)
	if (begins(line, "<")) {
		for (i = 1; i <= owned_count; i++)
			if (matches(target, owned[i]) && !((i, folder) in owner) &&
			    !is_trusted(path))
				found("arrows", FNR, "<" target "> does not belong in " folder)
		return
	}
	if (target == "config.h" || is_trusted(path))
		return
	if (target !~ /\//) {
		found("arrows", FNR, "write the path from the top: \"" target "\"")
		return
	}
	if (!(folder in order))
		return
	if (folder_of(target) != folder && !((folder, folder_of(target)) in may) &&
	    !((folder, target) in may))
		found("arrows", FNR, folder " may not include " target)
}

function is_allowed(name,   n, i, prefix) {
	n = split(where[name], prefix, ",")
	for (i = 1; i <= n; i++)
		if (begins(path, prefix[i]))
			return 1
	return 0
}

function check_calls(code,   name, before) {
	while (match(code, /[A-Za-z_][A-Za-z0-9_]*[ \t]*\(/)) {
		name = substr(code, RSTART, RLENGTH - 1)
		sub(/[ \t]+$/, "", name)
		before = RSTART > 1 ? substr(code, RSTART - 1, 1) : ""
		# A member of a struct may be called as it likes.
		if (before != "." && before != ">" && (name in where) && !is_allowed(name))
			found("calls", FNR, name "(): use " instead[name])
		code = substr(code, RSTART + RLENGTH)
	}
}

function end_of_file() {
	if (path == "")
		return
	if (lines > 650)
		found("file-length", lines, "a file has at most 650 lines")
	if (path ~ /\.h$/ && !guarded)
		found("guards", 1, "no header guard")
}

BEGIN {
	read_layers()
	read_banned()
	path = ""
}

FNR == 1 {
	end_of_file()
	path = FILENAME
	sub(/^\.\//, "", path)
	in_comment = guarded = function_line = 0
	guard = "KX_" toupper(path)
	gsub(/[^A-Z0-9]/, "_", guard)
	folder = folder_of(path)
	if (!(folder in order) && !is_trusted(path))
		found("arrows", 1, folder " has no line in the table of layers")
}

{
	lines = FNR
	if (!in_comment && $0 ~ /^[ \t]*#[ \t]*include[ \t]*["<]/)
		check_include($0)
	if (path ~ /\.h$/ && !guarded && $0 ~ /^#ifndef/) {
		guarded = 1
		if ($2 != guard)
			found("guards", FNR, "the guard of this header is " guard)
	}
	if ($0 == "{")
		function_line = FNR
	if (function_line && $0 ~ /^}/) {
		if (FNR - function_line - 1 > 100)
			found("function-length", function_line, "a function has at most 100 lines")
		function_line = 0
	}
	check_calls(strip($0))
}

END { end_of_file() }
