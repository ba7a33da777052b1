"""What preflight asks the hub, against a small server that answers as the hub does."""

import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

ASK = "import sys; from dgr.preflight import _reach; print(_reach((sys.argv[1], 'dataset', sys.argv[2])))"


class Hub(BaseHTTPRequestHandler):
    """org/open and org/gated exist, at main only; anybody may read about both, the files of one need a token."""

    def do_GET(self):
        name = self.path.removeprefix("/api/datasets/").split("?")[0]
        if name in ("org/open/revision/main", "org/gated/revision/main"):
            self.answer(200, {"id": name.removesuffix("/revision/main"), "sha": "c" * 40})
        elif name == "org/open/auth-check" or (name == "org/gated/auth-check" and self.headers.get("Authorization")):
            self.answer(200, {})
        elif name == "org/gated/auth-check":
            self.answer(403, {"error": "gated"}, "GatedRepo")
        else:
            self.answer(404, {"error": "no"}, "RevisionNotFound" if "/revision/" in name else "RepoNotFound")

    do_HEAD = do_GET

    def answer(self, status, content, code=None):
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if code:
            self.send_header("X-Error-Code", code)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def reached(tmp_path):
    """What preflight says about a dataset on the small hub."""
    server = HTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    empty = {"HF_ENDPOINT": f"http://127.0.0.1:{server.server_port}", "HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "0"}

    def reached(repo, revision="main", **environment):
        command = [sys.executable, "-c", ASK, repo, revision]
        here = {key: value for key, value in os.environ.items() if key not in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")}
        done = subprocess.run(
            command, env={**here, **empty, **environment}, capture_output=True, text=True, check=True, timeout=120
        )
        return done.stdout.strip()

    yield reached
    server.shutdown()


def test_a_gated_dataset_without_access_is_found_although_its_page_can_be_read(reached):
    assert reached("org/open") == "None"
    said = reached("org/gated")
    assert "dataset org/gated at revision main is gated" in said
    assert "HF_TOKEN in the environment" in said
    assert reached("org/gated", HF_TOKEN="hf_secret") == "None"


def test_a_revision_that_does_not_exist_is_found(reached):
    said = reached("org/open", "a" * 40)
    assert "org/open at revision aaaa" in said
    assert "None" not in said
