"""`tarn checkpoint`: export, gc, list, show and verify real checkpoints, whole, unfinished and damaged."""
import json
import os
import pty
import re
import resource
import shutil
import signal
import subprocess
import tempfile

from command import COMMAND, EXAMPLES, TIMEOUT_S, Case, main, skip, tarn
from fake_s3 import S3


class Checkpoint(Case):
    """Each test has its own copy of a job that the example word_count has run twice."""

    @classmethod
    def setUpClass(cls):
        cls.made = tempfile.mkdtemp(prefix="tarn-cli-job-")
        cls.addClassCleanup(shutil.rmtree, cls.made, ignore_errors=True)
        for _ in range(2):
            subprocess.run(
                [os.path.join(EXAMPLES, "word_count"), cls.made], stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL, timeout=TIMEOUT_S, check=True)

    def setUp(self):
        super().setUp()
        self.job = os.path.join(self.folder, "word_count")
        shutil.copytree(os.path.join(self.made, "word_count"), self.job)
        self.path = os.path.join(self.job, "chk-2")

    def files(self):
        (subtask,) = self.good_json("checkpoint", "show", "--files", self.path)["subtasks"]
        return subtask["files"]

    def flip(self, name, offset):
        with open(os.path.join(self.job, name), "r+b") as file:
            file.seek(offset)
            byte = file.read(1)[0]
            file.seek(offset)
            file.write(bytes([byte ^ 1]))


class Export(Checkpoint):
    def export(self, command, *arguments):
        made = self.good_json("checkpoint", command, *arguments, os.path.join(self.folder, "savepoints"))
        self.assertTrue(made["path"].startswith(os.path.join(self.folder, "savepoints", "savepoint-2-")))
        return made

    def test_a_checkpoint_becomes_a_savepoint_of_either_form(self):
        canonical = self.export("export", self.path)
        self.assertEqual((canonical["form"], canonical["file_count"], canonical["max_parallelism"]), ("canonical", 1, 128))
        verified = self.good_json("checkpoint", "verify", canonical["path"])
        self.assertGreater(verified["row_count"], 5)
        native = self.export("export", "--native", canonical["path"])
        self.assertEqual(native["form"], "native")
        again = self.export("export", native["path"])
        self.assertEqual(self.good_json("checkpoint", "verify", again["path"])["row_count"], verified["row_count"])
        shown = self.good_json("checkpoint", "show", again["path"])
        self.assertEqual((shown["job"], shown["id"]), ("word_count", 2))
        self.assertIn("rows", self.good("checkpoint", "verify", again["path"]).out)

    def test_keys_move_to_another_maximum_parallelism(self):
        moved = self.export("rekey", "--max-parallelism", "720", self.path)
        self.assertEqual(moved["max_parallelism"], 720)
        before = self.good_json("checkpoint", "verify", self.export("export", self.path)["path"])["row_count"]
        self.assertEqual(self.good_json("checkpoint", "verify", moved["path"])["row_count"], before)

    def test_a_damaged_row_is_found_by_name(self):
        made = self.export("export", self.path)
        (subtask,) = self.good_json("checkpoint", "show", "--files", made["path"])["subtasks"]
        name = os.path.join(made["path"], subtask["files"][0]["path"])
        with open(name, "r+b") as file:
            file.seek(70)
            byte = file.read(1)[0]
            file.seek(70)
            file.write(bytes([byte ^ 1]))
        answer = tarn("checkpoint", "verify", made["path"])
        self.assertEqual(answer.status, 1, answer)
        self.assertIn("00000.rows", answer.out)

    def test_bad_usage(self):
        self.assertEqual(tarn("checkpoint", "export", self.path).status, 2)
        self.assertEqual(tarn("checkpoint", "rekey", self.path, self.folder).status, 2)
        self.assertEqual(tarn("checkpoint", "rekey", "--max-parallelism", "0", self.path, self.folder).status, 2)
        self.assertEqual(tarn("checkpoint", "export", self.folder, self.folder).status, 1)


