"""Fetching the official archive: from a server of our own, whole, cut off, replaced and unreachable."""

import hashlib
import http.server
import threading
from types import SimpleNamespace

import pytest

from training_scripts.data.download import official_archive
from training_scripts.data.readers import DataSourceError

CONTENT = bytes(range(256)) * 20_000
MD5 = hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()


def silent(_text, _share):
    pass


@pytest.fixture
def server():
    """Serves CONTENT with ranges, unless told otherwise; `asked` keeps the Range headers."""
    told = SimpleNamespace(content=CONTENT, ranges=True, stop_after=None, asked=[])

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers.get("Range")
            told.asked.append(wanted)
            begin = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and told.ranges else 0
            if begin >= len(told.content) and begin:
                self.send_error(416)
                return
            self.send_response(206 if begin else 200)
            self.send_header("Content-Length", str(len(told.content) - begin))
            self.end_headers()
            self.wfile.write(told.content[begin : told.stop_after])

        def log_message(self, *arguments) -> None:
            pass

    running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=running.serve_forever, args=(0.01,))
    thread.start()
    told.url = f"http://127.0.0.1:{running.server_port}/cifar-100-python.tar.gz"
    yield told
    running.shutdown()
    thread.join()
    running.server_close()


def test_the_archive_is_fetched_once(server, tmp_path):
    first = official_archive(tmp_path, silent, server.url, MD5)
    second = official_archive(tmp_path, silent, server.url, MD5)

    assert first == second
    assert first.read_bytes() == CONTENT
    assert server.asked == [None]


def test_progress_is_reported_up_to_the_end(server, tmp_path):
    shares = []
    official_archive(tmp_path, lambda _, share: shares.append(share), server.url, MD5)

    assert shares == sorted(shares)
    assert shares[-1] == 1


@pytest.mark.parametrize("ranges", [True, False])
def test_a_download_that_was_cut_off_is_finished_by_the_next_run(server, tmp_path, ranges):
    server.stop_after = 3_000_000
    with pytest.raises(DataSourceError, match="continues where it stopped"):
        official_archive(tmp_path, silent, server.url, MD5)
    assert [path.suffix for path in tmp_path.iterdir()] == [".partial"]

    server.stop_after, server.ranges = None, ranges
    assert official_archive(tmp_path, silent, server.url, MD5).read_bytes() == CONTENT
    assert server.asked == [None, "bytes=3000000-"]


def test_a_download_that_was_whole_but_not_yet_named_is_kept(server, tmp_path):
    (tmp_path / "cifar-100-python.tar.gz.partial").write_bytes(CONTENT)

    assert official_archive(tmp_path, silent, server.url, MD5).read_bytes() == CONTENT


def test_a_replaced_archive_is_refused_and_thrown_away(server, tmp_path):
    server.content = b"something else"

    with pytest.raises(DataSourceError, match="damaged or replaced"):
        official_archive(tmp_path, silent, server.url, MD5)
    assert not list(tmp_path.iterdir())


def test_a_server_that_cannot_be_reached_is_one_clear_error(tmp_path):
    with pytest.raises(DataSourceError, match="name it by --source"):
        official_archive(tmp_path, silent, "http://127.0.0.1:9/cifar-100-python.tar.gz", MD5)
