# Makes a page of HTML from a header whose comments are its manual:
#
#     awk -f reference.awk HEADER HEADER > PAGE       (twice: the names are collected first)
#
# A group of lines between blank lines is an entry: its comment, then its declarations. "/* ---- Title ---- */" starts
# a section. Each name is a link to where it is declared. An entry that declares something public without any
# comment is an error, but for a ..._free(), which says what it does.

function escape(text) {
    gsub(/&/, "\\&amp;", text)
    gsub(/</, "\\&lt;", text)
    gsub(/>/, "\\&gt;", text)
    return text
}

# The text with a link at each known name; with `place`, the first line that declares a name gets its anchor.
function linked(text, place,    out, word) {
    out = ""
    while (match(text, /(reel|REEL)_[A-Za-z0-9_]+/)) {
        word = substr(text, RSTART, RLENGTH)
        out = out escape(substr(text, 1, RSTART - 1))
        text = substr(text, RSTART + RLENGTH)
        if (!(word in home))
            out = out word
        else if (place && home[word] == FNR && !(word in placed)) {
            placed[word] = 1
            out = out "<b id=\"" word "\">" word "</b>"
        } else
            out = out "<a href=\"#" word "\">" word "</a>"
    }
    return out escape(text)
}

# Names that this line declares.
function declare(line,    name) {
    name = ""
    if (line ~ /^#define (reel|REEL)_/)
        name = substr(line, 9)
    else if (line ~ /^} reel_[a-z0-9_]+;/)
        name = substr(line, 3)
    else if (line ~ /^typedef .*\(\*reel_[a-z0-9_]+\)/) {
        match(line, /\(\*reel_/)
        name = substr(line, RSTART + 2)
    } else if (line ~ /^(REEL_API|typedef struct|enum|typedef enum) / && match(line, /reel_[a-z0-9_]+[ (;]/)) {
        name = line
        if (line ~ /^REEL_API/) {
            match(name, /reel_[a-z0-9_]+\(/)
            name = substr(name, RSTART)
        } else
            name = substr(name, RSTART)
    } else if (line ~ /^    REEL_[A-Z0-9_]+( |,|$)/)
        name = substr(line, 5)
    if (match(name, /^(reel|REEL)_[A-Za-z0-9_]+/)) {
        name = substr(name, 1, RLENGTH)
        if (!(name in home)) {
            home[name] = FNR
            names[++count] = name
        }
    }
}

# ---- Entries -----------------------------------------------------------------------------------------

function flush_entry(    i, line) {
    if (!lines)
        return
    if (public && !commented) {
        printf "%s:%d: a public declaration without a comment\n", FILENAME, start > "/dev/stderr"
        failed = 1
    }
    printf "<div>%s<pre>%s</pre></div>\n", prose == "" ? "" : "<p>" prose "</p>", code
    lines = public = commented = 0
    prose = code = ""
}

function take_line(line) {
    if (!lines++)
        start = FNR
    if (line ~ /^\/\*/)
        in_comment = 1
    if (line ~ /\/\*/)
        commented = 1
    if (line ~ /^(REEL_API|typedef|enum|REEL_[A-Z]+_\()/ && line !~ /_free\(/)
        public = 1
    if (in_comment) {
        text = line
        sub(/^\/\* ?/, "", text)
        sub(/^ \* ?/, "", text)
        sub(/ *\*\/$/, "", text)
        if (text ~ /^    /)
            prose = prose "<code>" linked(text, 0) "</code>\n"
        else
            prose = prose (text == "" ? "</p><p>" : linked(text, 0)) "\n"
        if (line ~ /\*\//)
            in_comment = 0
    } else {
        gsub(/ *\\$/, "", line)
        code = code linked(line, 1) "\n"
    }
}

# ---- The page -----------------------------------------------------------------------------------------

function start_page(name) {
    name = FILENAME
    sub(/.*\//, "", name)
    print "<!DOCTYPE html><html lang=\"en\"><meta charset=\"utf-8\"><title>" name "</title><style>"
    print "body{font:16px/1.5 sans-serif;max-width:60em;margin:2em auto;padding:0 1em}pre,code{font:13px/1.4 monospace}"
    print "pre{background:#f4f4f0;padding:.7em;overflow-x:auto}code{display:block;white-space:pre}div{margin:1.5em 0}"
    print "a{color:#0645ad;text-decoration:none}p{margin:.3em 0}</style><h1>" name "</h1><ul>"
    for (i = 1; i <= sections; i++)
        print "<li><a href=\"#section" i "\">" title[i] "</a></li>"
    print "</ul>"
}

function print_index(    i, j, name) {
    for (i = 2; i <= count; i++) {
        name = names[i]
        for (j = i - 1; j > 0 && names[j] > name; j--)
            names[j + 1] = names[j]
        names[j + 1] = name
    }
    print "<h2>Index</h2><p>"
    for (i = 1; i <= count; i++)
        print "<a href=\"#" names[i] "\">" names[i] "</a>"
    print "</p></html>"
}

FNR == 1 { pass++ }

/^\/\* ---- / {
    name = $0
    sub(/^\/\* -+ /, "", name)
    sub(/ -+ \*\/$/, "", name)
    if (pass == 1)
        title[++sections] = name
}

pass == 1 { declare($0); next }

FNR == 1 { start_page() }

/^\/\* ---- / {
    flush_entry()
    printf "<h2 id=\"section%d\">%s</h2>\n", ++section, name
    next
}

# Inside a comment or a struct a blank line separates nothing.
/^$/ && !in_comment && !in_braces { flush_entry(); next }

{
    if ($0 ~ /^[a-z].*\{$/)
        in_braces = 1
    if ($0 ~ /^}/)
        in_braces = 0
    take_line($0)
}

END {
    flush_entry()
    for (i = 1; i <= count; i++)
        if (!(names[i] in placed)) {
            printf "%s: %s has no anchor\n", FILENAME, names[i] > "/dev/stderr"
            failed = 1
        }
    print_index()
    exit failed
}
