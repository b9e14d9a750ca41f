"""What libtarn.so exports == what include/ declares with TARN_API == what src/libtarn.map lists.

    symbols.py --library build/release/src/libtarn.so     compares all three
    symbols.py                                            compares the headers and the map
    symbols.py --update                                   writes new symbols into the map

The map has one node per release (TARN_0.1, TARN_0.2, ...). A symbol stays in the node of the release
that brought it: --update adds and removes in the node of the version that include/tarn/version.h
names, and refuses to touch an older one.
"""
import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import lint

MAP = "src/libtarn.map"
VERSION = "include/tarn/version.h"
NODE = re.compile(r"^(TARN_[\d.]+)\s*\{(.*?)\}\s*([\w.]*)\s*;", re.DOTALL | re.MULTILINE)


def nodes_of(text):
    """[(node, symbols in order, parent)], oldest first."""
    nodes = []
    for name, body, parent in NODE.findall(lint.without_comments(text)):
        listed = re.sub(r"\blocal\s*:.*", "", body, flags=re.DOTALL)
        nodes.append((name, re.findall(r"([\w*?\[\]\-]+)\s*;", listed), parent))
    return nodes


def text_of(nodes):
    parts = []
    for index, (name, symbols, parent) in enumerate(nodes):
        rows = ["%s {" % name, "    global:"] + ["        %s;" % symbol for symbol in symbols]
        # Only the first node hides the rest: once is enough, and the linker warns about twice.
        rows += ["    local:", "        *;"] if index == 0 else []
        parts.append("\n".join(rows + ["}%s;" % (" " + parent if parent else "")]) + "\n")
    return "\n".join(parts)


def current_node(tree):
    text = tree.text(VERSION)
    numbers = [re.search(r"#define TARN_VERSION_%s (\d+)" % part, text).group(1) for part in ("MAJOR", "MINOR")]
    return "TARN_" + ".".join(numbers)


def map_problems(declared, nodes):
    seen = {}
    for node, symbols, _ in nodes:
        if symbols != sorted(symbols):
            yield "%s:1: the symbols of %s are not in order" % (MAP, node)
        for symbol in symbols:
            if not re.fullmatch(r"\w+", symbol):
                yield "%s:1: %s lists a pattern: %s" % (MAP, node, symbol)
            elif symbol in seen:
                yield "%s:1: %s stands in %s and in %s" % (MAP, symbol, seen[symbol], node)
            elif symbol not in declared:
                yield "%s:1: %s is listed in %s, and no public header declares it" % (MAP, symbol, node)
            seen[symbol] = node
    for symbol in sorted(declared.keys() - seen.keys()):
        yield "%s: %s is declared and not listed in %s" % (declared[symbol], symbol, MAP)


def exported_by(library):
    """{symbol: node} of the dynamic symbols that a library defines."""
    run = subprocess.run(
        ["nm", "-D", "--defined-only", "--with-symbol-versions", library], capture_output=True, text=True, check=True)
    exported = {}
    for row in run.stdout.splitlines():
        kind, name = row.split()[-2:]
        if kind != "A":  # the nodes themselves
            symbol, _, node = name.partition("@")
            exported[symbol] = node.lstrip("@")
    return exported


def check_library(tree, library):
    declared = {name: "%s:%d" % (path, line) for path, line, name in lint.public_declarations(tree)}
    if not declared:
        yield "include:1: no public header declares anything"
    for name, where in declared.items():
        if not name.startswith("tarn_") or name.startswith("tarn__"):
            yield "%s: %s is no name for a public symbol" % (where, name)
    nodes = nodes_of(tree.text(MAP))
    yield from map_problems(declared, nodes)
    if library is None:
        return
    exported = exported_by(library)
    listed = {symbol: node for node, symbols, _ in nodes for symbol in symbols}
    for symbol in sorted(declared.keys() - exported.keys()):
        yield "%s: %s is declared, and the library does not export it" % (declared[symbol], symbol)
    for symbol, node in sorted(exported.items()):
        if symbol not in declared:
            yield "%s:1: exports %s, which no public header declares" % (os.path.basename(library), symbol)
        elif node != listed.get(symbol, node):
            yield "%s:1: exports %s as of %s, the map lists it in %s" % (library, symbol, node, listed[symbol])


def check_tree(tree):
    """For the self-test: a tree with a source is built into a library first."""
    if "library.c" not in tree.paths:
        return list(check_library(tree, None))
    library = os.path.join(tree.root, "libtarn.so")
    command = [shutil.which("cc") or "gcc", "-shared", "-fPIC", "-o", library, os.path.join(tree.root, "library.c")]
    if "version-script" not in tree.text("library.c"):
        command += ["-Wl,--version-script=" + os.path.join(tree.root, MAP)]
    subprocess.run(command, check=True)
    return list(check_library(tree, library))


