"""Each public header alone compiles, twice in a row, as C11 and as C++17, without a warning.

The example in its file comment calls the library as it is: number and types of arguments, names of
functions and members. What the example leaves open ("..." and its own names) stays open.

An initialiser that names members warns in C++: its struct has an _init() function, too.
"""
import os
import re
import shutil
import subprocess
import tempfile
import lint

WARNINGS = ["-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only"]


def compilers():
    found = [(name, ["-x", "c", "-std=c11"]) for name in ("gcc", "clang") if shutil.which(name)]
    if not found and shutil.which("cc"):
        found = [("cc", ["-x", "c", "-std=c11"])]
    plus = [(name, ["-x", "c++", "-std=c++17"]) for name in ("g++", "clang++") if shutil.which(name)]
    # clang++ comes with clang, but without libstdc++'s headers it compiles no C++ at all.
    plus = [one for one in plus if compiles(one, "#include <cstddef>\n", [])[0]]
    if not found or not plus:
        raise lint.Skip("no compiler for C and C++ found: install gcc and g++")
    return found + plus


def compiles(compiler, text, folders):
    with tempfile.TemporaryDirectory() as work:
        source = os.path.join(work, "header.c")
        with open(source, "w", encoding="utf-8") as file:
            file.write(text)
        command = [compiler[0]] + compiler[1] + WARNINGS + ["-I" + folder for folder in folders] + [source]
        run = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        return run.returncode == 0, run.stderr.strip()


# What is wrong with a call, and not just with a name that the example does not declare.
MISUSE = re.compile(
    r"(?:error|warning): (passing argument .*|too (?:few|many) arguments.*|implicit declaration of function .tarn_.*"
    r"|.* has no member named .*)")


def example_of(text):
    """The indented lines of the first comment."""
    match = re.search(r"^/\*\*.*?\*/", text, re.DOTALL | re.MULTILINE)
    rows = [row[2:] for row in match.group(0).split("\n")] if match else []
    return "\n".join(row for row in rows if row.startswith("     ")).replace("...", "")


def example_problems(tree, folder):
    if not shutil.which("gcc"):
        return
    umbrella = '#include "tarn.h"\n' if "include/tarn.h" in tree.paths else ""
    for path in tree.public_headers():
        source = '#include <stdio.h>\n%s#include "%s"\nvoid f(void)\n{\n%s\n}\n' % (
            umbrella, path[len("include/"):], example_of(tree.text(path)))
        command = ["gcc", "-x", "c", "-std=c11", "-Wall", "-fsyntax-only", "-fmax-errors=0", "-I" + folder, "-"]
        run = subprocess.run(command, input=source, capture_output=True, text=True, check=False)
        for problem in MISUSE.findall(run.stderr):
            yield "%s:1: its example is wrong: %s" % (path, problem)


INITIALISER = re.compile(r"^#define (TARN_(\w+)_INIT)\b((?:.*\\\n)*.*)", re.MULTILINE)


def initialiser_problems(tree):
    headers = {path: lint.without_comments(tree.text(path)) for path in tree.public_headers()}
    for path, text in headers.items():
        for match in INITIALISER.finditer(text):
            function = "tarn_%s_init" % match.group(2).lower()
            is_warned_of = re.search(r"\.\w+\s*=", match.group(3))
            if is_warned_of and not any(re.search(r"\bvoid %s\(" % function, other) for other in headers.values()):
                line = text.count("\n", 0, match.start()) + 1
                yield "%s:%d: %s warns in C++, and there is no %s()" % (path, line, match.group(1), function)


def check(tree):
    headers = tree.public_headers()
    if not headers:
        yield "include:1: there is no public header"
    folder = os.path.join(tree.root, "include")
    for compiler in compilers():
        for path in headers:
            name = path[len("include/"):]
            text = '#include "%s"\n#include "%s"\n' % (name, name)
            is_good, output = compiles(compiler, text, [folder])
            if not is_good:
                yield "%s:1: does not compile alone with %s %s\n%s" % (path, compiler[0], compiler[1][-1], output)
    yield from example_problems(tree, folder)
    yield from initialiser_problems(tree)


EXAMPLE = "/**\n * @file a\n *\n *     unsigned u;\n *     tarn_a(%s);\n *     if (mine(name)) { ... }\n */\n"
CALLED = "int tarn_a(const int *a);"
GUARD = "#ifndef A_H\n#define A_H\n%s\n#endif\n"
INITIALISED = GUARD % (
    "#include <stddef.h>\ntypedef struct tarn_a { int b; } tarn_a;\n#define TARN_A_INIT \\\n    { %s }\n%s")
CASES = [
    ("a header that stands alone is accepted", {"include/tarn/a.h": GUARD % "#include <stdint.h>\nuint8_t tarn_a(void);"}, None),
    ("a header that needs another one first is found", {"include/tarn/a.h": GUARD % "uint8_t tarn_a(void);"}, "does not compile alone"),
    ("a word that C++ reserves is found", {"include/tarn/a.h": GUARD % "int tarn_a(int class);"}, "-std=c++17"),
    ("what only C++ understands is found", {"include/tarn/a.h": GUARD % "int tarn_a(int &a);"}, "-std=c11"),
    ("a missing guard is found", {"include/tarn/a.h": "typedef struct a { int b; } a;\n"}, "does not compile alone"),
    ("an example that calls the library well is accepted",
     {"include/tarn/a.h": EXAMPLE % "b" + GUARD % CALLED}, None),
    ("an example with an argument of another type is found",
     {"include/tarn/a.h": EXAMPLE % "&u" + GUARD % "int tarn_a(const char *a);"}, "its example is wrong: passing argument 1"),
    ("an example with too few arguments is found",
     {"include/tarn/a.h": EXAMPLE % "" + GUARD % CALLED}, "its example is wrong: too few arguments"),
    ("an example that calls what is not there is found",
     {"include/tarn/a.h": EXAMPLE % "b" + GUARD % "int tarn_b(int a);"}, "its example is wrong: implicit declaration"),
    ("an initialiser by order needs no function", {"include/tarn/a.h": INITIALISED % ("2", "")}, None),
    ("an initialiser by name with its function is accepted",
     {"include/tarn/a.h": INITIALISED % (".b = 2", "void tarn_a_init(tarn_a *a, size_t struct_size);")}, None),
    ("an initialiser by name without a function is found",
     {"include/tarn/a.h": INITIALISED % (".b = 2", "")}, "TARN_A_INIT warns in C++, and there is no tarn_a_init()"),
    ("a warning is an error", {"include/tarn/a.h": GUARD % "static int tarn_a(int a) { int b; return a; }"}, "does not compile alone"),
]

if __name__ == "__main__":
    lint.main(check, CASES)
