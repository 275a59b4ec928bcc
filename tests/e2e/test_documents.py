"""What the documents name is there: tests, and files of the project."""
import os
import pathlib
import re
import subprocess
import tempfile
import unittest

PROJECT = pathlib.Path(__file__).resolve().parent.parent.parent
DOCUMENTS = [PROJECT / name for name in ("README.md", "ARCHITECTURE.md", "SECURITY.md", "tests/README.md", "tests/fuzz/README.md",
                                      "deploy/GUIDE.md", "docs/protocol.md", "docs/ssh.md")]
DIRECTORIES = "common|deploy|docs|hub|proto|spoke-agent|tests"


def quoted(document, pattern):
    return set(re.findall("`(" + pattern + ")`", document.read_text()))


class Documents(unittest.TestCase):
    def test_each_test_that_is_named(self):
        # From a directory of its own: where it runs, ctest begins its log anew.
        with tempfile.TemporaryDirectory() as place:
            (pathlib.Path(place) / "CTestTestfile.cmake").write_text(f'subdirs("{pathlib.Path(os.environ["PIBRAIN_BIN"]).parent}")\n')
            listing = subprocess.run(["ctest", "-N"], cwd=place, capture_output=True, text=True, check=True).stdout
        tests = re.findall(r"Test +#\d+: (.+)", listing)
        named = {(document.name, name) for document in DOCUMENTS
                 for name in quoted(document, r"(?:unit|e2e)\.[\w.*]+")}
        self.assertGreater(len(named), 15)
        for document, name in sorted(named):
            # Of end-to-end tests the suite is named, each class of which is a test.
            pattern = re.compile(re.escape(name).replace(r"\*", ".*") + r"(\.\w+)?" * name.startswith("e2e."))
            self.assertTrue(any(map(pattern.fullmatch, tests)), f"{document}: {name}")

    def test_each_file_that_is_named(self):
        named = {(document.name, name) for document in DOCUMENTS
                 for name in quoted(document, rf"(?:{DIRECTORIES})/[\w./-]+")}
        self.assertGreater(len(named), 15)
        for document, name in sorted(named):
            # A module is named without .h and .cc.
            found = list(PROJECT.glob(name.rstrip("/"))) + list(PROJECT.glob(name + ".*"))
            self.assertTrue(found, f"{document}: {name}")


if __name__ == "__main__":
    unittest.main()
