"""Servers that lie: names that lead elsewhere, sizes beyond all measure, other hosts. No byte and no credential goes astray.

Usage: test_storage_lies.py TARN.
"""
import http.server
import json
import os
import subprocess
import sys
import tempfile
import threading
import unittest
from urllib.parse import parse_qs, urlsplit

TIMEOUT_S = 60
SECRET, TOKEN = "hidden-secret-of-the-test", "hidden-token-of-the-test"

# Names that a server may list, and no storage could have made: all are passed over.
ASTRAY = ["..", ".", "../x", "/etc/passwd", "a/../../x", "%2e%2e%2fx/..", "", "a\u0000b", "x" * 300]


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, answer):
        super().__init__(("127.0.0.1", 0), Handler)
        self.answer = answer  # Of a request: status, headers, body.
        self.seen = []        # Each request's line and head.
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def stop(self):
        self.shutdown()
        self.server_close()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def serve(self):
        self.rfile.read(int(self.headers.get("Content-Length", "0")))
        self.server.seen.append(self.requestline + "\n" + str(self.headers))
        status, headers, body = self.server.answer(self)
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if "Content-Length" not in headers:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
        self.close_connection = "Content-Length" in headers

    do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = serve


class Lies(unittest.TestCase):
    tarn = None

    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.servers = []

    def tearDown(self):
        for server in self.servers:
            server.stop()
        self.folder.cleanup()

    def serve(self, answer):
        self.servers.append(Server(answer))
        return self.servers[-1]

    def run_tarn(self, server, *arguments):
        """Its answer, and the most memory that it had in KiB."""
        settings = ["-D", f"s3.endpoint=http://127.0.0.1:{server.server_port}", "-D", "s3.access-key=access", "-D",
                    "s3.secret-key=" + SECRET, "-D", "s3.session-token=" + TOKEN, "-D", "webhdfs.delegation-token=" + TOKEN, "-D",
                    "tarn.storage.retry.attempts=1", "-D", "tarn.storage.stall-timeout=2 s"]
        measured = "import resource, subprocess, sys; run = subprocess.run(sys.argv[1:]); " \
                   "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr)"
        run = subprocess.run([sys.executable, "-c", measured, self.tarn, "storage", *arguments, "--json", *settings],
                             stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=TIMEOUT_S, check=False,
                             env=dict(os.environ, no_proxy="127.0.0.1"), cwd=self.folder.name)
        for secret in (SECRET, TOKEN):
            self.assertNotIn(secret, run.stdout + run.stderr)
        return json.loads(run.stdout), int(run.stderr.split()[-1])

    def expect_refused(self, server, *arguments):
        answer, resident_kib = self.run_tarn(server, *arguments)
        self.assertFalse(answer["ok"], answer)
        self.assertLess(resident_kib, 128 << 10)
        return answer["error"]

    def page(self, contents):
        return lambda _: (200, {}, ("<ListBucketResult><IsTruncated>false</IsTruncated>" + contents +
                                    "</ListBucketResult>").encode())

    def test_names_of_s3_that_lead_elsewhere(self):
        keys = ["good"] + [name for name in ASTRAY if "\0" not in name]
        keys += ["%2E%2E", "%2e%2e%2fx", "a%00b", "%2fabsolute"]  # Which encode such names.
        contents = "".join(f"<Contents><Key>p/{key}</Key><Size>1</Size></Contents>" for key in keys)
        contents += "<CommonPrefixes><Prefix>p/../</Prefix></CommonPrefixes>"
        server = self.serve(self.page("<EncodingType>url</EncodingType>" + contents))
        answer, _ = self.run_tarn(server, "ls", "s3://bucket/p")
        if answer["ok"]:
            self.assertEqual([entry["name"] for entry in answer["entries"]], ["good"])
        else:  # One that is not encoded right spoils the page as a whole.
            self.assertIn("cannot be understood", answer["error"])
            contents = contents.replace("<Contents><Key>p/a%00b</Key><Size>1</Size></Contents>", "")
            server.answer = self.page("<EncodingType>url</EncodingType>" + contents)
            answer, _ = self.run_tarn(server, "ls", "s3://bucket/p")
            self.assertEqual([entry["name"] for entry in answer["entries"]], ["good"])

    def test_keys_of_s3_that_were_not_asked_for(self):
        server = self.serve(self.page("<Contents><Key>q/x</Key><Size>1</Size></Contents>"))
        self.assertIn("not below the prefix", self.expect_refused(server, "ls", "s3://bucket/p"))

    def test_names_of_hdfs_that_lead_elsewhere(self):
        def page(names):
            statuses = [{"pathSuffix": name, "type": "FILE", "length": 1, "modificationTime": 1} for name in names]
            listing = {"DirectoryListing": {"partialListing": {"FileStatuses": {"FileStatus": statuses}}, "remainingEntries": 0}}
            return lambda _: (200, {"Content-Type": "application/json"}, json.dumps(listing).encode())

        harmful = [name for name in ASTRAY if "\0" not in name and len(name) < 256]
        server = self.serve(page(["good"] + harmful))
        place = f"webhdfs://127.0.0.1:{server.server_port}/p"
        answer, _ = self.run_tarn(server, "ls", place)
        self.assertEqual([entry["name"] for entry in answer["entries"]], ["good"])
        for name in set(ASTRAY) - set(harmful):  # These spoil the page as a whole.
            server.answer = page(["good", name])
            self.assertIn("cannot be understood", self.expect_refused(server, "ls", place))

    def test_sizes_beyond_all_measure(self):
        """What a peer states is neither believed nor made room for."""
        size = str(1 << 62)

        def answer(request):
            if request.command == "HEAD":
                return 200, {"Content-Length": size}, b""
            if "Range" in request.headers:
                return 206, {"Content-Length": size, "Content-Range": f"bytes 0-{size}/{size}"}, b"x" * 100
            return 200, {"Content-Length": size}, b"<ListBucketResult>"

        server = self.serve(answer)
        self.expect_refused(server, "ls", "s3://bucket/p")
        self.expect_refused(server, "get", "s3://bucket/p/x", "copy")
        self.expect_refused(server, "ls", f"webhdfs://127.0.0.1:{server.server_port}/p")
        self.assertEqual(os.listdir(self.folder.name), [])
        status = {"FileStatus": {"pathSuffix": "", "type": "FILE", "length": (1 << 64) - 1, "modificationTime": -1}}
        server.answer = lambda _: (200, {}, json.dumps(status).encode())
        self.expect_refused(server, "get", f"webhdfs://127.0.0.1:{server.server_port}/p/x", "copy")
        self.assertEqual(os.listdir(self.folder.name), [])

    def test_listings_without_an_end(self):
        """A page larger than any, and pages that go on for ever with nothing."""
        many = "<Contents><Key>p/x</Key><Size>1</Size></Contents>" * 300000
        server = self.serve(self.page(many))
        self.expect_refused(server, "ls", "s3://bucket/p")
        server.answer = lambda _: (200, {}, b"<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>")
        self.assertIn("not where", self.expect_refused(server, "ls", "s3://bucket/p"))

    def test_s3_that_points_to_another_host(self):
        other = self.serve(lambda _: (200, {}, b""))
        server = self.serve(lambda _: (307, {"Location": f"http://127.0.0.1:{other.server_port}/bucket/p"}, b""))
        for arguments in (("ls", "s3://bucket/p"), ("get", "s3://bucket/p/x", "copy")):
            self.assertIn("points elsewhere", self.expect_refused(server, *arguments))
        self.assertEqual(other.seen, [])

    def test_a_name_node_that_points_to_another_host(self):
        """A data node is another host by design: it is given what the name node says, and no token besides."""
        other = self.serve(lambda _: (200, {}, b"{}"))

        def answer(request):
            operation = parse_qs(urlsplit(request.path).query)["op"][0]
            if operation == "GETFILESTATUS":
                status = {"pathSuffix": "", "type": "FILE", "length": 2, "modificationTime": 1}
                return 200, {}, json.dumps({"FileStatus": status}).encode()
            return 307, {"Location": f"http://127.0.0.1:{other.server_port}/elsewhere" + urlsplit(request.path).path}, b""

        server = self.serve(answer)
        self.run_tarn(server, "get", f"webhdfs://127.0.0.1:{server.server_port}/p/x", "copy")
        self.assertTrue(any(TOKEN in seen for seen in server.seen))
        self.assertEqual(len(other.seen), 1)
        self.assertNotIn(TOKEN, other.seen[0])
        for place in ("file:///etc/passwd", "ftp://127.0.0.1/x", "//127.0.0.1/x", ""):
            server.answer = lambda request, place=place: (307, {"Location": place}, b"") \
                if "op=GETFILESTATUS" not in request.path else answer(request)
            error = self.expect_refused(server, "get", f"webhdfs://127.0.0.1:{server.server_port}/p/x", "copy")
            self.assertIn("no address that is followed", error)


if __name__ == "__main__":
    Lies.tarn = os.path.abspath(sys.argv.pop(1))
    unittest.main()
