"""What every lint shares: reading a source tree, seeing code without its comments, and the proof
that a lint can fail.

A lint is a script with two faces:
    <lint>.py --root DIR      prints each problem as "path:line: sentence"; exit 0 when there is none
    <lint>.py --self-test     runs the lint on small trees that are good and bad in known ways
Exit status: 0 good, 1 problems, 77 cannot be checked on this machine (and says why).
"""
import argparse
import os
import re
import sys
import tempfile

SKIPPED = 77
# Folders that hold no text of the project: results of builds and data that comes from elsewhere.
NOT_OURS = re.compile(r"^(\.git|\.cache|build.*|out|__pycache__|cmake-build.*)$")
DATA = ("tests/vectors", "examples/data")


class Skip(Exception):
    """Raised by a lint that cannot be checked on this machine; the text says why."""


class Tree:
    """The files below a root, by relative path with forward slashes."""

    def __init__(self, root):
        self.root = os.path.abspath(root)
        self.paths = sorted(self._walk())

    def _walk(self):
        for folder, folders, names in os.walk(self.root):
            folders[:] = [name for name in folders if not NOT_OURS.match(name)]
            for name in names:
                if name == ".git":  # a linked work tree keeps a file of that name
                    continue
                yield os.path.relpath(os.path.join(folder, name), self.root).replace(os.sep, "/")

    def below(self, *folders, suffixes=(".c", ".h")):
        """The files in folders whose names end with one of suffixes."""
        return [
            path
            for path in self.paths
            if path.startswith(tuple(folder + "/" for folder in folders)) and path.endswith(suffixes)
        ]

    def public_headers(self):
        return self.below("include", suffixes=(".h",))

    def text(self, path):
        with open(os.path.join(self.root, path), encoding="utf-8") as file:
            return file.read()

    def is_data(self, path):
        # The programs and pages in a data folder are ours, what they read is not.
        return path.startswith(tuple(folder + "/" for folder in DATA)) and not path.endswith(
            (".c", ".h", ".md", ".txt")
        )


def without_comments(text, keep_strings=False):
    """C text of the same length and lines, with comments (and what strings hold) turned to blanks."""
    pattern = re.compile(
        r"/\*.*?\*/|//[^\n]*|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'", re.DOTALL
    )

    def blank(match):
        found = match.group(0)
        if found[0] in "\"'":
            if keep_strings:
                return found
            return found[0] + " " * (len(found) - 2) + found[-1]
        return re.sub(r"[^\n]", " ", found)

    return pattern.sub(blank, text)


def line_of(text, position):
    return text.count("\n", 0, position) + 1


def public_declarations(tree):
    """Yields (path, line, name) of everything that a public header declares with TARN_API."""
    for path in tree.public_headers():
        code = without_comments(tree.text(path))
        # Preprocessor lines, continuations included, declare nothing.
        code = re.sub(
            r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", lambda m: re.sub(r"[^\n]", " ", m.group(0)), code,
            flags=re.MULTILINE,
        )
        for match in re.finditer(r"\bTARN_API\b([^;{]*)", code):
            function = re.search(r"(\w+)\s*\(", re.sub(r"__attribute__\s*\(\(.*?\)\)", "", match.group(1)))
            name = function.group(1) if function else re.findall(r"\w+", match.group(1))[-1]
            yield path, line_of(code, match.start()), name


def write_tree(root, files):
    for path, text in files.items():
        full = os.path.join(root, path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "w", encoding="utf-8") as file:
            file.write(text)


def self_test(check, cases):
    """Runs check on each case (claim, files, expected part of a problem or None for a good tree)."""
    failures = 0
    for claim, files, expected in cases:
        with tempfile.TemporaryDirectory() as root:
            write_tree(root, files)
            problems = list(check(Tree(root)))
        if expected is None:
            is_met = not problems
        else:
            is_met = any(expected in problem for problem in problems)
        print(("ok      " if is_met else "NOT MET ") + claim)
        if not is_met:
            failures += 1
            print("        expected: %s" % (expected or "no problem"))
            for problem in problems:
                print("        found:    " + problem)
    if not any(expected for _, _, expected in cases):
        print("NOT MET the self-test has a tree that the lint must refuse")
        failures += 1
    return 1 if failures else 0


def main(check, cases, parser=None, bind=None):
    """The command line. bind(options, check) may give check what an option says."""
    parser = parser or argparse.ArgumentParser()
    parser.add_argument("--root", default=os.path.join(os.path.dirname(__file__), "..", ".."))
    parser.add_argument("--self-test", action="store_true")
    options = parser.parse_args()
    try:
        if options.self_test:
            sys.exit(self_test(check, cases))
        problems = list((bind(options, check) if bind else check)(Tree(options.root)))
    except Skip as reason:
        print("SKIPPED: %s" % reason)
        sys.exit(SKIPPED)
    for problem in problems:
        print(problem)
    print("%d problems" % len(problems))
    sys.exit(1 if problems else 0)
