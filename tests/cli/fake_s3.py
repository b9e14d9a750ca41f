"""As much of S3 as `tarn checkpoint` asks for, in memory, at 127.0.0.1. Signatures are not looked at."""
import http.server
import os
import re
import threading
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape


class S3(http.server.ThreadingHTTPServer):
    """objects: from "/bucket/name" to bytes."""
    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.objects = {}
        self.request_count = 0
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def options(self):
        """What tells the command where it is."""
        return ["-D", "s3.endpoint=http://127.0.0.1:%d" % self.server_port, "-D", "s3.access-key=access", "-D", "s3.secret-key=secret",
                "-D", "s3.path-style-access=true"]

    def take(self, folder, bucket):
        """Takes in every file below a folder."""
        for place, _, names in os.walk(folder):
            for name in names:
                path = os.path.join(place, name)
                with open(path, "rb") as file:
                    self.objects["/%s/%s" % (bucket, os.path.relpath(path, folder))] = file.read()

    def stop(self):
        self.shutdown()
        self.server_close()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, body=b"", **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def list(self, bucket, query):
        prefix, delimiter = query.get("prefix", [""])[0], query.get("delimiter", [""])[0]
        inside, below = [], set()
        for name in sorted(self.server.objects):
            name = name[len(bucket) + 1:] if name.startswith(bucket + "/") else None
            if name is None or not name.startswith(prefix):
                continue
            end = name.find(delimiter, len(prefix)) if delimiter else -1
            if end >= 0:
                below.add(name[:end + 1])
            else:
                inside.append(name)
        encode = escape
        text = "<?xml version='1.0'?><ListBucketResult><IsTruncated>false</IsTruncated>"
        for name in inside:
            text += ("<Contents><Key>%s</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified><Size>%d</Size></Contents>"
                     % (encode(name), len(self.server.objects["%s/%s" % (bucket, name)])))
        for name in sorted(below):
            text += "<CommonPrefixes><Prefix>%s</Prefix></CommonPrefixes>" % encode(name)
        self.answer(200, (text + "</ListBucketResult>").encode(), Content_Type="application/xml")

    def serve(self):
        self.server.request_count += 1
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        parts = urlsplit(self.path)
        path, query = unquote(parts.path), parse_qs(parts.query, keep_blank_values=True)
        objects = self.server.objects
        if self.command == "GET" and "list-type" in query:
            self.list(path.rstrip("/"), query)
        elif self.command == "PUT":
            objects[path] = body
            self.answer(200, ETag='"1"')
        elif self.command == "DELETE":
            objects.pop(path, None)
            self.answer(204)
        elif self.command == "POST" and "delete" in query:
            bucket = path.rstrip("/")
            for name in re.findall("<Key>([^<]*)</Key>", body.decode()):
                objects.pop("%s/%s" % (bucket, name), None)
            self.answer(200, b"<DeleteResult></DeleteResult>")
        elif path not in objects:
            self.answer(404, b"<Error><Code>NoSuchKey</Code></Error>")
        else:
            self.give(objects[path])

    def give(self, data):
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if wanted is None:
            self.answer(200, data, ETag='"1"')
            return
        first = int(wanted.group(1))
        last = min(int(wanted.group(2) or len(data) - 1), len(data) - 1)
        if first >= len(data):
            self.answer(416)
        else:
            self.answer(206, data[first:last + 1], ETag='"1"', Content_Range="bytes %d-%d/%d" % (first, last, len(data)))

    do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = serve
