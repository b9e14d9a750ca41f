"""`tarn plan`: bytes as the vectors have them, refusals, where sizes come from, wrong usage."""
import json
import os
import shutil
import subprocess

from command import SOURCE, TIMEOUT_S, Case, main, skip, tarn

DATA = os.path.join(SOURCE, "tests", "vectors", "data")
SAMPLE = 40  # Cases of each file: each is a process of its own.


def vectors(name):
    """Every case of a file of vectors."""
    path = os.path.join(DATA, name + ".jsonl.zst")
    text = subprocess.run(["zstd", "-dcq", path], stdout=subprocess.PIPE, timeout=TIMEOUT_S, check=True).stdout
    return [json.loads(line) for line in text.decode().splitlines()]


def sample(cases):
    """SAMPLE of the cases, spread over the file."""
    step = max(1, len(cases) // SAMPLE)
    return cases[::step]


def assignments(conf):
    return [word for key, value in conf.items() for word in ("-D", "%s=%s" % (key, value))]


class Vectors(Case):
    def check(self, kind, name):
        cases = sample(vectors(name))
        self.assertGreater(len([case for case in cases if case["ok"]]), 5)
        self.assertGreater(len([case for case in cases if not case["ok"]]), 5)
        for case in cases:
            legacy = "--legacy" if case["path"] == "shell" else "--no-legacy"
            with self.subTest(case["id"]):
                arguments = ("plan", kind, legacy, *assignments(case["conf"]))
                if case["ok"]:
                    self.assertEqual(self.good_json(*arguments), {"ok": True, "bytes": case["bytes"]})
                else:
                    self.assertNotEqual(self.refused_json(*arguments), "")

    def test_a_taskmanager_has_the_pools_of_the_vectors(self):
        self.check("taskmanager", "tm_memory")

    def test_a_jobmanager_has_the_pools_of_the_vectors(self):
        self.check("jobmanager", "jm_memory")

    def test_rocksdb_has_the_shares_of_the_vectors(self):
        names = ("per_slot", "cache_capacity", "write_buffer_manager_capacity", "default_arena_block_size",
                 "mutable_limit", "arena_used")
        count = 0
        for case in vectors("rocksdb_memory"):
            # No option sets the arena block, and none takes a write buffer of nothing.
            if case["kind"] != "calc" or case["arena_block_size_configured"] > 0 or case["write_buffer_size"] < 1:
                continue
            prefix = "state.backend.rocksdb."
            answer = tarn(
                "plan", "rocksdb", "--json", "--managed", str(case["managed_total"]), "--slots", str(case["slots"]),
                "-D", prefix + "memory.write-buffer-ratio=%r" % case["write_buffer_ratio"],
                "-D", prefix + "memory.high-prio-pool-ratio=%r" % case["high_priority_ratio"],
                "-D", prefix + "writebuffer.size=%d" % case["write_buffer_size"])
            if "bytes" not in answer.json:
                self.assertIn("leave nothing of the cache", answer.json["error"])
                continue
            with self.subTest(case["id"]):
                count += 1
                self.assertEqual({name: answer.json["bytes"][name] for name in names},
                                 {name: case[name] for name in names})
                self.assertIs(answer.json["arena_valid"], case["arena_valid"])
                fitted = min(case["arena_used"], 64 << 10)
                is_refused = not case["arena_valid"] and fitted > case["mutable_limit"]
                self.assertEqual(answer.status, 1 if is_refused else 0)
        self.assertGreater(count, 5)


class Json(Case):
    def test_the_answer_is_exactly_one_line(self):
        answer = self.good("plan", "taskmanager", "-D", "taskmanager.memory.process.size=1728m", "--json")
        self.assertEqual(
            answer.out,
            '{"ok":true,"bytes":{"total_process":1811939328,"total_flink":1342177280,"framework_heap":134217728,'
            '"task_heap":402653174,"managed":536870920,"framework_offheap":134217728,"task_offheap":0,'
            '"network":134217730,"jvm_metaspace":268435456,"jvm_overhead":201326592}}\n')

    def test_options_may_stand_anywhere(self):
        expected = self.good("plan", "jobmanager", "-D", "jobmanager.memory.process.size=1600m", "--json").out
        for arguments in (["--json", "-Djobmanager.memory.process.size=1600m", "jobmanager"],
                          ["-D", "jobmanager.memory.process.size=1600m", "jobmanager", "--json"]):
            self.assertEqual(self.good("plan", *arguments).out, expected)

    def test_a_refused_plan_says_why_in_json(self):
        self.assertIn("taskmanager.memory.process.size", self.refused_json("plan", "taskmanager"))

    def test_a_refused_plan_says_why_on_stderr(self):
        self.assertIn("jobmanager.memory.process.size", self.refused("plan", "jobmanager"))

    def test_an_error_about_bytes_that_are_no_text_is_still_json(self):
        error = self.refused_json("plan", "taskmanager", "-D", b"taskmanager.memory.process.size=\xff1g")
        self.assertIn("\ufffd1g", error)


class Sources(Case):
    """Each pool says where its size comes from."""

    def rows(self, *arguments):
        rows = self.columns(self.good("plan", *arguments).out)
        # POOL BYTES SIZE UNIT SHARE SOURCE WHY...
        return {row[0]: row for row in rows[1:] if len(row) > 6}

    def test_set_default_and_derived(self):
        rows = self.rows("taskmanager", "-D", "taskmanager.memory.process.size=1728m")
        self.assertEqual(
            rows["total_process"],
            "total_process 1811939328 1.7 GiB 100.0% set taskmanager.memory.process.size = 1728m (-D)".split())
        self.assertEqual(rows["framework_heap"][5], "default")
        self.assertEqual(rows["task_heap"][5:], "derived what the other pools leave".split())
        self.assertEqual(rows["managed"][5:], "derived share: taskmanager.memory.managed.fraction = 0.4".split())
        self.assertEqual(rows["jvm_overhead"][5:],
                         "derived smallest: taskmanager.memory.jvm-overhead.min = 192 mb".split())

    def test_numbers_are_aligned_to_the_right(self):
        lines = self.good("plan", "taskmanager", "-D", "taskmanager.memory.process.size=1728m").out.splitlines()
        end = lines[0].index("BYTES") + len("BYTES")
        for line in lines[1:11]:
            self.assertRegex(line[:end], r"^ *\w+ +\d+$")

    def test_a_file_is_named_with_its_line(self):
        path = self.write("flink-conf.yaml", "# A comment\ntaskmanager.memory.flink.size: 1g\n")
        rows = self.rows("taskmanager", "--conf", path)
        self.assertEqual(rows["total_flink"][5], "set")
        self.assertIn(":2)", rows["total_flink"][-1])

    def test_an_assignment_goes_before_a_file(self):
        path = self.write("flink-conf.yaml", "taskmanager.memory.process.size: 1g\n")
        answer = self.good_json("plan", "taskmanager", "-D", "taskmanager.memory.process.size=2g", "--conf", path)
        self.assertEqual(answer["bytes"]["total_process"], 2 << 30)

    def test_a_later_file_goes_before_an_earlier_one(self):
        first = self.write("flink-conf.yaml", "taskmanager.memory.process.size: 1g\n")
        second = self.write("config.yaml", "taskmanager: {memory: {process: {size: 2g}}}\n")
        answer = self.good_json("plan", "taskmanager", "--conf", first, "--conf", second)
        self.assertEqual(answer["bytes"]["total_process"], 2 << 30)

    def test_heap_keys_of_old_releases_count_unless_told(self):
        rows = self.rows("taskmanager", "-D", "taskmanager.heap.size=1g")
        self.assertEqual(rows["total_flink"][5:], "set taskmanager.heap.size = 1g (-D)".split())
        rows = self.rows("jobmanager", "-D", "jobmanager.heap.mb=1024")
        self.assertEqual(rows["heap"][5:], "set jobmanager.heap.mb = 1024 (-D)".split())
        self.refused("plan", "taskmanager", "-D", "taskmanager.heap.size=1g", "--no-legacy")

    def test_a_number_of_network_buffers_is_named(self):
        rows = self.rows("taskmanager", "-D", "taskmanager.memory.flink.size=1g",
                         "-D", "taskmanager.network.numberOfBuffers=4096")
        self.assertEqual(rows["network"][5:], "set taskmanager.network.numberOfBuffers = 4096 (-D)".split())


class RocksDB(Case):
    def test_managed_memory_is_that_of_the_plan(self):
        plan = self.good_json("plan", "taskmanager", "-D", "taskmanager.memory.process.size=4g")
        share = self.good_json("plan", "rocksdb", "-D", "taskmanager.memory.process.size=4g",
                               "-D", "taskmanager.numberOfTaskSlots=4")
        self.assertEqual(share["bytes"]["managed_total"], plan["bytes"]["managed"])
        self.assertEqual(share["bytes"]["per_slot"], plan["bytes"]["managed"] // 4)
        self.assertEqual(share["slots"], 4)
        self.assertEqual(share["write_buffer_ratio"], 0.5)

    def test_what_needs_no_plan_asks_for_none(self):
        fixed = self.good_json("plan", "rocksdb", "-D", "state.backend.rocksdb.memory.fixed-per-slot=256m")
        self.assertEqual(fixed["bytes"]["per_slot"], 256 << 20)
        managed = self.good_json("plan", "rocksdb", "-D", "taskmanager.memory.managed.size=512m")
        self.assertEqual(managed["bytes"]["per_slot"], 512 << 20)
        own = self.good_json("plan", "rocksdb", "-D", "state.backend.rocksdb.memory.managed=false")
        self.assertIs(own["is_shared"], False)

    def test_nothing_to_divide_is_refused(self):
        self.assertIn("taskmanager.memory.process.size", self.refused_json("plan", "rocksdb"))

    def test_a_contradictory_taskmanager_is_refused(self):
        self.refused_json("plan", "rocksdb", "-D", "taskmanager.memory.process.size=100m")

    def test_memtables_that_would_flush_without_end_are_refused_with_the_numbers(self):
        block = ("-D", "tarn.rocksdb.arena-block-size=4m")
        answer = tarn("plan", "rocksdb", "--managed", "10m", "--json", *block)
        self.assertEqual(answer.status, 1, answer)
        self.assertIs(answer.json["ok"], False)
        self.assertIn("3058346 bytes", answer.json["error"])
        self.assertEqual(answer.json["bytes"]["mutable_limit"], 3058346)
        self.assertEqual(answer.json["bytes"]["arena_used"], 4 << 20)
        table = tarn("plan", "rocksdb", "--managed", "10m", *block)
        self.assertEqual(table.status, 1, table)
        self.assertIn("flush without end", table.err)
        self.assertIn("arena block fits: no", table.out)
        self.assertEqual(tarn("plan", "rocksdb", "--managed", "200k").status, 1)

    def test_a_block_that_is_fitted_is_not_refused(self):
        table = tarn("plan", "rocksdb", "--managed", "10m")
        self.assertEqual(table.status, 0, table)
        self.assertIn("arena block fits: no", table.out)


class Usage(Case):
    def test_wrong_operands_are_named(self):
        self.misused("plan")
        self.assertIn("'worker'", self.misused("plan", "worker"))
        self.assertIn("'jobmanager'", self.misused("plan", "taskmanager", "jobmanager"))

    def test_wrong_values_are_named(self):
        self.assertIn("-D 'size'", self.misused("plan", "taskmanager", "-D", "size"))
        self.assertIn("'much'", self.misused("plan", "rocksdb", "--managed", "much"))
        for slots in ("0", "-1", "1x", "", "2147483648"):
            self.assertIn("--slots '%s'" % slots, self.misused("plan", "rocksdb", "--slots", slots))

    def test_options_of_rocksdb_are_for_rocksdb(self):
        self.misused("plan", "taskmanager", "--slots", "4")

    def test_a_missing_file_is_refused(self):
        path = os.path.join(self.folder, "none.yaml")
        self.assertIn(path, self.refused("plan", "taskmanager", "--conf", path))
        self.assertIn(path, self.refused_json("plan", "taskmanager", "--conf", path))

    def test_a_bad_value_is_named_with_its_place(self):
        path = self.write("flink-conf.yaml", "\ntaskmanager.memory.process.size: lots\n")
        error = self.refused("plan", "taskmanager", "--conf", path)
        for part in (path + ":2", "lots", "taskmanager.memory.process.size"):
            self.assertIn(part, error)


if __name__ == "__main__":
    if not shutil.which("zstd"):
        skip("zstd, which unpacks the vectors, is not installed")
    main()