class Diff(Checkpoint):
    """The two runs of word_count read the same words: each count of the second one is larger."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        subprocess.run(
            [os.path.join(EXAMPLES, "word_count"), cls.made], stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, timeout=TIMEOUT_S, check=True)

    def savepoint(self, path):
        return self.good_json("checkpoint", "export", path, os.path.join(self.folder, "savepoints"))["path"]

    def test_savepoints_are_compared_row_by_row(self):
        first = self.savepoint(os.path.join(self.job, "chk-3"))
        same = self.good_json("checkpoint", "diff", first, first)
        (state,) = same["states"]
        rows = state["same"]
        self.assertGreater(rows, 5)
        self.assertEqual((state["put"], state["changed"], state["removed"], state["ranges"]), (0, 0, 0, 0))
        self.assertEqual((state["operator"], state["name"], state["kind"]), ("word_count", "counts", "value"))
        self.assertEqual(same["shared_files"], {"count": 0, "bytes": 0})
        subprocess.run(
            [os.path.join(EXAMPLES, "word_count"), self.folder], stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, timeout=TIMEOUT_S, check=True)
        second = self.savepoint(self.job)
        (state,) = self.good_json("checkpoint", "diff", first, second)["states"]
        self.assertEqual((state["put"], state["changed"], state["removed"], state["same"]), (0, rows, 0, 0))

    def test_files_of_both_are_counted_and_keys_are_shown(self):
        path = os.path.join(self.job, "chk-3")
        answer = self.good_json("checkpoint", "diff", path, path)
        self.assertGreater(answer["shared_files"]["count"], 0)
        self.assertEqual((answer["first_files"]["count"], answer["row_count"]), (0, 0))
        first = self.savepoint(path)
        subprocess.run(
            [os.path.join(EXAMPLES, "word_count"), self.folder], stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, timeout=TIMEOUT_S, check=True)
        lines = self.good("checkpoint", "diff", "--keys", first, self.savepoint(self.job)).out.splitlines()
        changed = [line for line in lines if line.startswith("changed word_count counts ")]
        self.assertGreater(len(changed), 5)
        self.assertTrue(any(line.startswith("OPERATOR") for line in lines))
        lines = tarn("checkpoint", "diff", "--keys", "--json", first, self.savepoint(self.job)).out.splitlines()
        self.assertEqual(len(lines), len(changed) + 1)

    def test_operator_state_is_added_up_over_subtasks(self):
        def savepoint(name, *pieces):
            lines = ['{"tarn_rows":1,"job":"j"}']
            for subtask, piece in enumerate(pieces):
                lines.append('{"operator":"source","subtask":%d,"parallelism":%d}' % (subtask, len(pieces)))
                lines.append('{"operator_state":"position","bytes_text":"%s"}' % piece)
            path = self.write(name, "\n".join(lines))
            return self.good_json("checkpoint", "import", path, os.path.join(self.folder, "made"))["path"]

        first, second = savepoint("a", "1", "2", "3"), savepoint("b", "1", "2", "4")
        fields = ("put", "changed", "removed", "same")
        (state,) = self.good_json("checkpoint", "diff", first, second)["states"]
        self.assertEqual([state[field] for field in fields], [0, 1, 0, 2])
        (state,) = self.good_json("checkpoint", "diff", first, savepoint("c", "1"))["states"]
        self.assertEqual([state[field] for field in fields], [0, 0, 2, 1])
        (state,) = self.good_json("checkpoint", "diff", savepoint("d", "1"), first)["states"]
        self.assertEqual([state[field] for field in fields], [2, 0, 0, 1])

    def test_bad_usage_and_what_is_not_there(self):
        self.assertEqual(tarn("checkpoint", "diff", self.path).status, 2)
        self.assertIn("chk-99", self.refused("checkpoint", "diff", self.job, os.path.join(self.job, "chk-99")))


class Import(Checkpoint):
    HEAD = '{"tarn_rows":1,"job":"word_count","id":5}'
    ENDED = '{"tarn_rows":1,"job":"word_count","id":5,"end":true}'
    SUBTASK = '{"operator":"word_count","max_parallelism":128,"hash":"bytes"}'

    def write(self, *lines):
        path = os.path.join(self.folder, "rows.jsonl")
        with open(path, "w", encoding="utf-8") as file:
            file.write("".join(line + "\n" for line in lines))
        return path

    def imported(self, path):
        return self.good_json("checkpoint", "import", path, os.path.join(self.folder, "imported"))["path"]

    def test_what_export_writes_comes_back(self):
        rows = os.path.join(self.folder, "rows.jsonl")
        self.good("checkpoint", "export", self.path, "--lines", rows)
        made = self.imported(rows)
        shown = self.good_json("checkpoint", "show", made)
        self.assertEqual((shown["job"], shown["id"]), ("word_count", 2))
        (state,) = self.good_json("checkpoint", "diff", self.path, made)["states"]
        self.assertEqual((state["put"], state["changed"], state["removed"]), (0, 0, 0))
        self.assertGreater(state["same"], 5)
        self.good("checkpoint", "verify", made)
        again = self.good("checkpoint", "export", made, "--lines", "-").out
        with open(rows, encoding="utf-8") as file:
            self.assertEqual(again, file.read())
        self.assertIn("exists", self.refused("checkpoint", "export", self.path, "--lines", rows))

    def test_a_file_that_was_cut_off_is_refused_at_every_line(self):
        lines = self.good("checkpoint", "export", self.path, "--lines", "-").out.splitlines()
        self.assertIs(json.loads(lines[0])["end"], True)
        self.assertEqual(json.loads(lines[-1]), {"end": True, "rows": len(lines) - 4})
        for count in (1, 2, 3, len(lines) // 2, len(lines) - 1):
            with self.subTest(lines=count):
                target = os.path.join(self.folder, "cut")
                said = self.refused("checkpoint", "import", self.write(*lines[:count]), target)
                self.assertIn("line %d: the file is cut off here" % count, said)
                self.assertEqual([name for _, _, names in os.walk(target) for name in names], [])
        path = self.write(*lines)
        os.truncate(path, os.path.getsize(path) - 5)
        self.assertIn("no JSON", self.refused("checkpoint", "import", path, os.path.join(self.folder, "cut")))
        self.assertIn("rows were written, and", self.refused(
            "checkpoint", "import", self.write(*lines[:5], *lines[6:]), os.path.join(self.folder, "cut")))

    def test_an_export_that_fails_or_is_killed_leaves_no_file(self):
        path = os.path.join(self.folder, "rows.jsonl")

        def run(on_excess):
            def limit():  # A file may not grow further than a few rows.
                signal.signal(signal.SIGXFSZ, on_excess)
                resource.setrlimit(resource.RLIMIT_FSIZE, (400, 400))

            return subprocess.run([COMMAND, "checkpoint", "export", saved, "--lines", path], preexec_fn=limit,
                                  capture_output=True, timeout=TIMEOUT_S, check=False)

        lines = self.good("checkpoint", "export", self.path, os.path.join(self.folder, "savepoints")).out
        saved = lines.split(": ")[0]
        failed = run(signal.SIG_IGN)
        self.assertEqual(failed.returncode, 1, failed)
        self.assertIn(b"too large", failed.stderr)
        self.assertFalse(os.path.exists(path))
        killed = run(signal.SIG_DFL)
        self.assertEqual(killed.returncode, -signal.SIGXFSZ, killed)
        self.assertFalse(os.path.exists(path))
        self.good("checkpoint", "export", saved, "--lines", path)

    def test_a_state_is_written_by_hand(self):
        path = self.write(
            self.HEAD, "", self.SUBTASK, '{"operator_state":"position","bytes_text":"here"}',
            '{"state":"counts","kind":"value","codec":"u64","codec_version":1}',
            '{"key_text":"word","value":"0700000000000000"}',
            '{"state":"sums","kind":"reducing","codec":"i64","reducer":"sum","number":"i64"}',
            '{"key_text":"a","number":-3}',
            '{"state":"lists","kind":"list","codec":"text"}', '{"key":"61","elements":["00ff",""]}',
            '{"state":"timers.event/t","kind":"timers","codec":"timer","codec_version":1}', '{"key":"61","time":-1}')
        made = self.imported(path)
        shown = self.good_json("checkpoint", "show", made)
        (subtask,) = shown["subtasks"]
        self.assertEqual((shown["id"], subtask["max_parallelism"], subtask["hash"]), (5, 128, "bytes"))
        self.assertEqual([state["name"] for state in subtask["states"]], ["counts", "default", "lists", "sums", "timers.event/t"]
                         if len(subtask["states"]) == 5 else ["counts", "lists", "sums", "timers.event/t"])
        self.assertEqual(self.good_json("checkpoint", "verify", made)["row_count"], 4)
        lines = self.good("checkpoint", "export", made, "--lines", "-").out
        self.assertIn('"value":"0700000000000000"', lines)

    def test_a_bad_line_is_named_with_the_reason(self):
        state = '{"state":"counts","kind":"value","codec":"u64"}'
        for number, reason, lines in (
                (1, "no JSON", ("{",)),
                (1, "does not begin with", ('{"job":"j"}',)),
                (1, "\"tarn_rows\" is no whole number from 1 to 1", ('{"tarn_rows":2,"job":"j"}',)),
                (3, "no subtask", (self.HEAD, "", state)),
                (2, "no key hash", (self.HEAD, '{"operator":"o","hash":"md5"}')),
                (2, "\"max_parallelism\" is no whole number", (self.HEAD, '{"operator":"o","max_parallelism":99999}')),
                (3, "name of a codec", (self.HEAD, self.SUBTASK, '{"state":"s","kind":"map"}')),
                (3, "no kind of state", (self.HEAD, self.SUBTASK, '{"state":"s","kind":"heap"}')),
                (3, "its member \"kond\" is not known here", (self.HEAD, self.SUBTASK, '{"state":"s","kind":"map","kond":1}')),
                (4, "hexadecimal", (self.HEAD, self.SUBTASK, state, '{"key":"6"}')),
                (4, "\"key\" or \"key_text\" is missing", (self.HEAD, self.SUBTASK, state, '{"value":"61"}')),
                (5, "is there already", (self.HEAD, self.SUBTASK, state, '{"key":"61","value":""}', '{"key_text":"a","value":""}')),
                (4, "\"value\" or \"value_text\" is missing", (self.HEAD, self.SUBTASK, state, '{"key":"61"}')),
                (4, "its member \"more\" is not known here", (self.HEAD, self.SUBTASK, state, '{"key":"61","value":"","more":null}')),
                (3, "cut off here: its first line says that it has an end, and 0 rows", (self.ENDED, self.SUBTASK, state)),
                (4, "3 rows were written, and 0 are there", (self.ENDED, self.SUBTASK, state, '{"end":true,"rows":3}')),
                (4, "it is no {\"end\"", (self.HEAD, self.SUBTASK, state, '{"end":true}')),
                (4, "behind the end", (self.HEAD, self.SUBTASK, '{"end":true,"rows":0}', state)),
                (4, "no JSON object", (self.HEAD, self.SUBTASK, state, "[]"))):
            with self.subTest(reason=reason):
                target = os.path.join(self.folder, "bad")
                said = self.refused("checkpoint", "import", self.write(*lines), target)
                self.assertIn("rows.jsonl, line %d: " % number, said)
                self.assertIn(reason, said)
                left = [name for _, _, names in os.walk(target) for name in names]
                self.assertEqual(left, [])

    def test_bad_usage(self):
        self.assertEqual(tarn("checkpoint", "import", self.folder).status, 2)
        self.assertEqual(tarn("checkpoint", "import", "--id", "0", "a", "b").status, 2)
        self.assertIn("nowhere", self.refused("checkpoint", "import", os.path.join(self.folder, "nowhere"), self.folder))


class Gc(Checkpoint):
    def leave_garbage(self):
        for name in ("shared/00/00000000000000000000000000000001-7", "chk-9/000007.sst", "chk-2/leftover"):
            os.makedirs(os.path.dirname(os.path.join(self.job, name)), exist_ok=True)
            with open(os.path.join(self.job, name), "w", encoding="ascii") as file:
                file.write("garbage")

    def test_what_nothing_reaches_is_named_and_then_removed(self):
        self.leave_garbage()
        found = self.good_json("checkpoint", "gc", "--dry-run", "--grace", "0", self.job)
        self.assertEqual(sorted((item["kind"], item["name"], item["size"]) for item in found["garbage"]),
                         [("leftover", "chk-2/leftover", 7),
                          ("shared", "shared/00/00000000000000000000000000000001-7", 7),
                          ("unfinished", "chk-9/000007.sst", 7)])
        self.assertEqual((found["found_count"], found["removed_count"]), (3, 0))
        self.assertIn("would remove 3 files", self.good("checkpoint", "gc", "--dry-run", "--grace=0", self.job).out)
        self.assertIn("removed 3 files", self.good("checkpoint", "gc", "--grace", "0", self.job).out)
        self.assertEqual(self.good_json("checkpoint", "gc", "--grace", "0", self.job)["found_count"], 0)
        self.good("checkpoint", "verify", self.path)

    def test_what_is_young_stays(self):
        self.leave_garbage()
        found = self.good_json("checkpoint", "gc", self.job)
        self.assertEqual((found["found_count"], found["young_count"], found["young_bytes"]), (0, 3, 21))

    def test_one_that_cannot_be_read_is_named_and_nothing_goes(self):
        self.leave_garbage()
        for name in ("chk-11", "chk-12"):
            shutil.copytree(self.path, os.path.join(self.job, name))
            self.flip(name + "/_metadata", 40)
        said = self.refused("checkpoint", "gc", "--grace", "0", self.job)
        self.assertIn("nobody knows what 2 checkpoints name that cannot be read", said)
        self.assertIn("chk-11/_metadata", said)
        answer = tarn("checkpoint", "gc", "--grace", "0", "--json", self.job)
        self.assertEqual((answer.status, answer.json["ok"], answer.json["unreadable_count"]), (1, False, 2), answer)
        self.assertIn("chk-11/_metadata", answer.json["error"])
        self.assertTrue(os.path.exists(os.path.join(self.job, "chk-2", "leftover")))
        self.assertNotIn("error", self.good_json("checkpoint", "gc", "--dry-run", self.copy_without("chk-11", "chk-12")))

    def copy_without(self, *names):
        for name in names:
            shutil.rmtree(os.path.join(self.job, name))
        return self.job

    def test_a_directory_of_no_job_is_refused(self):
        os.mkdir(os.path.join(self.folder, "savepoints"))
        for path in (self.folder, os.path.join(self.folder, "savepoints")):
            os.utime(path, (1, 1))
            self.assertIn("holds no checkpoint", self.refused("checkpoint", "gc", path))
            self.assertIn(path, self.refused_json("checkpoint", "gc", path))
            self.assertEqual(os.stat(path).st_mtime, 1)  # Nothing was written there.

    def test_bad_usage_and_no_directory(self):
        self.assertEqual(tarn("checkpoint", "gc").status, 2)
        self.assertEqual(tarn("checkpoint", "gc", "--grace", "soon", self.job).status, 2)
        self.assertEqual(tarn("checkpoint", "gc", os.path.join(self.folder, "nowhere")).status, 1)


class List(Checkpoint):
    def test_a_complete_one_is_listed_with_its_figures(self):
        (entry,) = self.good_json("checkpoint", "list", self.job)["checkpoints"]
        self.assertEqual(entry["id"], 2)
        self.assertEqual(entry["path"], self.path)
        self.assertEqual(entry["state"], "complete")
        self.assertEqual((entry["max_parallelism"], entry["operator_count"], entry["subtask_count"]), (128, 1, 1))
        self.assertGreater(entry["total_bytes"], entry["new_bytes"])
        self.assertGreater(entry["timestamp_ms"], 1500000000000)

    def test_unfinished_and_damaged_ones_are_listed_with_the_reason(self):
        os.mkdir(os.path.join(self.job, "chk-7"))
        shutil.copytree(self.path, os.path.join(self.job, "chk-11"))
        self.flip("chk-11/_metadata", 40)
        entries = self.good_json("checkpoint", "list", self.job)["checkpoints"]
        self.assertEqual([(entry["id"], entry["state"]) for entry in entries],
                         [(2, "complete"), (7, "unfinished"), (11, "damaged")])
        self.assertIn("_metadata", entries[1]["reason"])
        self.assertIn("chk-11/_metadata", entries[2]["reason"])
        rows = self.columns(self.good("checkpoint", "list", self.job).out)
        self.assertEqual(rows[0][:6], ["ID", "STATE", "BEGUN", "TOOK", "SUBTASKS", "FILES"])
        self.assertEqual([row[:2] for row in rows[1:]], [["2", "complete"], ["7", "unfinished"], ["11", "damaged"]])

    def test_a_folder_without_checkpoints_is_refused(self):
        self.assertIn("holds no checkpoint", self.refused("checkpoint", "list", self.folder))
        self.assertIn(self.folder, self.refused_json("checkpoint", "list", self.folder))

    def test_a_missing_folder_is_refused(self):
        path = os.path.join(self.folder, "none")
        self.assertIn(path, self.refused("checkpoint", "list", path))
        self.assertIn(path, self.refused_json("checkpoint", "list", path))


class Show(Checkpoint):
    def test_everything_is_shown(self):
        answer = self.good_json("checkpoint", "show", self.path)
        self.assertEqual((answer["job"], answer["id"], answer["path"]), ("word_count", 2, self.path))
        (subtask,) = answer["subtasks"]
        self.assertNotIn("files", subtask)
        self.assertEqual(subtask["operator"], "word_count")
        self.assertEqual((subtask["subtask"], subtask["parallelism"], subtask["max_parallelism"]), (0, 1, 128))
        self.assertEqual(subtask["key_groups"], {"first": 0, "last": 127})
        self.assertEqual(subtask["hash"], "bytes")
        (state,) = subtask["states"]
        self.assertEqual((state["name"], state["kind"]), ("counts", "value"))
        self.assertEqual(subtask["shared_bytes"] + subtask["private_bytes"], subtask["total_bytes"])
        self.assertEqual(subtask["operator_states"], [])

    def test_files_are_shown_with_digest_and_size(self):
        files = self.files()
        self.assertGreater(len(files), 3)
        for file in files:
            self.assertRegex(file["digest"], "^[0-9a-f]{32}$")
            if file["inline"]:
                self.assertEqual((file["path"], file["shared"], file["codec"]), ("", False, "none"))
                self.assertLessEqual(file["stored_size"], 20480)
                continue
            size = os.path.getsize(os.path.join(self.job, file["path"]))
            if file["packed"]:
                self.assertLessEqual(file["offset"] + file["size"], size)
            else:
                self.assertEqual((file["offset"], file["size"]), (0, size))
            self.assertEqual(file["path"].startswith("shared/"), file["shared"])
        self.assertTrue(any(file["shared"] for file in files))
        self.assertTrue(any(file["inline"] for file in files))

    def test_the_newest_of_a_job_and_its_metadata_are_the_checkpoint(self):
        expected = self.good("checkpoint", "show", self.path).out
        self.assertEqual(self.good("checkpoint", "show", self.job).out, expected)
        self.assertEqual(self.good("checkpoint", "show", os.path.join(self.path, "_metadata")).out, expected)

    def test_the_table(self):
        text = self.good("checkpoint", "show", self.path, "--files").out
        self.assertRegex(text, r"(?m)^job: +word_count$")
        self.assertRegex(text, r"(?m)^word_count +0 +1 +0-127 +bytes +\d+ ")
        self.assertRegex(text, r"(?m)^word_count +0 +counts +value ")
        for file in self.files():
            self.assertIn(file["digest"], text)
        self.assertNotIn(self.files()[0]["digest"], self.good("checkpoint", "show", self.path).out)

    def test_a_missing_one_is_refused(self):
        path = os.path.join(self.job, "chk-3")
        self.assertIn(path, self.refused("checkpoint", "show", path))
        self.assertIn(path, self.refused_json("checkpoint", "show", path))

    def test_a_damaged_one_is_refused_with_the_place(self):
        self.flip("chk-2/_metadata", 100)
        error = self.refused_json("checkpoint", "show", self.path)
        self.assertIn("chk-2/_metadata", error)
        self.assertIn("byte", error)


class OperatorState(Case):
    """A checkpoint of an operator without keys; operator_state.c made it."""

    def setUp(self):
        super().setUp()
        subprocess.run([os.environ["TARN_OPERATOR_STATE"], self.folder], stdin=subprocess.DEVNULL,
                       timeout=TIMEOUT_S, check=True)
        self.path = os.path.join(self.folder, "job", "chk-1")

    def test_states_are_shown_with_how_they_are_dealt_out(self):
        answer = self.good_json("checkpoint", "show", self.path)
        self.assertEqual((answer["job"], answer["max_parallelism"]), ("job", 0))
        (subtask,) = answer["subtasks"]
        self.assertEqual((subtask["operator"], subtask["key_groups"], subtask["hash"]), ("sink", None, None))
        states = {state["name"]: state for state in subtask["operator_states"]}
        self.assertEqual(sorted(states), ["buffered", "own", "rules", "seen"])
        buffered = states["buffered"]
        self.assertGreater(buffered.pop("bytes"), buffered.pop("element_bytes"))
        self.assertEqual(buffered, {
            "name": "buffered", "kind": "list", "redistribution": "split", "codec": "words", "codec_version": 3,
            "part_index": 0, "part_count": 1, "element_count": 3})
        self.assertEqual((states["seen"]["kind"], states["seen"]["redistribution"]), ("list", "union"))
        self.assertEqual((states["rules"]["kind"], states["rules"]["element_count"]), ("broadcast", 1))
        self.assertEqual(states["own"], {"name": "own", "kind": "bytes", "bytes": 12})

    def test_the_table(self):
        text = self.good("checkpoint", "show", self.path).out
        self.assertRegex(text, r"(?m)^sink +0 buffered +list +words v3 +split +3 +\d+$")
        self.assertRegex(text, r"(?m)^sink +0 own +bytes +12$")

    def test_a_checkpoint_without_files_is_good(self):
        self.assertEqual(self.good_json("checkpoint", "verify", self.path)["file_count"], 0)


class Verify(Checkpoint):
    def test_a_good_one_is_good(self):
        answer = self.good_json("checkpoint", "verify", self.path)
        files = self.files()
        self.assertGreater(answer["row_count"], 5)
        self.assertEqual(answer, {
            "ok": True, "path": self.path, "file_count": len(files), "bad_count": 0, "bad": [],
            "row_count": answer["row_count"],
            "verified_bytes": sum(file["size"] for file in files)})
        self.assertIn("%d files are good" % len(files), self.good("checkpoint", "verify", self.path).out)

    def bad_files(self):
        answer = tarn("checkpoint", "verify", self.path, "--json")
        self.assertEqual((answer.status, answer.err), (1, ""), answer)
        self.assertIs(answer.json["ok"], False)
        self.assertEqual(answer.json["bad_count"], len(answer.json["bad"]))
        for bad in answer.json["bad"]:
            self.assertNotEqual(bad["problem"], "")
        return sorted(bad["local_name"] for bad in answer.json["bad"])

    def test_each_bad_file_is_named(self):
        files = self.files()
        stored = [file for file in files if not file["inline"]]
        flipped = stored[0]
        self.assertGreater(len(files), len(stored))
        self.flip(flipped["path"], flipped["offset"] + 5)
        self.assertEqual(self.bad_files(), [flipped["local_name"]])
        table = tarn("checkpoint", "verify", self.path)
        self.assertEqual(table.status, 1, table)
        self.assertIn(flipped["path"], table.out)
        self.assertRegex(table.out, r"(?m)^word_count +0 +%s +%s " % (re.escape(flipped["local_name"]), re.escape(flipped["path"])))
        if flipped["packed"]:
            self.assertIn("%s in %s" % (flipped["local_name"], self.job), table.out)
        self.one_line(table.err)
        self.assertIn("is damaged: 1 of %d files are bad" % len(files), table.err)
        lost = [file["local_name"] for file in stored if file["path"] == flipped["path"]]
        os.truncate(os.path.join(self.job, flipped["path"]), 3)
        self.assertEqual(self.bad_files(), sorted(lost))
        os.remove(os.path.join(self.job, flipped["path"]))
        self.assertEqual(self.bad_files(), sorted(lost))
        self.assertIn("%s does not exist" % os.path.join(self.job, flipped["path"]), tarn("checkpoint", "verify", self.path).out)

    def test_damaged_metadata_is_refused(self):
        self.flip("chk-2/_metadata", 100)
        self.assertIn("_metadata", self.refused("checkpoint", "verify", self.path))
        self.assertIn("_metadata", self.refused_json("checkpoint", "verify", self.path))

    def test_an_unfinished_one_is_refused(self):
        os.remove(os.path.join(self.path, "_metadata"))
        self.assertIn("_metadata", self.refused("checkpoint", "verify", self.path))

    def test_progress_is_for_terminals_only(self):
        # good() has seen that there is none elsewhere.
        ours, theirs = pty.openpty()
        run = subprocess.run(
            [COMMAND, "checkpoint", "verify", self.path], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=theirs, timeout=TIMEOUT_S, check=False)
        os.close(theirs)
        shown = os.read(ours, 4096).decode()
        os.close(ours)
        self.assertEqual(run.returncode, 0)
        self.assertIn("verified ", shown)
        self.assertTrue(shown.endswith("\r\033[K"), repr(shown))
        self.assertNotIn("\033", run.stdout.decode())


class Remote(Checkpoint):
    """Checkpoints in an S3 that only --conf and -D lead to."""

    def setUp(self):
        super().setUp()
        self.s3 = S3()
        self.addCleanup(self.s3.stop)
        self.s3.take(self.folder, "bucket")
        self.there = "s3://bucket/word_count"

    def test_every_command_finds_them(self):
        o = self.s3.options
        shown = self.good_json("checkpoint", "show", self.there, *o)
        self.assertEqual((shown["id"], shown["path"]), (2, self.there + "/chk-2"))
        self.assertEqual([entry["id"] for entry in self.good_json("checkpoint", "list", self.there, *o)["checkpoints"]], [2])
        rows = self.good_json("checkpoint", "verify", self.there, *o)["row_count"]
        (state,) = self.good_json("checkpoint", "diff", self.path, self.there + "/chk-2", *o)["states"]
        self.assertEqual((state["put"], state["changed"], state["removed"]), (0, 0, 0))
        self.good("checkpoint", "gc", "--dry-run", self.there, *o)
        saved = self.good_json("checkpoint", "export", self.there, "s3://bucket/savepoints", *o)["path"]
        self.assertTrue(saved.startswith("s3://bucket/savepoints/savepoint-2-"), saved)
        (state,) = self.good_json("checkpoint", "diff", self.there, saved, *o)["states"]
        self.assertEqual((state["put"], state["changed"], state["removed"]), (0, 0, 0))
        moved = self.good_json("checkpoint", "rekey", "--max-parallelism", "720", saved, "s3://bucket/savepoints", *o)
        self.assertEqual(moved["max_parallelism"], 720)
        lines = os.path.join(self.folder, "rows.jsonl")
        self.good("checkpoint", "export", saved, "--lines", lines, *o)
        made = self.good_json("checkpoint", "import", lines, "s3://bucket/imported", *o)["path"]
        self.assertLessEqual(self.good_json("checkpoint", "verify", made, *o)["row_count"], rows)

    def test_options_come_from_files_and_those_of_the_command_line_go_first(self):
        options = self.s3.options[1::2]
        lines = [option.replace("=", ": ", 1) + "\n" for option in options]
        good = self.write("flink-conf.yaml", "taskmanager.memory.process.size: 9g\ntaskmanager.memory.flink.size: 1m\n" + "".join(lines))
        self.assertEqual(self.good_json("checkpoint", "show", "--conf", good, self.there)["id"], 2)
        bad = self.write("bad.yaml", "s3:\n  endpoint: http://127.0.0.1:1\n")
        self.assertEqual(self.good_json("checkpoint", "show", *self.s3.options, "--conf", bad, self.there)["id"], 2)
        self.assertEqual(self.good_json("checkpoint", "show", "--conf", bad, "--conf", good, self.there)["id"], 2)
        self.assertIn("127.0.0.1:1", self.refused(
            "checkpoint", "show", "--conf", good, "--conf", bad, "-D", "tarn.storage.retry.attempts=1", self.there))

    def test_bad_options_are_named(self):
        for command in (["show", "x"], ["list", "x"], ["verify", "x"], ["diff", "x", "y"], ["gc", "x"], ["export", "x", "y"],
                        ["import", "x", "y"], ["rekey", "--max-parallelism", "8", "x", "y"]):
            with self.subTest(command=command):
                self.assertIn("nowhere.yaml", self.refused("checkpoint", *command, "--conf", "nowhere.yaml"))
                self.assertIn("is not key=value", self.misused("checkpoint", *command, "-D", "endpoint"))
        self.assertIn("tarn.storage.retry.attempts", self.refused(
            "checkpoint", "show", self.there, *self.s3.options, "-D", "tarn.storage.retry.attempts=many"))


class Memory(Checkpoint):
    def test_little_memory_is_enough_and_too_little_is_named(self):
        for size in ("64m", "500m"):
            target = os.path.join(self.folder, size)
            self.good("checkpoint", "export", self.path, target, "--memory", size)
            rows = os.path.join(self.folder, size + ".jsonl")
            self.good("checkpoint", "export", self.path, "--lines", rows, "--memory", size)
            self.good("checkpoint", "import", rows, target, "--memory", size)
        self.assertIn("taskmanager.memory.process.size", self.refused(
            "checkpoint", "export", self.path, self.folder, "--memory", "32m"))


class Usage(Case):
    def test_wrong_usage_is_named(self):
        self.misused("checkpoint")
        self.assertIn("'remove'", self.misused("checkpoint", "remove", "x"))
        for name in ("list", "show", "verify"):
            self.misused("checkpoint", name)
            self.misused("checkpoint", name, "a", "b")
        self.assertIn("'--files'", self.misused("checkpoint", "list", "--files", "a"))


if __name__ == "__main__":
    if not EXAMPLES:
        skip("the examples, which make the checkpoints, are not built")
    main()
