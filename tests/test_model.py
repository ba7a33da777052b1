import os
import shutil
import subprocess
import sys

import pytest

from dgr.model import TargetModel


def target(path):
    return TargetModel("micro", str(path), "think_tags", language="micro", dtype="float64")


@pytest.fixture
def copy(tmp_path):
    return shutil.copytree(target("embedded:base").location, tmp_path / "copy")


def test_the_fingerprint_follows_the_content_not_the_place(copy):
    embedded = target("embedded:base").fingerprint()
    assert target(copy).fingerprint() == embedded
    (copy / "recipe.json").write_text("{}")
    assert target(copy).fingerprint() == embedded, "notes about a checkpoint do not change it"
    config = copy / "config.json"
    config.write_text(config.read_text().replace('"rms_norm_eps"', '"rms_norm_epsilon"'))
    assert target(copy).fingerprint() != embedded
    assert target("embedded:plain").fingerprint() != embedded


def test_a_folder_without_a_checkpoint_is_a_problem_with_its_path(tmp_path):
    assert str(tmp_path) in target(tmp_path).problems()[0]
    assert target("embedded:nothing").problems()
    assert not target("embedded:base").problems()


def test_a_trained_checkpoint_takes_the_place_of_the_target_and_an_adapter_comes_on_top(copy, tmp_path):
    assert target("embedded:base").trained(copy).path == str(copy)
    (tmp_path / "adapter_config.json").write_text("{}")
    adapted = target("embedded:base").trained(tmp_path)
    assert (adapted.path, adapted.adapter) == ("embedded:base", str(tmp_path))


def test_a_gated_model_says_where_to_ask():
    """A hub on this machine that answers as the real one does for a gated repository."""
    import threading
    from http.server import BaseHTTPRequestHandler, HTTPServer

    class Gate(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(403)
            self.send_header("X-Error-Code", "GatedRepo")
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_HEAD = do_GET

        def log_message(self, *arguments): ...

    hub = HTTPServer(("127.0.0.1", 0), Gate)
    threading.Thread(target=hub.serve_forever, daemon=True).start()
    code = "from dgr.preflight import _reach\nprint(_reach(('someone/gated', 'model', None)))\n"
    environment = {**os.environ, "HF_ENDPOINT": f"http://127.0.0.1:{hub.server_port}", "HF_HUB_OFFLINE": "0"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=120)
    hub.shutdown()
    assert "model someone/gated is gated: ask for access on its page, then set HF_TOKEN" in done.stdout, done.stderr
