"""Pages are true: links resolve, every folder of src/ is in the code map, snippets are real code.

A block ```c of README.md stands, line by line, in a file of examples/, where it is compiled and run.
"""
import os
import re
import lint

MAP = "docs/ARCHITECTURE.md"


def without_code(text):
    """Markdown with fenced blocks and code spans blanked, lines kept."""
    blank = lambda match: re.sub(r"[^\n]", " ", match.group(0))
    return re.sub(r"`[^`\n]*`", blank, re.sub(r"^```.*?^```", blank, text, flags=re.DOTALL | re.MULTILINE))


def anchors(text):
    for title in re.findall(r"^#+ +(.*)$", without_fences(text), re.MULTILINE):
        yield re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-")


def without_fences(text):
    return re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)


def link_problems(tree, path):
    text = without_code(tree.text(path))
    targets = re.finditer(r"\]\(([^)\s]+)[^)]*\)|^\[[^\]]+\]:\s*(\S+)", text, re.MULTILINE)
    for match in targets:
        target = match.group(1) or match.group(2)
        if re.match(r"^[a-z][a-z0-9+.-]*:", target):
            continue
        name, _, anchor = target.partition("#")
        full = os.path.normpath(os.path.join(os.path.dirname(path), name)) if name else path
        where = "%s:%d" % (path, lint.line_of(text, match.start()))
        if not os.path.exists(os.path.join(tree.root, full)) or full.startswith(".."):
            yield "%s: links to %s, which does not exist" % (where, target)
        elif anchor and full.endswith(".md") and anchor not in anchors(tree.text(full)):
            yield "%s: links to %s, which has no such heading" % (where, target)


def map_problems(tree):
    folders = sorted({path.split("/")[1] for path in tree.below("src") if path.count("/") >= 2})
    text = tree.text(MAP) if MAP in tree.paths else ""
    for folder in folders:
        if not re.search(r"^\|\s*`src/%s/?`" % re.escape(folder), text, re.MULTILINE):
            yield "%s:1: has no row for src/%s" % (MAP, folder)


def trimmed(text):
    """Lines without common indentation, blank lines at the ends dropped."""
    rows = [row.rstrip() for row in text.strip("\n").split("\n")]
    indent = min((len(row) - len(row.lstrip()) for row in rows if row), default=0)
    return "\n".join(row[indent:] for row in rows)


def stands_in(block, source):
    """Tells whether the block is a run of lines of source, at any indentation."""
    rows = source.split("\n")
    count = block.count("\n") + 1
    return any(trimmed("\n".join(rows[i:i + count])) == block for i in range(len(rows) - count + 1))


def snippet_problems(tree):
    if "README.md" not in tree.paths:
        return
    text = tree.text("README.md")
    sources = [tree.text(path) for path in tree.below("examples")]
    for match in re.finditer(r"^```c\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
        block = trimmed(match.group(1))
        if not any(stands_in(block, source) for source in sources):
            yield "README.md:%d: this snippet stands in no file of examples/" % lint.line_of(text, match.start())


def check(tree):
    for path in tree.paths:
        if path.endswith(".md"):
            yield from link_problems(tree, path)
    yield from map_problems(tree)
    yield from snippet_problems(tree)


ROW = "| `src/base/` | foundations |\n"
CASES = [
    ("good pages are accepted", {
        "README.md": "# A\n[map](docs/ARCHITECTURE.md#b-c) [web](https://a.example/) `[x](gone.md)`\n```c\nint a;\n\nint b;\n```\n",
        MAP: "# B c\n[up](../README.md) [down](#b-c)\n" + ROW,
        "src/base/a.c": "\n", "examples/a.c": "void f(void)\n{\n    int a;\n\n    int b;\n}\n"}, None),
    ("a broken link is found", {"README.md": "a\n[map](docs/GONE.md)\n"}, "README.md:2: links to docs/GONE.md"),
    ("a broken link in a page below is found", {"docs/A.md": "[a](README.md)\n", "README.md": ""}, "docs/A.md:1"),
    ("a broken reference is found", {"README.md": "[a]: gone.md\n"}, "gone.md"),
    ("a link out of the tree is found", {"README.md": "[a](../../etc/passwd)\n"}, "does not exist"),
    ("a missing heading is found", {"README.md": "# A\n[a](#b)\n"}, "no such heading"),
    ("a folder without a row is found", {MAP: ROW, "src/base/a.c": "", "src/state/a.c": ""}, "no row for src/state"),
    ("a missing code map is found", {"src/state/a.c": ""}, "no row for src/state"),
    ("a snippet that no example has is found",
     {"README.md": "```c\nint a;\nint b;\n```\n", "examples/a.c": "int a;\n\nint b;\n"}, "README.md:1: this snippet"),
]

if __name__ == "__main__":
    lint.main(check, CASES)