def update(tree):
    """Rewrites the map from the headers. Answers 0, or 1 when an older release would change."""
    declared = {name for _, _, name in lint.public_declarations(tree)}
    nodes = nodes_of(tree.text(MAP)) if MAP in tree.paths else []
    current = current_node(tree)
    if not any(name == current for name, _, _ in nodes):
        nodes.append((current, [], nodes[-1][0] if nodes else ""))
    released = {symbol: name for name, symbols, _ in nodes if name != current for symbol in symbols}
    gone = sorted(released.keys() - declared)
    for symbol in gone:
        print("%s: %s is no longer declared, and %s has promised it" % (MAP, symbol, released[symbol]))
    if gone:
        return 1
    nodes = [
        (name, sorted(declared - released.keys()) if name == current else symbols, parent)
        for name, symbols, parent in nodes
    ]
    with open(os.path.join(tree.root, MAP), "w", encoding="utf-8") as file:
        file.write(text_of(nodes))
    print("%s lists %d symbols" % (MAP, sum(len(symbols) for _, symbols, _ in nodes)))
    return 0


def header(*names):
    return "#define TARN_API \\\n    __attribute__((x))\n" + "".join(
        "/** %s. */\nTARN_API TARN_NODISCARD tarn_status\n%s(int a);\n" % (name, name) for name in names)


def listing(*names):
    return text_of([("TARN_0.1", list(names), "")])


VERSION_1 = "#define TARN_VERSION_MAJOR 0\n#define TARN_VERSION_MINOR 1\n"
VERSION_2 = VERSION_1.replace("MINOR 1", "MINOR 2")
BOTH = {"include/tarn/a.h": header("tarn_a", "tarn_b"), MAP: listing("tarn_a", "tarn_b")}
DEFINED = "int tarn_a(int a) { return a; }\nint tarn_b(int a) { return a; }\n"
CASES = [
    ("headers, map and library that agree are accepted", {**BOTH, "library.c": DEFINED + "int other(void) { return 1; }\n"}, None),
    ("a declared symbol that the map lacks is found", {**BOTH, MAP: listing("tarn_a")}, "tarn_b is declared and not listed"),
    ("a listed symbol that nobody declares is found", {**BOTH, MAP: listing("tarn_a", "tarn_b", "tarn_c")}, "tarn_c is listed"),
    ("a pattern in the map is found", {**BOTH, MAP: listing("tarn_*", "tarn_a", "tarn_b")}, "lists a pattern"),
    ("disorder in the map is found", {**BOTH, MAP: listing("tarn_b", "tarn_a")}, "not in order"),
    ("a symbol without a definition is found", {**BOTH, "library.c": "int tarn_a(int a) { return a; }\n"}, "does not export it"),
    ("an export that nobody declares is found",
     {**BOTH, "library.c": "/* version-script: none */\n" + DEFINED + "int other(void) { return 1; }\n"}, "exports other"),
    ("a private name in a public header is found", {"include/tarn/a.h": header("tarn__a"), MAP: listing("tarn__a")}, "no name for a public"),
    ("headers without declarations are found", {"include/tarn/a.h": "\n", MAP: listing()}, "declares anything"),
]


def self_test_update():
    """--update: the map that it writes is accepted, and a released symbol cannot go."""
    files = {VERSION: VERSION_1, "include/tarn/a.h": header("tarn_b", "tarn_a"), MAP: "TARN_0.1 {\n    global:\n        tarn_z;\n};\n"}
    with tempfile.TemporaryDirectory() as root:
        lint.write_tree(root, files)
        assert update(lint.Tree(root)) == 0 and not list(check_library(lint.Tree(root), None))
        lint.write_tree(root, {VERSION: VERSION_2, "include/tarn/a.h": header("tarn_a", "tarn_b", "tarn_c")})
        assert update(lint.Tree(root)) == 0 and not list(check_library(lint.Tree(root), None))
        nodes = nodes_of(lint.Tree(root).text(MAP))
        assert nodes == [("TARN_0.1", ["tarn_a", "tarn_b"], ""), ("TARN_0.2", ["tarn_c"], "TARN_0.1")], nodes
        lint.write_tree(root, {"include/tarn/a.h": header("tarn_a", "tarn_c")})
        assert update(lint.Tree(root)) == 1 and nodes_of(lint.Tree(root).text(MAP)) == nodes
    print("ok      --update writes a map that is accepted and keeps what was released")


if __name__ == "__main__":
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--library")
    arguments.add_argument("--update", action="store_true")
    if "--update" in sys.argv:
        arguments.add_argument("--root", default=os.path.join(os.path.dirname(__file__), "..", ".."))
        sys.exit(update(lint.Tree(arguments.parse_args().root)))
    if "--self-test" in sys.argv:
        self_test_update()
        lint.main(check_tree, CASES, arguments)
    lint.main(check_library, CASES, arguments, lambda o, check: lambda tree: check(tree, o.library))
