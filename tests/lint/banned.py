"""Calls that the project does without, and where the few exceptions are.

Memory has an owner (src/base/account.h), time is a parameter (src/base/clock.h), strings have
bounds. The command, the test kit and the examples are programs of their own: they may use malloc().
"""
import re
import lint

MEMORY = "malloc calloc realloc free reallocarray aligned_alloc posix_memalign strdup strndup asprintf vasprintf"
UNBOUNDED = "strcpy strcat sprintf vsprintf gets atoi atol atoll atof alloca strtok"
AMBIENT = "time rand srand random usleep"


def calls(names):
    # A member of that name (io->time(...)) is not the call.
    return re.compile(r"(?<![\w.])(?<!->)(%s)\s*\(" % "|".join(names.split()))


# name of the rule, what it finds, where, where not, why
RULES = [
    (calls(MEMORY), r"^(src|include)/", r"^src/(base/account\.c$|cli/|testkit/)", "memory goes through an account (base/account.h)"),
    (calls(UNBOUNDED), r"^(src|include|tests|examples)/", None, "it has no bound or no error"),
    (calls(AMBIENT), r"^(src|include)/", r"^src/base/", "time and chance are given (base/clock.h, base/random.h)"),
    (calls("rand srand usleep"), r"^(tests|examples)/", None, "tests and examples are seeded and do not sleep"),
    (re.compile(r"\b(goto)\b"), r"^(src|include|tests|examples)/", None, "TARN_TRY and TARN_AUTO leave a function"),
]


def check(tree):
    for path in tree.below("src", "include", "tests", "examples"):
        code = lint.without_comments(tree.text(path))
        for pattern, where, where_not, why in RULES:
            if not re.match(where, path) or (where_not and re.match(where_not, path)):
                continue
            for match in pattern.finditer(code):
                yield "%s:%d: %s: %s" % (path, lint.line_of(code, match.start()), match.group(1), why)


CASES = [
    ("what only looks like a call is accepted", {
        "src/state/a.c": "/* malloc(1); goto x; */\nconst char *s = \"free(\";\nint f(io *i) { return i->time(0) + i.free(1); }\n"
                         "void g(void) { rocksdb_free(0); tarn__release(0); wall_time(); }\n"}, None),
    ("the account itself may allocate", {"src/base/account.c": "void *f(void) { return malloc(1); }\n"}, None),
    ("the command may allocate", {"src/cli/a.c": "void f(void) { free(0); }\n"}, None),
    ("base may read the clock", {"src/base/clock.c": "long f(void) { return time(0); }\n"}, None),
] + [
    ("%s is found in src/" % name, {"src/state/a.c": "\nvoid f(void) { %s(a); }\n" % name}, "src/state/a.c:2: %s:" % name)
    for name in (MEMORY + " " + UNBOUNDED + " " + AMBIENT).split()
] + [
    ("malloc is found in base outside of the account", {"src/base/buffer.c": "void *f(void) { return malloc (1); }\n"}, "malloc"),
    ("goto is found in src/", {"src/state/a.c": "void f(void) { goto end; end:; }\n"}, "goto"),
    ("goto is found in tests", {"tests/unit/a.c": "void f(void) { goto end; end:; }\n"}, "goto"),
    ("strcpy is found in the command", {"src/cli/a.c": "void f(void) { strcpy(a, b); }\n"}, "strcpy"),
    ("usleep is found in tests", {"tests/unit/a.c": "void f(void) { usleep(1); }\n"}, "usleep"),
    ("sprintf is found in an example", {"examples/a.c": "void f(void) { sprintf(a, b); }\n"}, "sprintf"),
]

if __name__ == "__main__":
    lint.main(check, CASES)
