"""Holds all that the program says to a person, word by word, in one place: tests/unit/texts.txt.

It has the string literals of each statement of the sources, with … for what is put in when it is said and / between
the parts of a failure, and the texts of the scripts (docs/errors.md has those of the ids). A test that wants to know
which failure came asserts its id.

usage: texts.py [--update] [PROJECT]
"""
import difflib
import pathlib
import re
import sys

HERE = pathlib.Path(__file__).resolve().parents[2]
GOLDEN = "tests/unit/texts.txt"
TOKEN = re.compile(r"""
    (?P<comment>//[^\n]*|/\*.*?\*/|^[ ]*\#[^\n]*(?:\\\n[^\n]*)*)
  | (?P<raw>R"\((?P<rawtext>.*?)\)")
  | "(?P<text>(?:\\.|[^"\\\n])*)"
  | '(?:\\.|[^'\\\n])'
  | (?P<word>[\w.]+(?:::\w+)*)
  | (?P<sign>[^\s\w])
  | \s+""", re.X | re.S | re.M)
# Their arguments are one text.
JOINED = {"absl::StrCat", "absl::StrAppend", "absl::StrJoin", "kj::str", "StrCat", "std::string", "inQuotes", "escapeForTerminal"}
ESCAPES = {"n": "\\n", "t": "\\t", '"': '"', "\\": "\\\\", "r": "\\r"}
IS_SAID = re.compile(r"[a-z'’]{2,}[,:;]? [a-z'…-]+[ .,:?]|[a-z]{3,} [a-z]{2,}$")
IS_NOT_SAID = re.compile(r"^\s*(SELECT|INSERT|UPDATE|DELETE|CREATE|PRAGMA|ALTER|BEGIN|DROP)\b")


def of_source(source):
    """The text of each statement that has one."""
    text, calls, last = "", [], ""

    def add(piece):
        nonlocal text
        if piece != "…" or not text.endswith("…"):
            text += piece

    for token in TOKEN.finditer(source):
        kind = token.lastgroup
        if kind == "comment" or kind is None:
            continue
        sign = token["sign"]
        if token["text"] is not None:
            add(re.sub(r"\\(.)", lambda m: ESCAPES.get(m[1], m[0]), token["text"]))
        elif token["rawtext"] is not None:
            add(token["rawtext"].replace("\n", "\\n"))
        elif kind == "word":
            add("…")
        elif sign in ("(", "{", "["):
            calls.append(last if sign == "(" else sign)
        elif sign in (")", "}", "]"):
            if calls:
                calls.pop()
        elif sign == "," and not (calls and calls[-1] in JOINED):
            text += " / "
        elif sign in "?:" and calls:
            add({"?": "‹", ":": "›"}[sign])
        if sign == ";" or (sign in ("{", "}") and not any(call not in "{[" for call in calls)):
            yield text
            text = ""
        last = token["word"] or ""
    yield text


def tidy(text):
    text = re.sub(r"…?(‹)…?|…?(›)…?", lambda m: m[1] or m[2], text)
    parts = [part.strip() for part in text.split(" / ")]
    parts = [part for part in parts if re.search(r"[a-zA-Z]", part)]
    return " / ".join(parts)


def of_script(source):
    for line in source.splitlines():
        if line.lstrip().startswith("#"):
            continue
        # Commands within a text, from the innermost.
        while (plain := re.sub(r"\$\([^()]*\)", "…", line)) != line:
            line = plain
        said = re.findall(r'"((?:\\.|[^"\\])*)"', line)
        yield " / ".join(re.sub(r"\$\{?\w+[^}\s\"']*\}?", "…", one) for one in said)


def of_playbook(source):
    """Names of plays and tasks, and messages."""
    for first, folded in re.findall(r"^ *(?:- )?(?:name|msg|fail_msg|description): *(.*)((?:\n {6,}\S.*)*)", source, re.MULTILINE):
        yield " ".join((folded if first.startswith(">") else first).split())


def texts(project):
    lines = []
    sources = [path for top in ("common", "hub", "spoke-agent") for path in sorted((project / top).rglob("*"))
               if path.suffix in (".cc", ".h")]
    scripts = sorted((project / "deploy").glob("*.sh"))
    playbooks = sorted((project / "deploy/ansible").rglob("*.yml"))
    for path in sources + scripts + playbooks:
        found = (of_playbook if path in playbooks else of_script if path in scripts else of_source)(path.read_text())
        said = [text for text in map(tidy, found) if IS_SAID.search(text) and not IS_NOT_SAID.match(text)]
        if said:
            lines += [f"== {path.relative_to(project)}", *said, ""]
    return lines


def main(arguments):
    update = "--update" in arguments
    project = pathlib.Path(next((a for a in arguments if not a.startswith("-")), HERE))
    now = texts(project)
    golden = HERE / GOLDEN
    if update:
        golden.write_text("\n".join(now))
        return 0
    before = golden.read_text().split("\n")
    for line in difflib.unified_diff(before, now, GOLDEN, "the sources", lineterm="", n=0):
        print(line)
    if before == now:
        print(f"{len(now)} lines, as in {GOLDEN}")
        return 0
    print(f"\nRead these as docs/style.md has it; then: 'python3 tests/unit/texts.py --update'")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
