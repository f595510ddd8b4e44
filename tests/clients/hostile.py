"""What a hostile client does to an HTTP server, all at once, beside a client that only wants to be served.

Needs nothing but Python. Tells for each kind of attack which answers came, fails when one is not what it
should be, when an attack got through, or when the honest client got anything but what it asked for:

    python3 tests/clients/hostile.py HOST:PORT TOKEN [--slow 5000] [--heads 10000] [--seconds 20]

* slow: connections that send a head byte by byte and never finish it; closed ones are made again.
* heads: requests that break RFC 9112, each with its own connection; any 4xx, 501 or 505, or an end, will do.
* paths: ways out of a directory, in every spelling; the files of the server must not come.
* headers: line ends smuggled into paths and values; no header may come that the client has put there.
"""

import argparse
import asyncio
import collections
import random
import time

BAD_HEADS = [
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"GET\r\n\r\n",
    b"GET / HTTP/9.9\r\nHost: a\r\n\r\n",
    b"GET / HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost : a\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\n folded: b\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nX: \x00\r\n\r\n",
    b"GE T / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"POST /streams/a/b HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx",
    b"POST /streams/a/b HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
    b"POST /streams/a/b HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n",
    b"POST /streams/a/b HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"POST /streams/a/b HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n",
    b"POST /streams/a/b HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 100_000 + b"\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 1_000 + b"\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"\xff" * 64 + b"\r\n\r\n",
]
DOTS = ["..", "%2e%2e", ".%2e", "%2E.", "..%00", "%c0%ae%c0%ae", "%252e%252e", "..%5c", "....//"]
PATHS = [
    f"{base}{'/'.join([dots] * 8)}/{file}"
    for base in ["/", "/streams/", "/streams/bucket/", "/ui/", "/admin/", "/access/"]
    for dots in DOTS
    for file in ["etc/passwd", "secret", "IDENTITY"]
]
HEADS_AT_ONCE = 20
INJECTED = "X-Injected: 1"
LINE_ENDS = ["%0d%0a", "%0a", "%0d", "%E5%98%8A%E5%98%8D", "%00%0d%0a"]


class Told:
    """What came back, by attack, and what should not have."""

    def __init__(self):
        self.answers = collections.defaultdict(collections.Counter)
        self.wrong = collections.Counter()
        self.example = {}

    def wrong_answer(self, kind, asked, answer):
        self.wrong[kind] += 1
        self.example.setdefault(kind, (bytes(asked[:120]), bytes(answer[:200])))


async def ask(place, request, timeout=15, body_s=0.2):
    """The answer's head and what came with it; b"" for an end without a word, None for no connection."""
    try:
        reader, writer = await asyncio.wait_for(asyncio.open_connection(*place), timeout)
    except OSError:
        return None
    head = b""
    try:
        writer.write(request)
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), timeout)
        return head + (await asyncio.wait_for(reader.read(1 << 16), body_s) if body_s else b"")
    except asyncio.IncompleteReadError as ended:
        return ended.partial
    except (ConnectionError, asyncio.TimeoutError):
        return head
    finally:
        writer.close()


async def slow(place, told, until):
    head = b"GET /ping HTTP/1.1\r\nHost: a\r\nX-Slow: " + b"a" * 1_000
    while time.monotonic() < until:
        try:
            reader, writer = await asyncio.open_connection(*place)
        except OSError:
            told.answers["slow"]["refused"] += 1
            await asyncio.sleep(1)
            continue
        try:
            await dribble(reader, writer, head, until, told)
        except ConnectionError:
            told.answers["slow"]["cut"] += 1
        finally:
            writer.close()


async def dribble(reader, writer, head, until, told):
    ended = asyncio.ensure_future(reader.read(4096))
    try:
        for byte in head:
            if time.monotonic() > until:
                return
            writer.write(bytes([byte]))
            done, _ = await asyncio.wait([ended], timeout=2)
            if done:
                status = ended.result()[9:12].decode() if not ended.exception() else "reset"
                told.answers["slow"][status or "closed by the server"] += 1
                return
    finally:
        ended.cancel()


def status_of(answer):
    return answer[9:12].decode("latin-1") if answer[:5] == b"HTTP/" else ("ended" if answer == b"" else "junk")


