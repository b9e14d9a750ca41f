"""Which folder may include which (docs/ARCHITECTURE.md, code map), and what pure modules do without."""
import re
import lint

# Below everything: may be included by all that follow.
ACROSS = {"base", "config", "memory", "metrics", "codec"}
MAY_INCLUDE = {
    "base": set(),
    "codec": {"base"},
    "metrics": {"base"},
    "config": {"base", "codec"},
    "memory": {"base", "config", "metrics"},
    "rocks": ACROSS,
    "env": ACROSS | {"rocks", "storage"},
    "cache": ACROSS | {"rocks"},
    "storage": ACROSS,
    "snapshot": ACROSS | {"rocks", "storage", "env"},
    "state": ACROSS | {"rocks", "cache", "snapshot", "env"},
    "checkpoint": ACROSS | {"snapshot", "storage", "env"},
    "cli": set(),
    "testkit": set(),
}
PUBLIC_MAY_INCLUDE = {"stdbool.h", "stddef.h", "stdint.h"}
IS_PUBLIC = re.compile(r"^(tarn\.h|tarn/[\w/]+\.h)$")

# Pure: the same answer for the same arguments. No clock, thread, file, network or RocksDB.
PURE = re.compile(
    r"^src/(checkpoint/(coordinator|aligner)[\w.]*|memory/plan[\w.]*|codec/.*|snapshot/metadata[\w.]*"
    r"|storage/s3/sign[\w.]*)$"
)
IMPURE_HEADERS = re.compile(
    r"^(time|sys/time|sys/times|pthread|threads|semaphore|signal|fcntl|unistd|dirent|ftw|poll|dlfcn"
    r"|sys/(stat|mman|file|uio|socket|wait|statvfs|random|syscall)|netdb|netinet/.*|arpa/.*|curl/.*"
    r"|rocksdb/.*)(\.h)?$"
)
IMPURE_BASE = re.compile(r"^base/(clock|workers|thread|random|file|directory|log)\w*\.h$")
IMPURE_CALLS = re.compile(
    r"\b(fopen|freopen|fdopen|tmpfile|fread|fwrite|fgets|fputs|puts|fprintf|printf|perror|getenv"
    r"|remove|rename)\s*\("
)


def includes_of(text):
    code = lint.without_comments(text, keep_strings=True)
    for match in re.finditer(r"^[ \t]*#[ \t]*include[ \t]*([<\"])([^>\"]+)[>\"]", code, re.MULTILINE):
        yield lint.line_of(code, match.start()), match.group(1) == '"', match.group(2)


def source_problem(tree, path, is_ours, name):
    """Why a file of src/ may not include name, or None."""
    folder = path.split("/")[1]
    if name.startswith("rocksdb/"):
        return None if folder == "rocks" else "only src/rocks includes RocksDB's headers"
    if IS_PUBLIC.match(name) or not is_ours:
        return None
    target = name.split("/")[0]
    here = path.rsplit("/", 1)[0]
    if "/" not in name or here + "/" + name in tree.paths:
        return None if here + "/" + name in tree.paths else "no such file beside it"
    if target == folder and folder != "cli":
        return None
    if folder == "cli" and target != "cli":
        return "src/cli includes public headers only"
    if target not in MAY_INCLUDE:
        return "neither a public header nor a folder of src/" if target != "cli" else "nobody includes src/cli"
    if target != folder and target not in MAY_INCLUDE[folder]:
        allowed = ", ".join(sorted(MAY_INCLUDE[folder])) or "no other folder"
        return "src/%s may include %s" % (folder, allowed)
    return None


def pure_problem(is_ours, name):
    if IMPURE_HEADERS.match(name) or (is_ours and IMPURE_BASE.match(name)):
        return "a pure module has no clock, thread, file or RocksDB"
    return None


