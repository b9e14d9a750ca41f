"""`tarn conf`: every key with its place, what is unknown, what is bad, nothing secret."""
import os

from command import Case, main, tarn

GOOD = """\
# A comment
taskmanager.memory.process.size: 1728m
state.checkpoints.num-retained: 3
taskmanager.numberOfTaskSlots: 2
rest.port: 8081
"""


class Good(Case):
    def entries(self, text, name="flink-conf.yaml"):
        answer = self.good_json("conf", self.write(name, text))
        self.assertEqual(sorted(answer), ["entries", "ok", "problems", "warnings"])
        self.assertEqual(answer["problems"], [])
        return {entry["key"]: entry for entry in answer["entries"]}

    def test_a_key_is_shown_with_all_that_is_known(self):
        path = os.path.join(self.folder, "flink-conf.yaml")
        self.assertEqual(self.entries(GOOD)["taskmanager.numberOfTaskSlots"], {
            "key": "taskmanager.numberOfTaskSlots", "value": "2", "origin": path, "line": 4, "known": True,
            "option": "taskmanager.numberOfTaskSlots", "type": "integer", "default": "1", "read_by": "library",
            "effective": True, "note": None, "problem": None})

    def test_what_nothing_reads_has_no_effect_and_is_warned_of(self):
        path = self.write("flink-conf.yaml", (
            "execution.checkpointing.incremental: false\nstate.backend.rocksdb.options-factory: a.B\n"
            "state.backend: rocksdb\n"))
        answer = self.good_json("conf", path)
        entries = {entry["key"]: entry for entry in answer["entries"]}
        self.assertEqual([entry["effective"] for entry in answer["entries"]], [False] * 3)
        self.assertEqual([entry["read_by"] for entry in answer["entries"]], ["nothing"] * 3)
        self.assertEqual(entries["execution.checkpointing.incremental"]["note"],
                         "has no effect in Tarn, which acts as if it were true")
        self.assertEqual(entries["state.backend.rocksdb.options-factory"]["note"], "has no effect in Tarn")
        self.assertEqual(entries["state.backend"]["note"], "another spelling of state.backend.type")
        self.assertEqual([warning.split(": ")[0] for warning in answer["warnings"]], [path + ":1", path + ":2"])
        lines = self.good("conf", path).out.splitlines()
        self.assertEqual(lines[-3], "keys: 3, unknown: 0, bad values: 0, warnings: 2")
        self.assertEqual(lines[-2:], answer["warnings"])

    def test_lines_that_are_passed_over_are_warned_of_without_their_text(self):
        path = self.write("flink-conf.yaml", "a.b: 1\ns3.secret-key:hunter2\na.b: 2\n")
        warnings = self.good_json("conf", path)["warnings"]
        self.assertEqual(len(warnings), 2, warnings)
        self.assertTrue(warnings[0].startswith(path + ":2: the line is skipped"), warnings)
        self.assertTrue(warnings[1].startswith(path + ":3: the line replaces"), warnings)
        self.assertNotIn("hunter2", " ".join(warnings))

    def test_an_unknown_key_is_reported_and_no_problem(self):
        entry = self.entries(GOOD)["rest.port"]
        self.assertIs(entry["known"], False)
        self.assertIsNone(entry["option"])
        self.assertIsNone(entry["note"])

    def test_a_slip_of_the_finger_is_pointed_out(self):
        entry = self.entries("taskmanager.memory.proces.size: 1g\n")["taskmanager.memory.proces.size"]
        self.assertEqual(entry["note"], "is taskmanager.memory.process.size meant?")

    def test_another_spelling_is_pointed_out(self):
        entry = self.entries(GOOD)["state.checkpoints.num-retained"]
        self.assertEqual(entry["option"], "execution.checkpointing.num-retained")
        self.assertEqual(entry["note"], "another spelling of execution.checkpointing.num-retained")
        self.assertIs(entry["effective"], True)

    def test_a_spelling_that_another_one_hides_has_no_effect(self):
        entries = self.entries(GOOD + "execution.checkpointing.num-retained: 5\n")
        self.assertIs(entries["execution.checkpointing.num-retained"]["effective"], True)
        hidden = entries["state.checkpoints.num-retained"]
        self.assertIs(hidden["effective"], False)
        self.assertEqual(hidden["note"], "has no effect: execution.checkpointing.num-retained is set")

    def test_standard_yaml_is_read_by_its_name(self):
        entries = self.entries("taskmanager:\n  memory:\n    process:\n      size: 1g\n", "config.yaml")
        self.assertEqual(entries["taskmanager.memory.process.size"]["value"], "1g")

    def test_a_folder_stands_for_its_file(self):
        self.write("config.yaml", "parallelism.default: 3\n")
        answer = self.good_json("conf", self.folder)
        self.assertEqual([entry["value"] for entry in answer["entries"]], ["3"])

    def test_an_empty_file_is_good(self):
        self.assertEqual(self.entries(""), {})
        self.good("conf", os.path.join(self.folder, "flink-conf.yaml"))

    def test_the_table_has_a_line_for_each_key(self):
        rows = self.columns(self.good("conf", self.write("flink-conf.yaml", GOOD)).out)
        self.assertEqual(rows[0], ["LINE", "KEY", "VALUE", "OPTION", "DEFAULT", "NOTE"])
        self.assertEqual(rows[1], ["2", "taskmanager.memory.process.size", "1728m", "known"])
        self.assertEqual(rows[4], ["5", "rest.port", "8081", "unknown"])
        self.assertEqual(" ".join(rows[-1]), "keys: 4, unknown: 1, bad values: 0, warnings: 0")

    def test_secrets_are_hidden(self):
        path = self.write("flink-conf.yaml", "s3.secret-key: hunter2\nsecurity.ssl.rest.key-password: hunter2\n")
        for arguments in (["conf", path], ["conf", path, "--json"]):
            answer = tarn(*arguments)
            self.assertEqual(answer.status, 0, answer)
            self.assertNotIn("hunter2", answer.out + answer.err)
            self.assertIn("******", answer.out)


