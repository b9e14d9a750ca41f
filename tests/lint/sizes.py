"""A source file has at most 600 lines, unless sizes.txt gives a reason; a public header at most 300.

sizes.txt has one line per exception: path, lines allowed, reason. An exception that is no longer
needed is a problem too.
"""
import os
import lint

SOURCE_LINES_MAX = 600
HEADER_LINES_MAX = 300
LIST = "tests/lint/sizes.txt"


def exceptions(tree):
    """path -> (lines allowed, reason, line in the list)"""
    listed = {}
    if LIST in tree.paths:
        for number, line in enumerate(tree.text(LIST).split("\n"), 1):
            if line.strip() and not line.startswith("#"):
                words = line.split(None, 2)
                listed[words[0]] = (int(words[1]), words[2] if len(words) > 2 else "", number)
    return listed


def check(tree):
    listed = exceptions(tree)
    for path, (allowed, reason, number) in listed.items():
        if path not in tree.paths:
            yield "%s:%d: lists %s, which does not exist" % (LIST, number, path)
        elif not path.startswith("src/"):
            yield "%s:%d: only files of src/ can be excepted" % (LIST, number)
        elif len(tree.text(path).splitlines()) <= SOURCE_LINES_MAX:
            yield "%s:%d: %s no longer needs an exception" % (LIST, number, path)
        if len(reason) < 10:
            yield "%s:%d: %s is excepted without a reason" % (LIST, number, path)
        del allowed
    for path in tree.below("src") + tree.public_headers():
        count = len(tree.text(path).splitlines())
        is_public = path.startswith("include/")
        allowed = HEADER_LINES_MAX if is_public else SOURCE_LINES_MAX
        if not is_public and path in listed:
            allowed = max(allowed, listed[path][0])
        if count > allowed:
            yield "%s:%d: has %d lines, %d are allowed" % (path, allowed + 1, count, allowed)


def lines(count):
    return "int a;\n" * count


CASES = [
    ("files at the limit are accepted", {"src/a/a.c": lines(600), "include/tarn/a.h": lines(300)}, None),
    ("an exception with a reason is accepted",
     {"src/a/a.c": lines(700), LIST: "# path lines reason\nsrc/a/a.c 700 one table that is read as a whole\n"}, None),
    ("a long source file is found", {"src/a/a.c": lines(601)}, "src/a/a.c:601: has 601 lines"),
    ("a long public header is found", {"include/tarn/a.h": lines(301)}, "has 301 lines, 300"),
    ("growth beyond the exception is found",
     {"src/a/a.c": lines(701), LIST: "src/a/a.c 700 one table that is read as a whole\n"}, "has 701 lines, 700"),
    ("an exception without a reason is found", {"src/a/a.c": lines(700), LIST: "src/a/a.c 700\n"}, "without a reason"),
    ("an exception that is not needed is found", {"src/a/a.c": lines(10), LIST: "src/a/a.c 700 a long reason\n"}, "no longer needs"),
    ("an exception for a public header does not help",
     {"include/tarn/a.h": lines(301), LIST: "include/tarn/a.h 400 a long reason\n"}, "only files of src/"),
]

if __name__ == "__main__":
    lint.main(check, CASES)
