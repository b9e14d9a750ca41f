"""docs/CLI.md shows what the command answers; help, pages and manual name the same commands."""
import os
import re
import shlex

from command import SOURCE, Case, main, tarn


def page(*name):
    with open(os.path.join(SOURCE, "docs", *name), encoding="utf-8") as file:
        return file.read()


class Docs(Case):
    def test_the_blocks_of_the_page_are_what_the_command_answers(self):
        blocks = re.findall(r"^```console\n\$ tarn ([^\n]*)\n(.*?)^```", page("CLI.md"), re.MULTILINE | re.DOTALL)
        self.assertGreater(len(blocks), 7)
        for arguments, expected in blocks:
            with self.subTest(arguments):
                answer = tarn(*shlex.split(arguments), cwd=SOURCE)
                self.assertEqual(answer.out + answer.err, expected)

    def test_every_command_is_in_the_page_and_in_the_manual(self):
        names = re.findall(r"^  (\S+(?: \S+)?)  ", self.good("help").out, re.MULTILINE)
        self.assertGreater(len(names), 7)
        text, manual = page("CLI.md"), page("man", "tarn.1")
        for name in names:
            self.assertIn("tarn " + name, text)
            self.assertIn("\n.Cm %s\n" % name, manual)

    def test_every_option_is_in_the_manual(self):
        manual = page("man", "tarn.1")
        for name in ("plan", "conf", "options", "key-group", "checkpoint export", "checkpoint gc", "checkpoint rekey", "checkpoint list", "checkpoint show", "checkpoint verify"):
            for option in re.findall(r"(?<![\w-])--([a-z-]+)", self.good("help", *name.split()).out):
                if option != "legacy":  # The default: the manual has its opposite.
                    self.assertIn("Fl -" + option, manual)


if __name__ == "__main__":
    main()
