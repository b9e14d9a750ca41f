"""Every public function has a Doxygen comment, and is used by a test, an example or the command."""
import re
import lint


def has_comment(text, line):
    """Tells whether the declaration that begins on line follows a Doxygen comment directly."""
    before = "\n".join(text.split("\n")[: line - 1]).rstrip(" \t")
    before = before[:-1] if before.endswith("\n") else before
    if not before.endswith("*/") or before.count("\n") + 2 < line:
        return False
    start = before.rfind("/*")
    return before.startswith("/**", start) and "@file" not in before[start:]


def check(tree):
    users = tree.below("tests", "examples", "src/cli")
    used = set()
    for path in users:
        used.update(re.findall(r"\btarn_\w+", lint.without_comments(tree.text(path))))
    for path, line, name in lint.public_declarations(tree):
        if not has_comment(tree.text(path), line):
            yield "%s:%d: %s has no Doxygen comment directly before it" % (path, line, name)
        if name not in used:
            yield "%s:%d: %s is used by no test, no example and not by the command" % (path, line, name)


def header(comment):
    return "/** @file tarn/a.h */\n#include <stdint.h>\n\n%sTARN_API TARN_NODISCARD int\ntarn_a(int a);\n" % comment


USE = {"tests/unit/a.c": "int f(void) { return tarn_a(1); }\n"}
CASES = [
    ("a function with comment and test is accepted", {"include/tarn/a.h": header("/** Does. */\n"), **USE}, None),
    ("a use by the command counts", {"include/tarn/a.h": header("/** Does. */\n"), "src/cli/a.c": "int a = tarn_a(1);\n"}, None),
    ("a missing comment is found", {"include/tarn/a.h": header(""), **USE}, "no Doxygen comment"),
    ("a plain comment is not enough", {"include/tarn/a.h": header("/* Does. */\n"), **USE}, "no Doxygen comment"),
    ("a comment with a gap is not enough", {"include/tarn/a.h": header("/** Does. */\n\n"), **USE}, "no Doxygen comment"),
    ("the file's comment is not the function's", {"include/tarn/a.h": "/** @file a */\nTARN_API int tarn_a(int a);\n", **USE}, "no Doxygen"),
    ("a function that nobody uses is found", {"include/tarn/a.h": header("/** Does. */\n")}, "is used by no test"),
    ("a use in a comment does not count", {"include/tarn/a.h": header("/** Does. */\n"), "tests/a.c": "/* tarn_a() */\n"}, "is used by no test"),
    ("a use in the library does not count", {"include/tarn/a.h": header("/** Does. */\n"), "src/base/a.c": "int b = tarn_a(1);\n"}, "is used by no"),
]

if __name__ == "__main__":
    lint.main(check, CASES)
