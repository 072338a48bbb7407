"""A hub on loopback that answers as the real one does, as far as a download asks."""

from __future__ import annotations

import hashlib
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest

from swingtrader.adapters.model_hub import download
from swingtrader.errors import DataError, HubUnreachable

NAME = "owner/finbert"
PLAIN = {"config.json": b"{}", "vocab.txt": b"[PAD]\n", "README.md": b"words"}
PICKLED = PLAIN | {"pytorch_model.bin": b"a pickle", "modeling.py": b"print()"}
SAFE = PLAIN | {"model.safetensors": b"weights"}
TITLE = "Adding `safetensors` variant of this model"


def commit_of(files):
    """Name a commit after what it holds."""
    return hashlib.sha1(repr(sorted(files.items())).encode()).hexdigest()  # noqa: S324 - as git


class Hub(ThreadingHTTPServer):
    """Branches of one model, proposals to it, and the paths asked for."""

    daemon_threads = True

    def __init__(self, branches, proposals=(), broken=None):
        super().__init__(("127.0.0.1", 0), Answer)
        self.branches, self.proposals, self.broken = branches, proposals, broken
        self.asked = []

    @property
    def url(self):
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_port}"


class Answer(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_arguments):
        """Say nothing."""

    def do_GET(self):
        """Answer with a body."""
        self.answer()

    def do_HEAD(self):
        """Answer without one."""
        self.answer()

    def answer(self):
        """Find what is asked for."""
        url = urlsplit(self.path)
        self.server.asked.append(url.path)
        commits = {commit_of(files): files for files in self.server.branches.values()}
        if self.server.broken is not None:
            self.send(self.server.broken, b"")
        elif url.path == f"/api/models/{NAME}/discussions":
            wanted = parse_qs(url.query)
            rows = [
                row(number, *proposal) for number, proposal in enumerate(self.server.proposals, 1)
            ]
            assert wanted["author"] == ["SFconvertbot"]
            body = {"discussions": rows, "start": 0, "count": len(rows)}
            self.send(200, json.dumps(body).encode())
        elif url.path.startswith(f"/api/models/{NAME}/revision/"):
            revision = url.path.rpartition("/revision/")[2].replace("%2F", "/")
            files = self.server.branches.get(revision) or commits.get(revision)
            if files is None:
                self.send(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
                return
            body = {
                "id": NAME,
                "sha": commit_of(files),
                "siblings": [{"rfilename": name} for name in files],
            }
            self.send(200, json.dumps(body).encode())
        elif url.path.startswith(f"/api/models/{NAME}/tree/"):
            files = commits[url.path.rpartition("/tree/")[2].partition("/")[0]]
            body = [
                {"type": "file", "path": name, "size": len(data), "oid": commit_of({name: data})}
                for name, data in files.items()
            ]
            self.send(200, json.dumps(body).encode())
        elif url.path.startswith(f"/{NAME}/resolve/"):
            commit, _, name = url.path.rpartition("/resolve/")[2].partition("/")
            content = commits[commit][name]
            etag = f'"{hashlib.sha256(content).hexdigest()}"'
            self.send(200, content, {"ETag": etag, "X-Repo-Commit": commit})
        else:
            self.send(404, b"{}", {"X-Error-Code": "RepoNotFound"})

    def send(self, status, body, headers=None):
        """Send one answer."""
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)


def row(number, author, title):
    """One proposal as the hub lists it."""
    return {
        "num": number,
        "author": {"name": author},
        "title": title,
        "status": "open",
        "isPullRequest": True,
        "createdAt": "2024-03-06T21:00:00.000Z",
        "repo": {"name": NAME, "type": "model"},
    }


@contextmanager
def hub(*arguments, **options):
    """Serve while the block runs."""
    with Hub(*arguments, **options) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def names(snapshot):
    return sorted(path.name for path in snapshot.directory.iterdir())


def test_safe_weights_of_the_main_branch_are_fetched_and_nothing_that_is_not_wanted(tmp_path):
    everything = PICKLED | SAFE
    with hub({"main": everything}) as server:
        snapshot = download(NAME, endpoint=server.url, cache=tmp_path)
    assert snapshot.commit == commit_of(everything)
    assert names(snapshot) == ["config.json", "model.safetensors", "vocab.txt"]
    assert (snapshot.directory / "model.safetensors").read_bytes() == b"weights"
    assert not any(path.endswith((".bin", ".py", "discussions")) for path in server.asked)


def test_where_only_a_pickle_was_published_the_converters_branch_is_taken(tmp_path):
    branches = {"main": PICKLED, "refs/pr/1": SAFE | {"config.json": b"x"}, "refs/pr/2": SAFE}
    proposals = [("stranger", TITLE), ("SFconvertbot", TITLE)]
    with hub(branches, proposals) as server:
        snapshot = download(NAME, endpoint=server.url, cache=tmp_path)
    assert snapshot.commit == commit_of(SAFE)
    assert names(snapshot) == ["config.json", "model.safetensors", "vocab.txt"]
    assert not any(path.endswith(".bin") for path in server.asked)


@pytest.mark.parametrize("proposals", [[], [("stranger", TITLE)]])
def test_a_model_published_only_as_a_pickle_is_refused_whatever_strangers_propose(
    tmp_path, proposals
):
    branches = {"main": PICKLED, "refs/pr/1": SAFE}
    with (
        hub(branches, proposals) as server,
        pytest.raises(DataError, match=r"published only as a pickle.*--from"),
    ):
        download(NAME, endpoint=server.url, cache=tmp_path)


@pytest.mark.parametrize(
    ("name", "why"),
    [("owner/unheard-of", "the hub has no such model"), ("a/b/c", "is not a name of the hub")],
)
def test_a_name_the_hub_does_not_know_is_refused(tmp_path, name, why):
    with hub({"main": SAFE}) as server, pytest.raises(DataError, match=rf"^{name}: {why}"):
        download(name, endpoint=server.url, cache=tmp_path)


def test_a_hub_out_of_order_is_one_to_try_again_later(tmp_path):
    with (
        hub({"main": SAFE}, broken=500) as server,
        pytest.raises(HubUnreachable, match=r"no usable answer about owner/finbert.*--from"),
    ):
        download(NAME, endpoint=server.url, cache=tmp_path)


def test_no_hub_at_all_is_one_to_try_again_later(tmp_path):
    with hub({"main": SAFE}) as server:
        url = server.url
    with pytest.raises(HubUnreachable, match="no usable answer"):
        download(NAME, endpoint=url, cache=tmp_path)
