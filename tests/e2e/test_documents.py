"""What the documents name exists: tests, files of the project, links. Numbers are those that were measured."""
import json
import os
import pathlib
import re
import subprocess
import tempfile
import unittest

PROJECT = pathlib.Path(__file__).resolve().parent.parent.parent
DOCUMENTS = [PROJECT / name for name in ("README.md", "ARCHITECTURE.md", "SECURITY.md", "tests/README.md", "tests/fuzz/README.md",
                                      "deploy/GUIDE.md", *(f"docs/{page}.md" for page in (
                                          "benchmarks", "config", "errors", "internals", "protocol", "ssh", "style")))]
DIRECTORIES = "common|deploy|docs|hub|proto|spoke-agent|tests"


def quoted(document, pattern):
    return set(re.findall("`(" + pattern + ")`", document.read_text()))


class Documents(unittest.TestCase):
    def test_named_tests_exist(self):
        # In a directory of its own, because ctest overwrites its log where it runs.
        with tempfile.TemporaryDirectory() as place:
            (pathlib.Path(place) / "CTestTestfile.cmake").write_text(f'subdirs("{pathlib.Path(os.environ["PIBRAIN_BIN"]).parent}")\n')
            listing = subprocess.run(["ctest", "-N"], cwd=place, capture_output=True, text=True, check=True).stdout
        tests = re.findall(r"Test +#\d+: (.+)", listing)
        named = {(document.name, name) for document in DOCUMENTS
                 for name in quoted(document, r"(?:unit|e2e)\.[\w.*]+")}
        self.assertGreater(len(named), 15)
        for document, name in sorted(named):
            # For end-to-end tests, the documents name the suite; each of its classes is a test.
            pattern = re.compile(re.escape(name).replace(r"\*", ".*") + r"(\.\w+)?" * name.startswith("e2e."))
            self.assertTrue(any(map(pattern.fullmatch, tests)), f"{document}: {name}")

    def test_named_files_exist(self):
        named = {(document.name, name) for document in DOCUMENTS
                 for name in quoted(document, rf"(?:{DIRECTORIES})/[\w./-]+")}
        self.assertGreater(len(named), 15)
        for document, name in sorted(named):
            # Modules are named without .h and .cc.
            found = list(PROJECT.glob(name.rstrip("/"))) + list(PROJECT.glob(name + ".*"))
            self.assertTrue(found, f"{document}: {name}")

    def test_no_page_is_forgotten(self):
        self.assertEqual({page for page in DOCUMENTS if page.parent.name == "docs"}, set((PROJECT / "docs").glob("*.md")))

    def test_each_link(self):
        links = [(document, *link) for document in DOCUMENTS
                 for link in re.findall(r"\]\(([^)#:]*)(?:#([^)]*))?\)", document.read_text())]
        self.assertGreater(len(links), 30)
        for document, path, heading in links:
            target = document.parent / path if path else document
            self.assertTrue(target.exists(), f"{document.name}: {path}")
            if heading:
                # As GitHub makes them.
                headings = {re.sub(r"[^\w -]", "", line.lower()).replace(" ", "-")
                            for line in re.findall(r"^#+ (.*)$", target.read_text(), re.M)}
                self.assertIn(heading, headings, f"{document.name}: {path}")

    def test_numbers_are_those_that_were_measured(self):
        def size(count):
            return f"{count / 1e6:.1f} MB" if count >= 1e6 else f"{round(count / 1e3)} KB"

        def cells(document):
            return [[cell.strip() for cell in line.split("|")[1:-1]] for line in document.read_text().split("\n") if line.startswith("| ")]

        measured = {name: (f"{row['rsync']['wall']:.2f} s", f"{row['ours']['wall']:.2f} s",
                           *(size(row[who]["up"] + row[who]["down"]) for who in ("rsync", "ours")))
                    for name, row in json.loads((PROJECT / "tests/bench/results.json").read_text())["rows"].items()}
        documented = {row[0].strip("`"): tuple(row[2:]) for row in cells(PROJECT / "docs/benchmarks.md") if len(row) == 6 and row[0] != "row"}
        self.assertEqual(documented, measured)
        in_readme = [row[1:] for row in cells(PROJECT / "README.md") if len(row) == 4 and row[1].endswith(" s")]
        self.assertEqual(len(in_readme), 3)
        for row in in_readme:
            self.assertIn(row, [[ours, sent, f"{theirs}, {their_sent}"] for theirs, ours, their_sent, sent in measured.values()])

    def test_the_readme_fits_a_page(self):
        words = re.sub(r"```\n.*?```", "", (PROJECT / "README.md").read_text(), flags=re.S).split()
        self.assertLessEqual(len(words), 620)
        self.assertLessEqual(len((PROJECT / "ARCHITECTURE.md").read_text().split()), 1500)


if __name__ == "__main__":
    unittest.main()
