"""The sources are as clang-format leaves them. Versions differ in detail: 14 (Debian 12) decides."""
import os
import re
import shutil
import subprocess
import lint

VERSION = 14
STYLE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", ".clang-format")


def program():
    for name in ("clang-format-%d" % VERSION, "clang-format"):
        if not shutil.which(name):
            continue
        text = subprocess.run([name, "--version"], capture_output=True, text=True, check=False).stdout
        version = re.search(r"version (\d+)\.", text)
        if version and int(version.group(1)) == VERSION:
            return name
    raise lint.Skip("clang-format %d decides the format and is not installed" % VERSION)


def check(tree):
    name = program()
    style = "--style=file:" + STYLE
    paths = {os.path.join(tree.root, path): path for path in tree.below("include", "src", "tests", "examples")}
    if not paths:
        return
    command = [name, style, "--dry-run", "--Werror"] + list(paths)
    run = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    found = {}
    for match in re.finditer(r"^(.*?):(\d+):\d+: error", run.stderr, re.MULTILINE):
        found.setdefault(paths.get(match.group(1), match.group(1)), match.group(2))
    for path, line in found.items():
        yield "%s:%s: is not formatted: run %s -i %s" % (path, line, name, path)
    if run.returncode != 0 and not found:
        yield "%s:1: %s failed: %s" % (min(paths.values()), name, run.stderr.strip())


CASES = [
    ("a formatted file is accepted", {"src/base/a.c": "int f(void)\n{\n    return 1;\n}\n"}, None),
    ("a brace at the wrong place is found", {"src/base/a.c": "int f(void) {\n    return 1;\n}\n"}, "src/base/a.c:1: is not formatted"),
    ("a tab is found", {"tests/a.c": "int f(void)\n{\n\treturn 1;\n}\n"}, "tests/a.c:2: is not formatted"),
]

if __name__ == "__main__":
    lint.main(check, CASES)