async def heads(place, told, count, until):
    async for index in paced(range(count), until):
        request = BAD_HEADS[index % len(BAD_HEADS)]
        if index >= len(BAD_HEADS):
            # Then every one of them with a byte changed; such a one may be sound by chance.
            place_of_byte = random.randrange(len(request))
            request = request[:place_of_byte] + bytes([random.randrange(256)]) + request[place_of_byte + 1 :]
        answer = await ask(place, request, timeout=0.5, body_s=0)
        if answer is None:
            told.answers["heads"]["no connection"] += 1
            continue
        status = status_of(answer)
        told.answers["heads"][status] += 1
        if status == "junk" or status.startswith("5") and status not in ("501", "505"):
            told.wrong_answer("heads", request, answer)


async def paced(things, until):
    """Gives them one by one, evenly until then."""
    begin, pace = time.monotonic(), (until - time.monotonic()) / len(things)
    for index, thing in enumerate(things):
        await asyncio.sleep(max(begin + index * pace - time.monotonic(), 0))
        yield thing


async def paths(place, told, token, until):
    async for path in paced(PATHS, until):
        bearer = f"Authorization: Bearer {token}\r\n"
        request = f"GET {path} HTTP/1.1\r\nHost: a\r\n{bearer}Connection: close\r\n\r\n".encode()
        answer = await ask(place, request) or b""
        told.answers["paths"][status_of(answer)] += 1
        # A stream may have such a name, once its path is read, and a list of it be asked for: JSON, no file.
        is_file = answer[9:12] == b"200" and b"Content-Type: application/json" not in answer
        if b"root:" in answer or is_file or status_of(answer)[:1] == "5":
            told.wrong_answer("paths", request, answer)


async def headers(place, told, token, until):
    targets = []
    for end in LINE_ENDS:
        evil = f"a{end}{INJECTED}{end}{end}<script>"
        targets += [
            (f"/streams/{evil}/s", ""),
            (f"/streams/b/{evil}", ""),
            (f"/users/{evil}", ""),
            (f"/?next={evil}", ""),
            ("/ping", f"Origin: http://{evil}\r\n"),
            ("/ping", f"X-Request-Id: {evil}\r\n"),
            ("/streams/b/s", f"traceparent: {evil}\r\n"),
            ("/streams/b/s", "Origin: a\rX-Injected: 1\r\n"),
        ]
    async for path, header in paced(targets, until):
        bearer = f"Authorization: Bearer {token}\r\n{header}Connection: close\r\n\r\n"
        request = f"GET {path} HTTP/1.1\r\nHost: a\r\n{bearer}".encode()
        answer = await ask(place, request) or b""
        told.answers["headers"][status_of(answer)] += 1
        names = [line.split(b":")[0].lower() for line in answer.split(b"\r\n\r\n")[0].splitlines()]
        if b"x-injected" in names or b"<script>" in answer:
            told.wrong_answer("headers", request, answer)


async def honest(place, told, token, until):
    reader, writer = await asyncio.open_connection(*place)
    body = b'{"n":1}'
    bearer = f"Authorization: Bearer {token}\r\nContent-Type: application/json\r\n"
    head = f"POST /streams/honest/s HTTP/1.1\r\nHost: a\r\n{bearer}Content-Length: {len(body)}\r\n\r\n"
    longest = 0
    while time.monotonic() < until:
        begin = time.monotonic()
        writer.write(head.encode() + body)
        answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
        length = next(line for line in answer.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        await reader.readexactly(int(length.split(b":")[1]))
        longest = max(longest, time.monotonic() - begin)
        told.answers["honest"][status_of(answer)] += 1
        if answer[9:12] != b"201":
            told.wrong_answer("honest", head.encode(), answer)
        await asyncio.sleep(0.01)
    print(f"honest: the longest answer took {longest * 1000:.0f} ms, this client's own work included")


async def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("server")
    parser.add_argument("token")
    parser.add_argument("--slow", type=int, default=5_000)
    parser.add_argument("--heads", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=20)
    args = parser.parse_args()
    host, port = args.server.rsplit(":", 1)
    place, told, until = (host, int(port)), Told(), time.monotonic() + args.seconds
    attacks = [slow(place, told, until) for _ in range(args.slow)]
    attacks += [heads(place, told, args.heads // HEADS_AT_ONCE, until) for _ in range(HEADS_AT_ONCE)]
    attacks += [paths(place, told, args.token, until), headers(place, told, args.token, until)]
    await asyncio.gather(honest(place, told, args.token, until), *attacks)
    for kind, answers in told.answers.items():
        print(f"{kind}: {dict(answers.most_common())}")
    for kind, count in told.wrong.items():
        print(f"WRONG {kind}: {count}, such as {told.example[kind]}")
    raise SystemExit(1 if told.wrong else 0)


asyncio.run(main())