class Bad(Case):
    def test_every_bad_value_is_named(self):
        path = self.write("flink-conf.yaml", "parallelism.default: many\n\ntaskmanager.memory.process.size: lots\n")
        answer = tarn("conf", path, "--json")
        self.assertEqual((answer.status, answer.err), (1, ""), answer)
        self.assertIs(answer.json["ok"], False)
        problems = answer.json["problems"]
        self.assertEqual(len(problems), 2, problems)
        for problem, parts in zip(problems, [(":1:", "many", "parallelism.default"), (":3:", "lots", ".process.size")]):
            for part in (path, *parts):
                self.assertIn(part, problem)
        self.assertEqual([entry["problem"] for entry in answer.json["entries"]], problems)

    def test_values_that_an_open_refuses_are_bad(self):
        path = self.write("flink-conf.yaml", (
            "state.backend.rocksdb.predefined-options: FOO\nstate.backend.rocksdb.compaction.style: FIFO\n"
            "state.backend.rocksdb.timer-service.cache-size: 0\n"))
        answer = tarn("conf", path, "--json")
        self.assertEqual(answer.status, 1, answer)
        self.assertEqual(len(answer.json["problems"]), 3)
        self.assertIn("SPINNING_DISK_OPTIMIZED_HIGH_MEM", answer.json["problems"][0])
        self.assertIn("LEVEL, UNIVERSAL, NONE", answer.json["problems"][1])

    def test_bad_values_are_said_on_stderr_beside_the_table(self):
        answer = tarn("conf", self.write("flink-conf.yaml", "taskmanager.numberOfTaskSlots: many\nrest.port: 1\n"))
        self.assertEqual(answer.status, 1, answer)
        self.one_line(answer.err)
        self.assertIn("bad values: 1", answer.out)
        self.assertEqual(self.columns(answer.out)[1], ["1", "taskmanager.numberOfTaskSlots", "many", "bad", "1"])

    def test_checkpoint_options_that_contradict_each_other_are_a_problem(self):
        path = self.write("flink-conf.yaml", (
            "execution.checkpointing.interval: 10s\nexecution.checkpointing.unaligned: true\n"
            "execution.checkpointing.max-concurrent-checkpoints: 3\n"))
        answer = tarn("conf", path, "--json")
        self.assertEqual(answer.status, 1, answer)
        self.assertEqual(len(answer.json["problems"]), 1)
        self.assertIn("max-concurrent-checkpoints", answer.json["problems"][0])

    def test_broken_yaml_is_refused_with_its_line(self):
        path = self.write("config.yaml", "a: 1\nb: [1\n")
        self.assertIn(path, self.refused("conf", path))
        self.assertIn(path, self.refused_json("conf", path))

    def test_a_missing_file_is_refused(self):
        path = os.path.join(self.folder, "none.yaml")
        self.assertIn(path, self.refused("conf", path))
        self.assertIn(path, self.refused_json("conf", path))

    def test_one_file_is_wanted(self):
        self.misused("conf")
        self.misused("conf", "a", "b")


if __name__ == "__main__":
    main()
