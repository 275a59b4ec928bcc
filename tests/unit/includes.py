"""Holds each #include of the product against the folders that the CMakeLists.txt files declare: a folder includes from
itself, from those it says that it USES, and from nowhere else of ours. CMake sees to it that these stand below it.
It also holds that no two types of a program have one name, and no two functions or constants that files of one folder
keep to themselves: a folder can be built as one file (PIBRAIN_QUICK_BUILD)."""
import collections
import os
import pathlib
import re
import sys

PROJECT = pathlib.Path(__file__).resolve().parents[2]
TOPS = ("common", "spoke-agent", "hub")
# The folders that may include the headers of a library, which no other folder may.
LIBRARIES = {
    r"libssh2(_.*)?\.h": ("hub/ssh", "hub/ssh/libssh2", "hub/connect"),
    r"librsync\.h": ("common/delta", "spoke-agent/answers"),
    r"yaml-cpp/.*": ("hub/config", "hub/setup"),
    r"sqlite3\.h": ("hub/history",),
    r"CLI/.*": ("hub", "hub/cli"),
    r"openssl/.*": ("hub/ssh", "hub/setup"),
    r"zstd\.h": ("common/wire",),
    r"seccomp\.h": ("spoke-agent/confine",),
}
# Folders whose headers need no KJ, so that files that include them need none either.
WITHOUT_KJ = ("hub/config", "hub/pass", "common/text")


def declared():
    """Maps each folder to those that it may use."""
    folders = {}
    for top in TOPS:
        text = (PROJECT / top / "CMakeLists.txt").read_text()
        for directory, body in re.findall(r"^pibrain_folder\(([^\s)]+)(.*?)\)", text, re.M | re.S):
            words = body.split()
            uses = []
            if "USES" in words:
                for word in words[words.index("USES") + 1:]:
                    if word in ("LIBRARIES", "SOURCES"):
                        break
                    uses.append(word)
            folders[f"{top}/{directory}"] = set(uses)
    return folders


def documented(folders):
    """Returns where ARCHITECTURE.md's table differs, which leaves out base and the folders of common."""
    rows = dict(re.findall(r"^\| `([a-z-]+/[a-z0-9/]+)` \|.*\| ([^|]*) \|$", (PROJECT / "ARCHITECTURE.md").read_text(), re.M))
    rows.update((folder, "") for folder in re.findall(r"^\| `([a-z-]+/[a-z0-9/]+)` \|[^|]*\| \|$",
                                                      (PROJECT / "ARCHITECTURE.md").read_text(), re.M))
    for folder, uses in sorted(folders.items()):
        top = folder.split("/")[0]
        ours = {use[len(top) + 1:] for use in uses if use.startswith(f"{top}/")} - {"base"}
        if folder not in rows:
            yield f"ARCHITECTURE.md: its table has no row for {folder}"
        elif set(filter(None, rows[folder].split(", "))) != ours:
            yield f"ARCHITECTURE.md: {folder} may use {', '.join(sorted(ours)) or 'nothing'}, and the table says {rows[folder]!r}"
    for folder in sorted(set(rows) - set(folders)):
        yield f"ARCHITECTURE.md: there is no folder {folder}"


def defined_twice():
    """Returns the types of a program that have one name: the linker would take the functions of one for both."""
    for top in ("spoke-agent", "hub"):
        places = collections.defaultdict(list)
        for path in sorted(path for part in ("common", top) for path in (PROJECT / part).rglob("*") if path.suffix in (".h", ".cc")):
            text = re.sub(r"^namespace \{\n.*?^\}  // namespace$", "", path.read_text(), flags=re.M | re.S)
            for name in re.findall(r"^(?:class|struct|union|enum(?: class)?) (\w+)(?!\w|::)[^;{]*\{", text, re.M):
                places[name].append(str(path.relative_to(PROJECT)))
        for name, paths in sorted(places.items()):
            if len(paths) > 1:
                yield f"{name} is defined in {' and '.join(paths)}"


UNNAMED = re.compile(r"^namespace \{\n(.*?)^\}  // namespace$", re.M | re.S)
# A function with its parameters, or a constant.
OWN = re.compile(r"^(?!using|struct|class|enum|namespace|template|return)[a-zA-Z_][\w:<>,&* ]*?[ &*](\w+(?:\([^;{}]*\)(?= \{)|(?=(?:\[\w*\])? = |\[\w*\] = |\{)))", re.M)


