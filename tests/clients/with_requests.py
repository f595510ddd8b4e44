"""A client written from the API pages alone (docs/api.md, docs/api-identity.md, docs/api-listen.md), with `requests`.

    python3 tests/clients/with_requests.py BASE_URL [CA_FILE]

BASE_URL is that of a server whose administrator is admin/secret. It logs in, makes a user, grants, posts, patches from
ten threads at once, lists, listens by long-poll, logs out. The same over HTTP and HTTPS; ends with code 0 or a traceback.
"""
import random
import string
import sys
import threading
import time

import requests

BASE = sys.argv[1]
VERIFY = sys.argv[2] if len(sys.argv) > 2 else True
WRITERS = 10
PATCHES = 10


def log_in(user, password):
    session = requests.Session()
    # Not what the environment says: a test's certificate is nobody else's business.
    session.trust_env = False
    session.verify = VERIFY
    reply = session.post(f"{BASE}/sessions", json={"username": user, "password": password})
    assert reply.status_code == 201, reply.text
    assert reply.headers["Location"] == "/session"
    assert reply.json()["ok"] is True and reply.json()["username"] == user
    session.headers["X-Session"] = reply.json()["token"]
    return session


def users_and_grants(admin, name):
    assert admin.get(f"{BASE}/sessions").json() == {"username": "admin"}
    reply = admin.post(f"{BASE}/users", json={"username": name, "password": "pw"})
    assert (reply.status_code, reply.headers["Location"]) == (201, f"/users/{name}"), reply.text
    assert {"username": name} in admin.get(f"{BASE}/users").json()
    user = log_in(name, "pw")
    reply = user.post(f"{BASE}/streams/{name}/s", json={"n": 0})
    assert reply.status_code == 201 and reply.json()["meta"]["id"] == 1, reply.text
    other = f"{BASE}/streams/other-{name}/s"
    assert user.post(other, json=1).status_code == 401
    grant = {"action": "grant", "username": name, "permission": "put"}
    assert admin.post(f"{BASE}/access/other-{name}/s", json=grant).json() == {"ok": True}
    assert user.post(other, json=1).status_code == 201
    shown = admin.get(f"{BASE}/access/other-{name}/s").json()
    assert shown["users"] == [{"name": name, "grants": ["put"]}]
    return user


def patch_from_all_sides(user, name):
    stream = f"{BASE}/streams/{name}/list"
    user.post(stream, json=[])
    conflicts = []

    def write(writer):
        session = log_in(name, "pw")
        for number in range(PATCHES):
            patch = [{"op": "add", "path": "/-", "value": writer * PATCHES + number}]
            while True:
                headers = {"Content-Type": "application/json-patch+json"}
                reply = session.patch(stream, json=patch, headers=headers)
                if reply.status_code == 200:
                    break
                assert reply.status_code == 409 and reply.json()["reason"]["reason"] == "confict", reply.text
                conflicts.append(writer)

    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(WRITERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(user.get(stream).json()[0]["data"]) == list(range(WRITERS * PATCHES))
    assert len(user.get(f"{stream}-$patch?from=1&limit=1000").json()) == WRITERS * PATCHES
    return len(conflicts)


def lists(admin, user, name):
    assert user.get(f"{BASE}/streams/{name}").json()["data"] == ["list", "list-$patch", "s"]
    assert user.get(f"{BASE}/buckets").status_code == 401
    assert name in admin.get(f"{BASE}/buckets").json()["data"]


def long_poll(user, name):
    heard = []

    def listen():
        asked = {"s": f"{name}:live", "jwt": user.headers["X-Session"], "timeout": 20}
        heard.extend(user.get(f"{BASE}/listen", params=asked).json())

    listening = threading.Thread(target=listen)
    listening.start()
    time.sleep(0.5)
    log_in(name, "pw").post(f"{BASE}/streams/{name}/live", json={"hello": 1})
    listening.join()
    assert heard[0]["data"] == {"hello": 1} and heard[0]["meta"]["bucket"] == name, heard


def main():
    name = "u" + "".join(random.choices(string.ascii_lowercase, k=8))
    admin = log_in("admin", "secret")
    user = users_and_grants(admin, name)
    conflicts = patch_from_all_sides(user, name)
    lists(admin, user, name)
    long_poll(user, name)
    assert user.delete(f"{BASE}/sessions").status_code == 204
    assert user.get(f"{BASE}/sessions").status_code == 401
    assert admin.delete(f"{BASE}/users/{name}").status_code == 204
    print(f"{BASE}: everything is as the pages say ({conflicts} conflicts that the client had to resolve)")


main()
