"""The tests and files that the documents name exist."""
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


if __name__ == "__main__":
    unittest.main()
