"""Signatures of requests to S3: a server that computes each one anew, by AWS's published rules, and refuses all others.

Usage: test_s3_signing.py TARN. The rules are first held against the signatures that AWS publishes: of its test suite for version 4
(those cases where S3 has no rule of its own), and of the examples in the documentation of S3.
"""
import hashlib
import hmac
import http.server
import os
import re
import subprocess
import sys
import tempfile
import threading
import unittest
from urllib.parse import quote, unquote
from xml.sax.saxutils import escape

TIMEOUT_S = 60
ACCESS, SECRET, SESSION = "ACCESS/KEY+OF=TEST", "secret/of+the=test", "session/token+of=the&test"
EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()


# --- The rules ---

def encode(text):
    return quote(text, safe="-_.~")


def canonical_path(path):
    return "/".join(encode(unquote(part)) for part in path.split("/"))


def canonical_query(query):
    pairs = [part.partition("=") for part in query.split("&") if part]
    return "&".join(sorted(encode(unquote(name)) + "=" + encode(unquote(value)) for name, _, value in pairs))


def hmac_sha256(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def signature_of(secret, scope, method, target, headers, signed, payload_sha256):
    """headers: pairs as they were sent. scope: DATE/REGION/SERVICE/aws4_request. signed: names, lower case, in order."""
    path, _, query = target.partition("?")
    values = {}
    for name, value in headers:
        values.setdefault(name.lower(), []).append(re.sub(" +", " ", value.strip()))
    lines = [name + ":" + ",".join(values[name]) for name in signed]
    request = "\n".join([method, canonical_path(path), canonical_query(query), *lines, "", ";".join(signed), payload_sha256])
    text = "\n".join(["AWS4-HMAC-SHA256", values["x-amz-date"][0], scope, hashlib.sha256(request.encode()).hexdigest()])
    key = ("AWS4" + secret).encode()
    for part in scope.split("/"):
        key = hmac_sha256(key, part)
    return hmac_sha256(key, text).hex()


class Rules(unittest.TestCase):
    """What AWS publishes comes out."""

    def expect(self, expected, scope, secret, method, target, headers, payload_sha256):
        signed = sorted({name.lower() for name, _ in headers})
        self.assertEqual(signature_of(secret, scope, method, target, headers, signed, payload_sha256), expected, target)

    def test_cases_of_the_suite(self):
        unreserved = "-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
        form = hashlib.sha256(b"Param1=value1").hexdigest()
        token = "6e86291e8372ff2a2260956d9b8aae1d763fbf315fa00fa31553b73ebf194267"
        my = "My-Header1"
        cases = [
            ("5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31", "GET", "/", [], EMPTY_SHA256),
            ("07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f", "GET", "/" + unreserved, [], EMPTY_SHA256),
            ("b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500", "GET", "/?Param2=value2&Param1=value1", [],
             EMPTY_SHA256),
            ("5772eed61e12b33fae39ee5e7012498b51d56abc0abb7c60486157bd471c4694", "GET", "/?Param1=value2&Param1=value1", [],
             EMPTY_SHA256),
            ("2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04", "GET", "/?\u1234=bar", [], EMPTY_SHA256),
            ("08c7e5a9acfcfeb3ab6b2185e75ce8b1deb5e634ec47601a50643f830c755c01", "GET", "/",
             [(my, "value4"), (my, "value1"), (my, "value3"), (my, "value2")], EMPTY_SHA256),
            ("c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea", "GET", "/",
             [(my, "value2"), (my, "value2"), (my, "value1")], EMPTY_SHA256),
            ("acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736", "GET", "/",
             [(my, " value1"), ("My-Header2", '"a   b   c"')], EMPTY_SHA256),
            ("ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a", "POST", "/",
             [("Content-Type", "application/x-www-form-urlencoded")], form),
            ("07ec1639c89043aa0e3e2de82b96708f198cceab042d4a97044c66dd9f74e7f8", "GET", "/",
             [("X-Amz-Security-Token", token)], EMPTY_SHA256),
        ]
        for expected, method, target, headers, payload in cases:
            headers = headers + [("Host", "example.amazonaws.com"), ("X-Amz-Date", "20150830T123600Z")]
            self.expect(expected, "20150830/us-east-1/service/aws4_request", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", method,
                        target, headers, payload)

    def test_examples_of_s3(self):
        body = hashlib.sha256(b"Welcome to Amazon S3.").hexdigest()
        cases = [
            ("f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41", "GET", "/test.txt", [("Range", "bytes=0-9")],
             EMPTY_SHA256),
            ("98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd", "PUT", "/test%24file.text",
             [("Date", "Fri, 24 May 2013 00:00:00 GMT"), ("x-amz-storage-class", "REDUCED_REDUNDANCY")], body),
            ("fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543", "GET", "/?lifecycle", [], EMPTY_SHA256),
            ("34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7", "GET", "/?max-keys=2&prefix=J", [], EMPTY_SHA256),
        ]
        for expected, method, target, headers, payload in cases:
            headers = headers + [("Host", "examplebucket.s3.amazonaws.com"), ("x-amz-date", "20130524T000000Z"),
                                 ("x-amz-content-sha256", payload)]
            self.expect(expected, "20130524/us-east-1/s3/aws4_request", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", method, target,
                        headers, payload)


# --- The server ---

class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.lock = threading.Lock()
        self.objects = {}
        self.parts = {}
        self.seen = []   # (method, target, names of headers, what x-amz-content-sha256 said)
        self.wrong = []  # Why requests were refused.
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1

    def log_message(self, *_):
        pass

    def check(self, body):
        """Says what is wrong with the request's signature, or nothing."""
        headers = [(name, value) for name, value in self.headers.items()]
        names = {name.lower() for name, _ in headers}
        found = re.fullmatch(r"AWS4-HMAC-SHA256 Credential=(.*)/(\d{8}/test-region-1/s3/aws4_request), ?"
                             r"SignedHeaders=([a-z0-9;-]+), ?Signature=([0-9a-f]{64})", self.headers.get("Authorization", ""))
        if not found or found[1] != ACCESS:
            return "no such credentials"
        signed = found[3].split(";")
        if signed != sorted(signed) or "host" not in signed:
            return "the signed headers are not in order"
        if [name for name in names if name.startswith("x-amz-") and name not in signed]:
            return "a header of AWS is not signed"
        if self.headers.get("x-amz-security-token") != SESSION:
            return "the session's token is missing"
        stated = self.headers["x-amz-content-sha256"]
        if stated not in ("UNSIGNED-PAYLOAD", hashlib.sha256(body).hexdigest()):
            return "another body was signed"
        path, _, query = self.path.partition("?")
        if path != canonical_path(path) or query != canonical_query(query):
            return "the target is not in its canonical form"
        if signature_of(SECRET, found[2], self.command, self.path, headers, signed, stated) != found[4]:
            return "another request was signed"
        return None

    def answer(self, status, body=b"", headers=()):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def serve(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        wrong = self.check(body)
        path, _, query = self.path.partition("?")
        parameters = {unquote(name): unquote(value) for name, _, value in (p.partition("=") for p in query.split("&") if p)}
        key = unquote(path).removeprefix("/bucket/")
        with self.server.lock:
            self.server.seen.append((self.command, self.path, {name.lower() for name in self.headers},
                                     self.headers.get("x-amz-content-sha256")))
            if wrong:
                self.server.wrong.append((wrong, self.command, self.path))
                self.answer(403, b"<Error><Code>SignatureDoesNotMatch</Code></Error>")
            else:
                getattr(self, "serve_" + self.command)(key, parameters, body)

    do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = serve

    def serve_PUT(self, key, parameters, body):
        etag = '"' + hashlib.md5(body).hexdigest() + '"'
        if "partNumber" in parameters:
            self.server.parts[int(parameters["partNumber"])] = body
        else:
            self.server.objects[key] = body
        self.answer(200, headers=[("ETag", etag)])

    def serve_POST(self, key, parameters, body):
        if "uploads" in parameters:
            self.answer(200, b"<InitiateMultipartUploadResult><UploadId>a+b/c=d e%</UploadId></InitiateMultipartUploadResult>")
        elif "delete" in parameters:
            for name in re.findall(rb"<Key>(.*?)</Key>", body):
                self.server.objects.pop(name.decode(), None)
            self.answer(200, b"<DeleteResult/>")
        else:
            assert parameters["uploadId"] == "a+b/c=d e%"
            self.server.objects[key] = b"".join(part for _, part in sorted(self.server.parts.items()))
            self.answer(200, b"<CompleteMultipartUploadResult><ETag>x</ETag></CompleteMultipartUploadResult>")

    def serve_HEAD(self, key, _, __):
        found = self.server.objects.get(key)
        self.answer(404 if found is None else 200, found or b"")

    def serve_DELETE(self, key, _, __):
        self.server.objects.pop(key, None)
        self.answer(204)

    def serve_GET(self, key, parameters, _):
        if "list-type" in parameters:
            self.serve_list(parameters)
            return
        found = self.server.objects.get(key)
        if found is None:
            self.answer(404, b"<Error><Code>NoSuchKey</Code></Error>")
            return
        first, last = map(int, re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers["Range"]).groups())
        part = found[first:last + 1]
        if not part:
            self.answer(416)
            return
        self.answer(206, part, [("Content-Range", f"bytes {first}-{first + len(part) - 1}/{len(found)}")])

    def serve_list(self, parameters):
        """Two keys on a page; the token of the next page has what has to be encoded."""
        after = parameters.get("continuation-token", "").removeprefix("a+b/c=d %")
        keys = [key for key in sorted(self.server.objects) if key.startswith(parameters.get("prefix", "")) and key > after]
        contents = "".join(f"<Contents><Key>{escape(quote(key, safe='/'))}</Key><Size>{len(self.server.objects[key])}</Size>"
                           "</Contents>" for key in keys[:2])
        more = f"<NextContinuationToken>a+b/c=d %{escape(keys[1])}</NextContinuationToken>" if len(keys) > 2 else ""
        self.answer(200, ("<ListBucketResult>" + f"<IsTruncated>{str(len(keys) > 2).lower()}</IsTruncated>" + contents + more +
                          "<EncodingType>url</EncodingType></ListBucketResult>").encode())


NAMES = ["plain", "a b", "a+b", "a%20b", "100%", "a=b&c=d", "a?b#c", "\u00e9\u20ac\U0001f600", "a:b;c,d", "(a)!*'", "~a", "a@b$c"]


class Signing(unittest.TestCase):
    tarn = None

    def setUp(self):
        self.server = Server()
        self.folder = tempfile.TemporaryDirectory()
        self.file = os.path.join(self.folder.name, "file")
        self.settings = ["-D", f"s3.endpoint=http://127.0.0.1:{self.server.server_port}", "-D", "s3.endpoint.region=test-region-1",
                         "-D", "s3.access-key=" + ACCESS, "-D", "s3.secret-key=" + SECRET, "-D", "s3.session-token=" + SESSION,
                         "-D", "tarn.storage.retry.attempts=1"]

    def tearDown(self):
        self.assertEqual(self.server.wrong, [])
        self.server.shutdown()
        self.server.server_close()
        self.folder.cleanup()

    def run_tarn(self, *arguments):
        environment = dict(os.environ, no_proxy="127.0.0.1")
        run = subprocess.run([self.tarn, "storage", *arguments, *self.settings], stdin=subprocess.DEVNULL, capture_output=True,
                             timeout=TIMEOUT_S, check=False, env=environment)
        self.assertEqual(run.returncode, 0, run.stderr + run.stdout)
        for secret in (SECRET, SESSION):
            self.assertNotIn(secret.encode(), run.stdout + run.stderr)
        return run.stdout

    def write(self, content):
        with open(self.file, "wb") as file:
            file.write(content)

    def test_keys_of_all_kinds(self):
        for name in NAMES:
            self.write(name.encode())
            self.run_tarn("put", self.file, "s3://bucket/pre fix+%/" + name)
            self.assertEqual(self.server.objects, {"pre fix+%/" + name: name.encode()})
            self.assertEqual(self.run_tarn("get", "s3://bucket/pre fix+%/" + name), name.encode())
            self.run_tarn("rm", "s3://bucket/pre fix+%/" + name)
            self.assertEqual(self.server.objects, {})

    def test_pages_of_a_listing(self):
        for name in NAMES:
            self.server.objects["p/" + name] = b"x"
        listed = self.run_tarn("ls", "s3://bucket/p").decode()
        for name in NAMES:
            self.assertIn(name, listed)
        tokens = [target for _, target, _, _ in self.server.seen if "continuation-token=" in target]
        self.assertGreaterEqual(len(tokens), len(NAMES) // 2 - 1)

    def test_an_object_without_bytes(self):
        self.write(b"")
        self.run_tarn("put", self.file, "s3://bucket/empty")
        put = [seen for seen in self.server.seen if seen[0] == "PUT"]
        self.assertEqual([stated for _, _, _, stated in put], [EMPTY_SHA256])
        self.assertEqual(self.server.objects, {"empty": b""})

    def test_parts_signed_and_unsigned(self):
        content = os.urandom(12 << 20)
        self.write(content)
        for setting, unsigned in (("true", False), ("false", True)):
            self.server.seen.clear()
            self.run_tarn("put", self.file, "s3://bucket/a b/large", "-D", "s3.payload-signing=" + setting)
            self.assertEqual(self.server.objects["a b/large"], content)
            parts = [stated for _, target, _, stated in self.server.seen if "partNumber=" in target]
            self.assertEqual(len(parts), 3)
            self.assertEqual([stated == "UNSIGNED-PAYLOAD" for stated in parts], [unsigned] * 3)


if __name__ == "__main__":
    Signing.tarn = sys.argv.pop(1)
    unittest.main()
