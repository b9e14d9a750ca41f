"""`tarn key-group`: hashes, groups, subtasks and ranges; keys of each form."""
from command import Case, main


def murmur(code):
    """Flink's MathUtils.murmurHash(), written down once more."""
    def rotated(number, bits):
        return (number << bits | number >> 32 - bits) & 0xFFFFFFFF

    code = rotated(code * 0xCC9E2D51 & 0xFFFFFFFF, 15) * 0x1B873593 & 0xFFFFFFFF
    code = (rotated(code, 13) * 5 + 0xE6546B64) & 0xFFFFFFFF
    code ^= 4
    code = (code ^ code >> 16) * 0x85EBCA6B & 0xFFFFFFFF
    code = (code ^ code >> 13) * 0xC2B2AE35 & 0xFFFFFFFF
    code ^= code >> 16
    signed = code - (1 << 32) if code >= 1 << 31 else code
    return 0 if signed == -(1 << 31) else abs(signed)


def java_string_hash(text):
    units = text.encode("utf-16-be")
    code = 0
    for at in range(0, len(units), 2):
        code = (31 * code + (units[at] << 8 | units[at + 1])) & 0xFFFFFFFF
    return code - (1 << 32) if code >= 1 << 31 else code


class KeyGroup(Case):
    def test_keys_go_where_flink_puts_them(self):
        keys = ["", "a", "N14228", "JFK-LAX", "Größe", "\U0001F600"]
        answer = self.good_json(
            "key-group", "--max-parallelism", "128", "--parallelism", "3", "--hash", "java-string", *keys)
        self.assertEqual((answer["max_parallelism"], answer["parallelism"], answer["hash"]), (128, 3, "java-string"))
        self.assertEqual([place["key"] for place in answer["keys"]], keys)
        for place in answer["keys"]:
            with self.subTest(place["key"]):
                code = java_string_hash(place["key"])
                group = murmur(code & 0xFFFFFFFF) % 128
                subtask = group * 3 // 128
                self.assertEqual(place, {
                    "key": place["key"], "hash": code, "murmur": murmur(code & 0xFFFFFFFF), "key_group": group,
                    "subtask": subtask, "key_groups": {
                        "first": (subtask * 128 + 2) // 3, "last": ((subtask + 1) * 128 - 1) // 3}})

    def test_without_a_parallelism_there_are_no_subtasks(self):
        answer = self.good_json("key-group", "--max-parallelism", "16", "a")
        self.assertEqual(sorted(answer["keys"][0]), ["hash", "key", "key_group", "murmur"])
        self.assertNotIn("parallelism", answer)

    def test_without_a_maximum_flinks_choice_is_taken(self):
        self.assertEqual(self.good_json("key-group", "--parallelism", "4", "a")["max_parallelism"], 128)
        self.assertEqual(self.good_json("key-group", "--parallelism", "200", "a")["max_parallelism"], 512)

    def hash_of(self, kind, *arguments):
        (place,) = self.good_json("key-group", "--max-parallelism", "8", "--hash", kind, *arguments)["keys"]
        return place["hash"]

    def test_hashes_of_java(self):
        self.assertEqual(self.hash_of("java-int", "2147483647"), 2147483647)
        self.assertEqual(self.hash_of("java-long", "4294967296"), 1)
        self.assertEqual(self.hash_of("java-bytes", "a"), 31 + 97)
        self.assertEqual(self.hash_of("java-string", "ab"), 97 * 31 + 98)

    def test_a_negative_number_follows_two_dashes(self):
        answer = self.good("key-group", "--max-parallelism", "8", "--hash", "java-int", "--json", "--", "-5")
        self.assertEqual(answer.json["keys"][0]["hash"], -5)

    def test_bytes_in_hexadecimal(self):
        for kind in ("bytes", "java-bytes", "java-string"):
            self.assertEqual(self.hash_of(kind, "--hex", "0x6162"), self.hash_of(kind, "ab"))
        self.assertEqual(self.hash_of("java-bytes", "--hex", "0xFF"), 31 - 1)
        self.assertEqual(self.hash_of("java-bytes", "--hex", "0x"), 1)

    def test_the_table(self):
        rows = self.columns(self.good(
            "key-group", "--max-parallelism", "128", "--parallelism", "4", "--hash", "java-string", "a", "b").out)
        self.assertEqual(rows[0], "KEY HASH MURMUR KEY GROUP SUBTASK ITS KEY GROUPS".split())
        group = murmur(97) % 128
        self.assertEqual(rows[1], ["a", "97", str(murmur(97)), str(group), str(group // 32), "%d-%d" % (
            group // 32 * 32, group // 32 * 32 + 31)])
        self.assertEqual(len(rows), 3)

    def test_wrong_usage_is_named(self):
        self.assertIn("--max-parallelism is missing", self.misused("key-group", "a"))
        self.assertIn("a key is missing", self.misused("key-group", "--max-parallelism", "8"))
        self.assertIn("exceeds", self.misused("key-group", "--max-parallelism", "8", "--parallelism", "9", "a"))
        self.assertIn("'md5'", self.misused("key-group", "--max-parallelism", "8", "--hash", "md5", "a"))
        for number in ("0", "32769", "x", "", "1.5", "99999999999999999999"):
            self.assertIn("'%s'" % number, self.misused("key-group", "--max-parallelism", number, "a"))

    def test_a_key_of_another_form_is_named(self):
        for kind, key in (("java-int", "2147483648"), ("java-int", "x"), ("java-int", " 1"), ("java-long", "1e3")):
            self.assertIn("'%s'" % key, self.misused("key-group", "--max-parallelism", "8", "--hash", kind, key))
        for key in ("6162", "0x6", "0xzz", ""):
            self.assertIn("'%s'" % key, self.misused("key-group", "--max-parallelism", "8", "--hex", key))
        self.misused("key-group", "--max-parallelism", "8", "--hash", "java-int", "--hex", "0x01")


if __name__ == "__main__":
    main()
