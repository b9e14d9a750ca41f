"""The frame of the command: help, version, wrong usage, and what becomes of lost output."""
import os
import subprocess

from command import COMMAND, TIMEOUT_S, Case, main, tarn

COMMANDS = ["plan", "conf", "options", "key-group", "checkpoint", "checkpoint list", "checkpoint show",
            "checkpoint verify", "checkpoint diff", "checkpoint export", "checkpoint gc", "checkpoint import", "checkpoint rekey", "storage", "version", "help"]


def shell(script):
    """Runs a shell script, in which $TARN is the command."""
    run = subprocess.run(
        ["sh", "-c", script], env=dict(os.environ, TARN=COMMAND), stdin=subprocess.DEVNULL, capture_output=True,
        timeout=TIMEOUT_S, text=True, check=False)
    return run.returncode, run.stdout, run.stderr


class Help(Case):
    def test_help_lists_every_command(self):
        text = self.good("help").out
        for name in COMMANDS:
            self.assertIn("\n  %s" % name, text)
        self.assertEqual(self.good("--help").out, text)
        self.assertEqual(self.good("-h").out, text)

    def test_each_command_has_help_by_both_ways(self):
        for name in COMMANDS:
            with self.subTest(name):
                text = self.good("help", *name.split()).out
                self.assertTrue(text.startswith("Usage: tarn " + name), text)
                self.assertEqual(self.good(*name.split(), "--help").out, text)

    def test_help_fits_a_terminal(self):
        for name in COMMANDS:
            for line in self.good("help", *name.split()).out.splitlines():
                self.assertLessEqual(len(line), 92, line)

    def test_help_about_nothing_is_refused(self):
        self.assertIn("no command 'frobnicate'; see 'tarn help'", self.misused("help", "frobnicate"))


class Version(Case):
    def test_version_names_both_libraries(self):
        answer = self.good_json("version")
        self.assertEqual(sorted(answer), ["ok", "rocksdb", "tarn"])
        self.assertEqual(self.good("version").out, "tarn %(tarn)s (RocksDB %(rocksdb)s)\n" % answer)
        self.assertEqual(self.good("--version").out, self.good("version").out)

    def test_version_takes_no_operand(self):
        self.misused("version", "3")


class Usage(Case):
    def test_a_command_is_needed(self):
        self.assertIn("a command is missing", self.misused())

    def test_an_unknown_command_is_named(self):
        self.assertIn("unknown command 'frobnicate'", self.misused("frobnicate"))

    def test_a_command_of_the_second_level_is_two_words(self):
        self.misused("checkpoint list")

    def test_an_unknown_option_is_named(self):
        self.assertIn("unknown option '--frobnicate'", self.misused("--frobnicate"))
        for name in COMMANDS:
            if name != "checkpoint":
                with self.subTest(name):
                    self.assertIn("'--frobnicate'", self.misused(*name.split(), "--frobnicate"))
                    self.assertIn("'-Z'", self.misused(*name.split(), "-Z"))

    def test_an_option_without_its_value_is_named(self):
        self.assertIn("'--conf' needs a value", self.misused("plan", "taskmanager", "--conf"))
        self.assertIn("'-D' needs a value", self.misused("plan", "taskmanager", "-D"))

    def test_a_value_that_is_not_wanted_is_named(self):
        self.assertIn("'--json=yes' takes no value", self.misused("version", "--json=yes"))

    def test_wrong_usage_is_no_json(self):
        self.misused("plan", "--json")


class LostOutput(Case):
    def test_a_full_device_is_an_error(self):
        status, _, err = shell('"$TARN" options --json >/dev/full')
        self.assertEqual(status, 1)
        self.one_line(err)
        self.assertIn("cannot write the answer: No space left on device", err)

    def test_a_full_device_is_an_error_for_short_answers(self):
        status, _, err = shell('"$TARN" version >/dev/full')
        self.assertEqual(status, 1)
        self.one_line(err)

    def test_closed_stdout_is_an_error(self):
        status, out, err = shell('"$TARN" version >&-')
        self.assertEqual((status, out), (1, ""))
        self.one_line(err)

    def test_a_closed_pipe_ends_the_command_silently(self):
        # `true` reads nothing, and the answer is longer than a pipe holds.
        status, _, err = shell('{ "$TARN" options --json; echo "status $?" >&2; } | true')
        self.assertEqual(status, 0)
        self.assertEqual(err, "status 1\n")

    def test_closed_stdin_and_stderr_do_no_harm(self):
        status, out, _ = shell('"$TARN" version <&- 2>&-')
        self.assertEqual(status, 0)
        self.assertTrue(out.startswith("tarn "), out)

    def test_an_opened_file_never_takes_the_place_of_a_closed_stream(self):
        path = self.write("flink-conf.yaml", "parallelism.default: 4\n")
        status, out, _ = shell('"$TARN" conf "%s" --json <&- 2>&-' % path)
        self.assertEqual(status, 0)
        self.assertTrue(out.startswith('{"ok":true,'), out)


class Environment(Case):
    def test_output_does_not_depend_on_the_locale_or_the_width(self):
        for locale in ("C", "C.UTF-8", "POSIX"):
            with self.subTest(locale):
                answer = tarn("key-group", "--max-parallelism", "128", "é",
                              env=dict(os.environ, LC_ALL=locale, COLUMNS="20"))
                self.assertEqual(answer.status, 0, answer)
                self.assertEqual(answer.out, tarn("key-group", "--max-parallelism", "128", "é").out)
                self.assertIn("é", answer.out)


if __name__ == "__main__":
    main()
