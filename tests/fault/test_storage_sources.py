"""Where the command finds what it needs for a storage behind a network: which server an address means, and which user,
keys, token and region the requests have that arrive there. A server notes them and answers that there is nothing."""
import http.server
import os
import re
import subprocess
import sys
import tempfile
import threading
import unittest
import urllib.parse

TIMEOUT_S = 60


class Note(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.notes.append((self.headers["Host"], self.path, dict(self.headers)))
        expire, self.server.expire = self.server.expire, None
        body = b"<Error><Code>ExpiredToken</Code><Message>It ran out.</Message></Error>" if expire else b""
        if expire:
            expire()
        self.send_response(403 if expire else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_HEAD = do_GET

    def log_message(self, *_):
        pass


class Sources(unittest.TestCase):
    tarn = None

    def setUp(self):
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Note)
        self.server.notes = []
        self.server.expire = None  # Called by the next request, which then is refused.
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.addCleanup(self.server.server_close)
        self.addCleanup(self.server.shutdown)
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def ask(self, address, *settings, **variables):
        """Asks for an object below a place where there is nothing; answers host, path, query and heads of the first request,
        which lists the place."""
        environment = {"PATH": os.environ["PATH"], "no_proxy": "127.0.0.1,localhost", "HOME": self.folder}
        environment.update({k: v for k, v in os.environ.items() if k.endswith("SAN_OPTIONS")}, **variables)
        words = [word for setting in settings for word in ("-D", setting)]
        self.server.notes.clear()
        run = subprocess.run([self.tarn, "storage", "get", address, os.path.join(self.folder, "none"), *words],
                             stdin=subprocess.DEVNULL, capture_output=True, timeout=TIMEOUT_S, check=False, env=environment)
        self.assertEqual(run.returncode, 1, run.stderr)
        self.assertTrue(self.server.notes, run.stderr)
        host, path, heads = self.server.notes[0]
        parts = urllib.parse.urlsplit(path)
        return host, parts.path, urllib.parse.parse_qs(parts.query), heads

    def key_and_region(self, *settings, **variables):
        variables.setdefault("AWS_ENDPOINT_URL", f"http://127.0.0.1:{self.port}")
        heads = self.ask("s3://bucket/x", *settings, **variables)[3]
        found = re.search(r"Credential=([^/]+)/\d{8}/([^/]+)/s3/aws4_request", heads.get("Authorization", ""))
        self.assertIsNotNone(found, heads)
        return found.group(1), found.group(2), heads.get("x-amz-security-token")

    def test_keys_of_s3(self):
        file = os.path.join(self.folder, "credentials")
        with open(file, "w", encoding="utf-8") as out:
            out.write("[default]\naws_access_key_id = of-default\naws_secret_access_key = s\n"
                      "[other]\naws_access_key_id = of-other\naws_secret_access_key = s\naws_session_token = of-session\n")
        given = {"AWS_SHARED_CREDENTIALS_FILE": file}
        self.assertEqual(self.key_and_region(**given), ("of-default", "us-east-1", None))
        given["AWS_PROFILE"] = "other"
        self.assertEqual(self.key_and_region(**given), ("of-other", "us-east-1", "of-session"))
        given.update(AWS_ACCESS_KEY_ID="of-environment", AWS_SECRET_ACCESS_KEY="s")
        self.assertEqual(self.key_and_region(**given), ("of-environment", "us-east-1", None))
        given.update(AWS_SESSION_TOKEN="of-token")
        self.assertEqual(self.key_and_region(**given), ("of-environment", "us-east-1", "of-token"))
        settings = ["s3.access-key=of-configuration", "s3.secret-key=s"]
        self.assertEqual(self.key_and_region(*settings, **given), ("of-configuration", "us-east-1", None))
        settings = ["s3.access.key=of-old-spelling", "s3.secret.key=s"]
        self.assertEqual(self.key_and_region(*settings, **given), ("of-old-spelling", "us-east-1", None))

    def test_keys_of_the_home_directory(self):
        os.mkdir(os.path.join(self.folder, ".aws"))
        with open(os.path.join(self.folder, ".aws", "credentials"), "w", encoding="utf-8") as out:
            out.write("[default]\naws_access_key_id = of-home\naws_secret_access_key = s\n")
        self.assertEqual(self.key_and_region()[0], "of-home")

    def test_keys_that_ran_out_are_looked_for_again(self):
        file = os.path.join(self.folder, "credentials")

        def write(key):
            with open(file, "w", encoding="utf-8") as out:
                out.write(f"[default]\naws_access_key_id = {key}\naws_secret_access_key = s\naws_session_token = t\n")

        write("of-before")
        self.server.expire = lambda: write("of-after")
        self.assertEqual(self.key_and_region(AWS_SHARED_CREDENTIALS_FILE=file)[0], "of-before")
        self.assertIn("Credential=of-after/", self.server.notes[1][2]["Authorization"])

    def test_the_region_of_s3(self):
        keys = {"AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s"}
        self.assertEqual(self.key_and_region(AWS_DEFAULT_REGION="here-1", **keys)[1], "here-1")
        self.assertEqual(self.key_and_region(AWS_REGION="there-1", AWS_DEFAULT_REGION="here-1", **keys)[1], "there-1")
        self.assertEqual(self.key_and_region("s3.endpoint.region=own-1", AWS_REGION="there-1", **keys)[1], "own-1")

    def test_the_endpoint_of_s3_and_where_the_bucket_stands(self):
        keys = ["s3.access-key=k", "s3.secret-key=s"]
        here = f"http://127.0.0.1:{self.port}"
        nowhere = "http://127.0.0.1:9"
        host = f"127.0.0.1:{self.port}"
        self.assertEqual(self.ask("s3://bucket/p/x", *keys, AWS_ENDPOINT_URL=here)[:2], (host, "/bucket/"))
        self.assertEqual(self.ask("s3a://bucket/p/x", *keys, AWS_ENDPOINT_URL_S3=here, AWS_ENDPOINT_URL=nowhere)[:2],
                         (host, "/bucket/"))
        self.assertEqual(self.ask("s3p://bucket/p/x", *keys, "s3.endpoint=" + here, AWS_ENDPOINT_URL=nowhere)[:2],
                         (host, "/bucket/"))
        # Each name below localhost is this machine.
        found = self.ask("s3://bucket/p/x", *keys, f"s3.endpoint=http://localhost:{self.port}", "s3.path.style.access=false")
        self.assertEqual(found[:2], (f"bucket.localhost:{self.port}", "/"))
        self.assertEqual(found[2]["prefix"], ["p/"])

    def test_the_server_and_the_user_of_hdfs(self):
        at = f"127.0.0.1:{self.port}"
        host, path, query, _ = self.ask(f"webhdfs://{at}/p/x", HADOOP_USER_NAME="of-hadoop", USER="of-login")
        self.assertEqual((host, path), (at, "/webhdfs/v1/p"))
        self.assertEqual(query["user.name"], ["of-hadoop"])
        # Its port is that of another protocol.
        host, path, query, _ = self.ask("hdfs://127.0.0.1:8020/p/x", f"webhdfs.port={self.port}", USER="of-login")
        self.assertEqual((host, path), (at, "/webhdfs/v1/p"))
        self.assertEqual(query["user.name"], ["of-login"])
        query = self.ask(f"webhdfs://{at}/p/x", "webhdfs.user=of-configuration", HADOOP_USER_NAME="of-hadoop")[2]
        self.assertEqual(query["user.name"], ["of-configuration"])
        query = self.ask(f"webhdfs://{at}/p/x", "webhdfs.delegation-token=a+token/of=it", HADOOP_USER_NAME="of-hadoop")[2]
        self.assertEqual(query["delegation"], ["a+token/of=it"])
        self.assertNotIn("user.name", query)


if __name__ == "__main__":
    Sources.tarn = os.path.abspath(sys.argv.pop(1))
    unittest.main()