def check(tree):
    for path in tree.public_headers():
        for line, _, name in includes_of(tree.text(path)):
            if name not in PUBLIC_MAY_INCLUDE and not IS_PUBLIC.match(name):
                yield "%s:%d: includes %s: a public header includes stdbool, stddef, stdint and tarn/" % (
                    path, line, name)
    for path in tree.below("src"):
        folder = path.split("/")[1]
        if folder not in MAY_INCLUDE:
            yield "%s:1: src/%s is not in the include order" % (path, folder)
            continue
        text = tree.text(path)
        for line, is_ours, name in includes_of(text):
            why = source_problem(tree, path, is_ours, name)
            if why is None and PURE.match(path):
                why = pure_problem(is_ours, name)
            if why:
                yield "%s:%d: includes %s: %s" % (path, line, name, why)
        if PURE.match(path):
            code = lint.without_comments(text)
            for match in IMPURE_CALLS.finditer(code):
                yield "%s:%d: calls %s: a pure module touches no file or environment" % (
                    path, lint.line_of(code, match.start()), match.group(1))
    for path in tree.below("examples"):
        here = path.rsplit("/", 1)[0]
        for line, is_ours, name in includes_of(tree.text(path)):
            is_own = here + "/" + name in tree.paths or "examples/" + name in tree.paths
            is_inner = is_ours and not is_own and not IS_PUBLIC.match(name)
            if is_inner or name.startswith("rocksdb/") or name.split("/")[0] in MAY_INCLUDE and not is_own:
                yield "%s:%d: includes %s: examples include public headers only" % (path, line, name)


CASES = [
    ("the arrows of the include order are accepted", {
        "include/tarn.h": '#include "tarn/bytes.h"\n',
        "include/tarn/bytes.h": "#include <stdint.h>\n",
        "src/state/backend.c": '#include "state/backend.h"\n#include "rocks/store.h"\n#include <time.h>\n',
        "src/rocks/store.c": '#include <rocksdb/c.h>\n#include "tarn/bytes.h"\n#include "base/error.h"\n',
        "src/memory/plan.c": '#include <stdio.h>\n#include "base/error.h"\nint f(void) { return snprintf(0, 0, ""); }\n',
        "src/cli/main.c": '#include <stdio.h>\n#include "tarn.h"\n#include "cli/table.h"\n#include "table.h"\n',
        "src/cli/table.h": "\n",
        "examples/a/main.c": '#include "tarn.h"\n#include "input.h"\n#include <tarn/bytes.h>\n',
        "examples/a/input.h": "\n"}, None),
    ("an include that stands in a comment does not count",
     {"src/base/a.c": '/*\n#include "state/backend.h"\n*/\n'}, None),
    ("base includes no other folder", {"src/base/a.c": '#include "config/config.h"\n'}, "src/base may include no other folder"),
    ("rocks does not include storage", {"src/rocks/a.c": '#include "storage/storage.h"\n'}, "src/rocks/a.c:1: includes storage"),
    ("storage does not include rocks", {"src/storage/a.c": '#include "rocks/store.h"\n'}, "src/storage may include"),
    ("storage does not include RocksDB", {"src/storage/a.c": "#include <rocksdb/c.h>\n"}, "only src/rocks"),
    ("rocks does not include state", {"src/rocks/a.c": '\n#include "state/state.h"\n'}, "src/rocks/a.c:2"),
    ("the command includes no inner header", {"src/cli/a.c": '#include "base/error.h"\n'}, "public headers only"),
    ("an example includes no inner header", {"examples/a.c": '#include "base/error.h"\n'}, "public headers only"),
    ("an example reaches no inner header by angle brackets", {"examples/a.c": "#include <base/error.h>\n"}, "public headers only"),
    ("an example does not include RocksDB", {"examples/a.c": "#include <rocksdb/c.h>\n"}, "public headers only"),
    ("a public header includes no system header", {"include/tarn/a.h": "#include <stdio.h>\n"}, "includes stdio.h"),
    ("a public header includes no inner header", {"include/tarn/a.h": '#include "base/error.h"\n'}, "includes base/error.h"),
    ("a pure module reads no clock", {"src/checkpoint/coordinator.c": "#include <time.h>\n"}, "pure module"),
    ("a pure module reads no clock of ours", {"src/memory/plan_rocksdb.c": '#include "base/clock.h"\n'}, "pure module"),
    ("a pure module opens no file", {"src/snapshot/metadata_read.c": "#include <fcntl.h>\n"}, "pure module"),
    ("a pure module opens no file by stdio", {"src/codec/a.c": 'void f(void) { fopen("a", "r"); }\n'}, "calls fopen"),
    ("a pure module starts no thread", {"src/storage/s3/signing.c": "#include <pthread.h>\n"}, "pure module"),
    ("a folder outside of the order is found", {"src/misc/a.c": "\n"}, "src/misc is not in the include order"),
    ("a header that is not there is found", {"src/state/a.c": '#include "gone.h"\n'}, "no such file"),
]

if __name__ == "__main__":
    lint.main(check, CASES)