def own_twice():
    """Returns what two files of a folder have in their unnamed namespaces with one name, and as functions with the same
    parameters."""
    for top in TOPS:
        for folder in sorted({path.parent for path in (PROJECT / top).rglob("*.cc")}):
            places = collections.defaultdict(list)
            for path in sorted(folder.glob("*.cc")):
                for unnamed in UNNAMED.findall(path.read_text()):
                    for name in set(OWN.findall(unnamed)):
                        places[re.sub(r"\s+", " ", name)].append(str(path.relative_to(PROJECT)))
            for name, paths in sorted(places.items()):
                if len(paths) > 1:
                    yield f"{name} is defined in {' and in '.join(paths)}"


def way_to_kj(name, known):
    """Returns the headers through which this one includes KJ or Cap'n Proto, by the first way found; empty: it does not."""
    if name not in known:
        known[name] = []
        for ours, other in re.findall(r'^#include (?:"([^"]+)"|<([^>]+)>)', (PROJECT / name).read_text(), re.M):
            if other.startswith(("kj/", "capnp/")) or ours.startswith("proto/"):
                known[name] = [ours or other]
            elif ours and (PROJECT / ours).exists() and way_to_kj(ours, known):
                known[name] = [ours, *known[ours]]
    return known[name]


def shown_by(name, known):
    """Returns the libraries of LIBRARIES whose headers this one includes, itself or by others of ours."""
    if name not in known:
        known[name] = set()
        for ours, other in re.findall(r'^#include (?:"([^"]+)"|<([^>]+)>)', (PROJECT / name).read_text(), re.M):
            known[name] |= {library for library in LIBRARIES if other and re.fullmatch(library, other)}
            if ours and (PROJECT / ours).exists():
                known[name] |= shown_by(ours, known)
    return known[name]


def main():
    folders = declared()
    misdocumented = [*documented(folders), *defined_twice(), *own_twice()]
    # The thin mains may use every folder of their side.
    for top in ("spoke-agent", "hub"):
        folders[top] = {folder for folder in folders if folder.startswith((f"{top}/", "common/"))}
    shown = {}
    wrong, used = misdocumented, {folder: set() for folder in folders}
    for top in TOPS:
        for path in sorted((PROJECT / top).rglob("*")):
            if path.suffix not in (".cc", ".h"):
                continue
            name = path.relative_to(PROJECT)
            folder = str(name.parent)
            if folder not in folders:
                wrong.append(f"{name}: {folder} is in no CMakeLists.txt")
                continue
            for number, line in enumerate(path.read_text().split("\n"), 1):
                found = re.match(r'#include (?:"([^"]+)"|<([^>]+)>)', line)
                if not found:
                    continue
                ours, other = found.groups()
                if ours and not ours.startswith("proto/"):
                    target = os.path.dirname(ours)
                    if target != folder:
                        used[folder].add(target)
                        if target not in folders[folder]:
                            wrong.append(f"{name}:{number}: {folder} does not say that it uses {target}")
                for library in shown_by(ours, shown) if ours and (PROJECT / ours).exists() else ():
                    if folder not in LIBRARIES[library]:
                        wrong.append(f"{name}:{number}: {ours} shows {library}, which is not for {folder}")
                for library, allowed in LIBRARIES.items():
                    if other and re.fullmatch(library, other) and folder not in allowed:
                        wrong.append(f"{name}:{number}: {folder} includes {other}, which is for {', '.join(allowed)}")
    for folder in WITHOUT_KJ:
        for path in sorted((PROJECT / folder).glob("*.h")):
            name = str(path.relative_to(PROJECT))
            way = way_to_kj(name, {})
            if way:
                wrong.append(f"{name}: the headers of {folder} do without KJ, and this one includes it: {' > '.join(way)}")
    for folder, uses in folders.items():
        for idle in sorted(uses - used[folder]) if folder not in ("spoke-agent", "hub") else ():
            wrong.append(f"{folder.split('/')[0]}/CMakeLists.txt: {folder} says that it uses {idle}, and does not")
    print("\n".join(wrong) or f"{len(folders)} folders, no include that their CMakeLists.txt do not declare")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
