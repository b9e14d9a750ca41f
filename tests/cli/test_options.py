"""`tarn options`: the whole table, parts of it, one option; the same options as the manual."""
import os
import re

from command import SOURCE, Case, main


class Options(Case):
    def keys(self, *pattern):
        return [option["key"] for option in self.good_json("options", *pattern)["options"]]

    def test_every_option_of_the_manual_is_listed(self):
        with open(os.path.join(SOURCE, "docs", "CONFIGURATION.md"), encoding="utf-8") as file:
            manual = re.findall(r"^\| `([^`]+)` \|", file.read(), re.MULTILINE)
        self.assertGreater(len(manual), 100)
        self.assertEqual(self.keys(), manual)

    def test_an_option_is_shown_with_all_that_is_known(self):
        (option,) = self.good_json("options", "taskmanager.numberOfTaskSlots")["options"]
        self.assertTrue(option.pop("sentence").endswith("."))
        self.assertEqual(option, {
            "key": "taskmanager.numberOfTaskSlots", "type": "integer", "unit": "slots", "default": "1", "min": "1",
            "max": None, "values": [], "other_keys": [], "since": "0.1", "origin": "TaskManagerOptions",
            "read_by": "library", "acts_as": None})

    def test_a_single_option_is_a_page_of_its_own(self):
        text = self.good("options", "execution.checkpointing.dir").out
        self.assertTrue(text.startswith("execution.checkpointing.dir\n"), text)
        self.assertRegex(text, r"(?m)^also: +state\.checkpoints\.dir$")
        self.assertRegex(text, r"(?m)^read by: +nothing$")
        text = self.good("options", "execution.checkpointing.incremental").out
        self.assertRegex(text, r"(?m)^acts as: +true$")

    def test_a_part_of_a_key_is_enough_in_either_case(self):
        keys = self.keys("MEMORY.NETWORK")
        self.assertEqual(keys, self.keys("memory.network"))
        self.assertEqual(sorted(keys), ["taskmanager.memory.network." + end for end in ("fraction", "max", "min")])

    def test_another_spelling_finds_the_option(self):
        self.assertEqual(self.keys("state.checkpoints.dir"), ["execution.checkpointing.dir"])

    def test_a_pattern_is_for_the_whole_key(self):
        keys = self.keys("taskmanager.memory.*.min")
        self.assertEqual(sorted(keys), ["taskmanager.memory.jvm-overhead.min", "taskmanager.memory.network.min"])

    def test_the_table_has_a_line_for_each_option(self):
        lines = self.good("options").out.splitlines()
        self.assertEqual(lines[0].split(), ["KEY", "TYPE", "DEFAULT", "READ", "BY", "ALLOWED", "WHAT"])
        self.assertEqual([line.split()[0] for line in lines[1:]], self.keys())

    def test_nothing_is_cut_where_there_is_no_terminal(self):
        table = self.good("options", "taskmanager.memory").out
        for option in self.good_json("options", "taskmanager.memory")["options"]:
            self.assertIn(option["sentence"], table)

    def test_no_option_is_an_answer_of_no(self):
        self.assertIn("'frobnicate'", self.refused("options", "frobnicate"))
        self.assertIn("'frobnicate'", self.refused_json("options", "frobnicate"))

    def test_one_pattern_is_taken(self):
        self.misused("options", "a", "b")


if __name__ == "__main__":
    main()
