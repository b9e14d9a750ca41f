"""Every public function has a Doxygen comment, and a test uses it."""
import re
import lint


def has_comment(text, line):
    """Tells whether the declaration that begins on line follows a Doxygen comment directly, or is
    one of several public declarations in a row that share one."""
    before = "".join(text.splitlines(keepends=True)[: line - 1])
    end = before.rfind("*/")
    start = before.rfind("/*")
    between = before[end + 2:]
    if end < start or not re.match(r"/\*\*[^<*/]", before[start:]) or "@file" in before[start:end]:
        return False
    statements = [part.strip() for part in between.split(";")]
    return "\n\n" not in between and not statements[-1] and all(
        part.startswith("TARN_API") for part in statements[:-1])


def check(tree):
    # A program that only writes pages or looks at text tests nothing.
    users = [path for path in tree.below("tests") if not path.startswith("tests/lint/")]
    used = set()
    for path in users:
        used.update(re.findall(r"\btarn_\w+", lint.without_comments(tree.text(path))))
    for path, line, name in lint.public_declarations(tree):
        if not has_comment(tree.text(path), line):
            yield "%s:%d: %s has no Doxygen comment directly before it" % (path, line, name)
        if name not in used:
            yield "%s:%d: %s is used by no test" % (path, line, name)


def header(comment):
    return "/** @file tarn/a.h */\n#include <stdint.h>\n\n%sTARN_API TARN_NODISCARD int\ntarn_a(int a);\n" % comment


USE = {"tests/unit/a.c": "int f(void) { return tarn_a(1); }\n"}
CASES = [
    ("a function with comment and test is accepted", {"include/tarn/a.h": header("/** Does. */\n"), **USE}, None),
    ("functions in a row may share a comment",
     {"include/tarn/a.h": header("/** Both. */\nTARN_API tarn_b *\ntarn_c(void);\n"), "tests/a.c": "int a = tarn_a(tarn_c());\n"}, None),
    ("a member's comment is not the function's",
     {"include/tarn/a.h": header("typedef struct a {\n    int b; /**< B. */\n} a;\n"), **USE}, "no Doxygen comment"),
    ("a missing comment is found", {"include/tarn/a.h": header(""), **USE}, "no Doxygen comment"),
    ("a plain comment is not enough", {"include/tarn/a.h": header("/* Does. */\n"), **USE}, "no Doxygen comment"),
    ("a comment with a gap is not enough", {"include/tarn/a.h": header("/** Does. */\n\n"), **USE}, "no Doxygen comment"),
    ("the file's comment is not the function's", {"include/tarn/a.h": "/** @file a */\nTARN_API int tarn_a(int a);\n", **USE}, "no Doxygen"),
    ("a function that nobody uses is found", {"include/tarn/a.h": header("/** Does. */\n")}, "is used by no test"),
    ("a use in a comment does not count", {"include/tarn/a.h": header("/** Does. */\n"), "tests/a.c": "/* tarn_a() */\n"}, "is used by no test"),
    ("a use in the library does not count", {"include/tarn/a.h": header("/** Does. */\n"), "src/base/a.c": "int b = tarn_a(1);\n"}, "is used by no"),
    ("nor does one by the command", {"include/tarn/a.h": header("/** Does. */\n"), "src/cli/a.c": "int b = tarn_a(1);\n"}, "is used by no"),
    ("nor one by a lint", {"include/tarn/a.h": header("/** Does. */\n"), "tests/lint/a.c": "int b = tarn_a(1);\n"}, "is used by no"),
    ("nor one by an example", {"include/tarn/a.h": header("/** Does. */\n"), "examples/a.c": "int b = tarn_a(1);\n"}, "is used by no"),
]

if __name__ == "__main__":
    lint.main(check, CASES)
