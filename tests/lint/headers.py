"""Each public header alone compiles, twice in a row, as C11 and as C++17, without a warning."""
import os
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


GUARD = "#ifndef A_H\n#define A_H\n%s\n#endif\n"
CASES = [
    ("a header that stands alone is accepted", {"include/tarn/a.h": GUARD % "#include <stdint.h>\nuint8_t tarn_a(void);"}, None),
    ("a header that needs another one first is found", {"include/tarn/a.h": GUARD % "uint8_t tarn_a(void);"}, "does not compile alone"),
    ("a word that C++ reserves is found", {"include/tarn/a.h": GUARD % "int tarn_a(int class);"}, "-std=c++17"),
    ("what only C++ understands is found", {"include/tarn/a.h": GUARD % "int tarn_a(int &a);"}, "-std=c11"),
    ("a missing guard is found", {"include/tarn/a.h": "typedef struct a { int b; } a;\n"}, "does not compile alone"),
    ("a warning is an error", {"include/tarn/a.h": GUARD % "static int tarn_a(int a) { int b; return a; }"}, "does not compile alone"),
]

if __name__ == "__main__":
    lint.main(check, CASES)
