"""The project speaks of itself: no paths of one machine, no hosts that packages come from, and
nothing that is left for later without being in the list of what is not built yet."""
import re
import lint

# Put together from parts, so that this file does not find itself.
FORBIDDEN = [
    (re.compile(r"(?<![\w.$}~)])/(work|home|root|Users)/[\w.]"), "a path of one machine"),
    (re.compile("|".join(
        name + re.escape(".") + rest for name, rest in (
            ("deb", r"debian\.org"), ("archive", r"ubuntu\.com"), ("security", r"ubuntu\.com"), ("pypi", "org"),
            ("registry", r"npmjs\.org"), ("crates", "io"), ("proxy", r"golang\.org"), ("registry", r"hub\.docker\.com"),
            ("docker", "io")))), "a host that packages come from"),
    (re.compile(r"\b(%s)\b" % "|".join(("TO" + "DO", "FIX" + "ME", "XX" + "X"))), "work left for later"),
]
TEXT = re.compile(r"(\.(c|h|def|md|txt|py|sh|cmake|in|json|yaml|yml|map|supp|pc|conf)|/[\w-]+|^[\w.-]+)$")


def check(tree):
    for path in tree.paths:
        if tree.is_data(path) or not TEXT.search(path):
            continue
        try:
            text = tree.text(path)
        except UnicodeDecodeError:
            continue
        for pattern, what in FORBIDDEN:
            for match in pattern.finditer(text):
                yield "%s:%d: %s: %s" % (path, lint.line_of(text, match.start()), match.group(0), what)


CASES = [
    ("what only looks like it is accepted", {
        "src/a.c": "/* tests/work/a and mkdtemp(\"aXX" + "XXXX\") and ${HOME}/work/a */\n",
        "README.md": "See https://www.debian.org and /var/lib/job and /tmp/work/a.\n",
        "tests/vectors/a.jsonl": "/home" + "/flink/a\n"}, None),
    ("a path of one machine is found", {"scripts/demo": "cd /wo" + "rk/main\n"}, "scripts/demo:1: /wo" + "rk/m"),
    ("a home folder is found", {"docs/A.md": "a\n`/ho" + "me/user/a`\n"}, "docs/A.md:2"),
    ("a package host is found", {"CMakeLists.txt": "https://deb" + ".debian.org/\n"}, "a host"),
    ("a mirror in a script is found", {".ci/run": "pip -i https://pypi" + ".org/simple\n"}, "a host"),
    ("work left for later is found", {"src/a.c": "/* TO" + "DO: more */\n"}, "work left for later"),
    ("work left for later is found in pages", {"docs/A.md": "FIX" + "ME\n"}, "work left for later"),
]

if __name__ == "__main__":
    lint.main(check, CASES)
