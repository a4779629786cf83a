"""A folder as an S3 bucket on the loopback address: what the benchmarks fetch from.

Only what an anonymous reader needs: GET of an object, and one page of a listing. It is no judge of
anything; the tests use a real S3 server.
"""

import hashlib
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape


def serve(folder: Path, bucket: str) -> ThreadingHTTPServer:
    """A server of `folder` as `bucket`, on a free port; it is not yet answering."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # else each body waits 40 ms for its head to be told of

        def do_GET(self) -> None:
            url = urlsplit(self.path)
            key = unquote(url.path).removeprefix(f"/{bucket}").lstrip("/")
            if key:
                self._object(folder / key)
            else:
                self._listing(parse_qs(url.query).get("prefix", [""])[0])

        def _object(self, path: Path) -> None:
            try:
                data = path.read_bytes()
            except OSError:
                body = b"<Error><Code>NoSuchKey</Code><Message>none</Message></Error>"
                self._answer(404, body, "application/xml", "")
                return
            self._answer(200, data, "binary/octet-stream", hashlib.md5(data).hexdigest())

        def _listing(self, prefix: str) -> None:
            place = folder / prefix
            found = sorted(path for path in place.rglob("*") if path.is_file())[:1000]
            items = "".join(
                f"<Contents><Key>{escape(path.relative_to(folder).as_posix())}</Key>"
                f"<Size>{path.stat().st_size}</Size><ETag>&quot;0&quot;</ETag></Contents>"
                for path in found
            )
            head = '<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
            text = f"{head}<IsTruncated>false</IsTruncated>{items}</ListBucketResult>"
            self._answer(200, text.encode(), "application/xml", "")

        def _answer(self, status: int, body: bytes, kind: str, etag: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            if etag:
                self.send_header("ETag", f'"{etag}"')
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Not a line for every request."""

    return ThreadingHTTPServer(("127.0.0.1", 0), Handler)


if __name__ == "__main__":
    server = serve(Path(sys.argv[1]), sys.argv[2])
    print(server.server_address[1], flush=True)
    server.serve_forever()
