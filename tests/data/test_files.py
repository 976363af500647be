"""Files: cache, then mirror, then upstream; every wrong file is refused with the reason and the way out."""

from __future__ import annotations

import errno
import gzip
import hashlib
import io
import lzma
import os
import socket
import tarfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pooch
import pytest

from gnnlab.data import _sources
from gnnlab.data.card import Card, FileSpec, SplitSpec
from gnnlab.data.files import fetch, file_digests
from gnnlab.data.task import TaskSpec
from gnnlab.errors import IntegrityError, SourceError

CONTENT = b"molecule,label\n" * 100
DIGEST = hashlib.sha256(CONTENT).hexdigest()


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *arguments: object) -> None:
        self.server.requests.append(self.path)


@pytest.fixture
def upstream(tmp_path: Path) -> Iterator[tuple[str, Path, list[str]]]:
    """Address and folder of a small web server, and the requests it has seen."""
    folder = tmp_path / "upstream"
    folder.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    server.requests = []
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", folder, server.requests
    server.shutdown()
    server.server_close()


@pytest.fixture
def nowhere() -> str:
    """An address on this machine where nobody listens."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{closed.getsockname()[1]}"


@pytest.fixture(autouse=True)
def _own_mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mirror").mkdir()
    monkeypatch.setenv("GNNLAB_MIRROR", str(tmp_path / "mirror"))


def a_card(**files: FileSpec) -> Card:
    return Card(
        name="tiny",
        title="Tiny",
        paper="none",
        licence="CC0",
        reader="none.none",
        task=TaskSpec("graph", 1, "l1", "mae", False),
        node_features=1,
        edge_features=0,
        split=SplitSpec("official", {"official": 1}),
        files=files,
    )


def one(root: Path, **spec: object) -> Path:
    return fetch(a_card(table=FileSpec("table", **spec)), root=root / "cache", progress=False)["table"]


def put(folder: Path, content: bytes = CONTENT, name: str = "table.csv") -> None:
    (folder / name).write_bytes(content)


def test_a_mirror_file_is_used_where_it_lies_and_hashed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / "mirror")
    hashed: list[str] = []
    real = pooch.file_hash
    monkeypatch.setattr(pooch, "file_hash", lambda path, alg: hashed.append(path) or real(path, alg=alg))
    for _ in range(3):
        assert one(tmp_path, mirror="table.csv", sha256=DIGEST) == tmp_path / "mirror/table.csv"
    assert len(hashed) == 1
    os.utime(tmp_path / "mirror/table.csv", ns=(0, 0))
    one(tmp_path, mirror="table.csv", sha256=DIGEST)
    assert len(hashed) == 2


def test_the_cache_comes_first_then_the_mirror_then_upstream(tmp_path: Path, upstream: tuple) -> None:
    url, folder, requests = upstream
    put(folder)
    spec = {"mirror": "table.csv", "url": f"{url}/table.csv", "sha256": DIGEST}
    cached = one(tmp_path, **spec)
    assert requests == ["/table.csv"]
    assert cached == tmp_path / "cache/files/tiny/table/table.csv"
    put(tmp_path / "mirror")
    assert one(tmp_path, **spec) == cached
    cached.unlink()
    assert one(tmp_path, **spec) == tmp_path / "mirror/table.csv"
    assert requests == ["/table.csv"]


def test_a_mirror_may_be_an_address(tmp_path: Path, upstream: tuple, monkeypatch: pytest.MonkeyPatch) -> None:
    url, folder, requests = upstream
    (folder / "deep").mkdir()
    put(folder / "deep")
    monkeypatch.setenv("GNNLAB_MIRROR", f"{url}/")
    assert one(tmp_path, mirror="deep/table.csv", sha256=DIGEST).read_bytes() == CONTENT
    assert requests == ["/deep/table.csv"]


@pytest.mark.parametrize(("suffix", "pack"), [(".xz", lzma.compress), (".gz", gzip.compress)])
def test_a_mirror_may_keep_compressed_what_upstream_does_not(
    tmp_path: Path, upstream: tuple, nowhere: str, monkeypatch: pytest.MonkeyPatch, suffix: str, pack: Callable
) -> None:
    url, folder, requests = upstream
    spec = {"mirror": f"table.csv{suffix}", "url": f"{nowhere}/table.csv", "sha256": DIGEST}
    put(folder, pack(CONTENT), f"table.csv{suffix}")
    put(tmp_path / "mirror", pack(CONTENT), f"table.csv{suffix}")
    assert one(tmp_path / "a", **spec).read_bytes() == CONTENT
    monkeypatch.setenv("GNNLAB_MIRROR", url)
    assert one(tmp_path / "b", **spec).read_bytes() == CONTENT
    assert requests == [f"/table.csv{suffix}"]
    put(folder, pack(CONTENT)[:-9], f"table.csv{suffix}")
    with pytest.raises(IntegrityError, match="damaged"):
        one(tmp_path / "c", **spec)
    assert [path.name for path in (tmp_path / "c").rglob("*.csv*")] == []


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_members_come_out_of_an_archive_fetched_once(tmp_path: Path, upstream: tuple, kind: str) -> None:
    url, folder, requests = upstream
    members = {"all/a.txt": b"a", "all/b.txt": b"b"}
    if kind == "zip":
        with zipfile.ZipFile(folder / "all.zip", "w") as archive:
            for name, content in members.items():
                archive.writestr(name, content)
    else:
        with tarfile.open(folder / "all.zip", "w:gz") as archive:
            for name, content in members.items():
                info = tarfile.TarInfo(name)
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    source = FileSpec("archive", url=f"{url}/all.zip?dl=1")
    specs = {name[4]: FileSpec(name[4], archive=source, member=name) for name in members}
    files = fetch(a_card(**specs), root=tmp_path / "cache", progress=False)
    assert {role: path.read_bytes() for role, path in files.items()} == {"a": b"a", "b": b"b"}
    assert requests == ["/all.zip?dl=1"]
    absent = FileSpec("c", archive=source, member="all/c.txt")
    with pytest.raises(IntegrityError, match=r"'all/c\.txt' is not in the archive"):
        fetch(a_card(c=absent), root=tmp_path / "cache", progress=False)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (CONTENT[:-7], "truncated or altered"),
        (CONTENT[:-1] + b"X", "truncated or altered"),
        (b"", "empty"),
        (b"\n <!DOCTYPE html><html><body>Sign in</body></html>", "looks like an HTML page"),
    ],
)
@pytest.mark.parametrize("place", ["mirror", "upstream"])
def test_a_wrong_file_is_refused(tmp_path: Path, upstream: tuple, content: bytes, reason: str, place: str) -> None:
    url, folder, _ = upstream
    put(tmp_path / "mirror" if place == "mirror" else folder, content)
    spec = {"mirror": "table.csv"} if place == "mirror" else {"url": f"{url}/table.csv"}
    with pytest.raises(IntegrityError, match=reason) as caught:
        one(tmp_path, **spec, sha256=DIGEST)
    assert "dataset tiny, file table" in str(caught.value)
    if place == "upstream":
        assert f"get {url}/table.csv by hand and save it as {tmp_path / 'cache/files/tiny/table/table.csv'}" in str(
            caught.value
        )
    assert not (tmp_path / "cache/files/tiny/table/table.csv").exists()
    assert not list(tmp_path.glob("cache/files/**/.table*"))


def test_a_good_source_makes_up_for_a_bad_one_with_a_warning(tmp_path: Path, upstream: tuple) -> None:
    url, folder, _ = upstream
    put(folder)
    put(tmp_path / "mirror", b"rubbish")
    spec = {"mirror": "table.csv", "url": f"{url}/table.csv", "sha256": DIGEST}
    with pytest.warns(UserWarning, match=r"passed over a copy of 'table\.csv'"):
        cached = one(tmp_path, **spec)
    cached.write_bytes(b"altered later")
    with pytest.warns(UserWarning, match="truncated or altered"):
        assert one(tmp_path, **spec).read_bytes() == CONTENT


def test_a_web_page_is_never_trusted_on_first_use(tmp_path: Path, upstream: tuple) -> None:
    url, folder, _ = upstream
    put(folder, b"<html>quota exceeded</html>")
    with pytest.raises(IntegrityError, match="looks like an HTML page"):
        one(tmp_path, url=f"{url}/table.csv")


def test_an_unpinned_file_is_trusted_once_and_held_to_it(tmp_path: Path, upstream: tuple) -> None:
    url, folder, _ = upstream
    put(folder)
    card = a_card(table=FileSpec("table", url=f"{url}/table.csv"))
    assert file_digests(card, root=tmp_path / "cache", progress=False) == {"table": DIGEST}
    record = tmp_path / "cache/files/tiny/table/table.csv.sha256"
    assert record.read_text().split() == [DIGEST, "table.csv"]
    (tmp_path / "cache/files/tiny/table/table.csv").unlink()
    put(folder, CONTENT + b"more")
    with pytest.raises(IntegrityError, match="truncated or altered"):
        one(tmp_path, url=f"{url}/table.csv")


def test_digests_of_pinned_files_need_no_file(tmp_path: Path, nowhere: str) -> None:
    card = a_card(table=FileSpec("table", sha256=DIGEST, url=f"{nowhere}/table.csv"))
    assert file_digests(card, root=tmp_path / "cache") == {"table": DIGEST}


def test_no_network(tmp_path: Path, nowhere: str) -> None:
    with pytest.raises(SourceError, match="no connection") as caught:
        one(tmp_path, mirror="table.csv", url=f"{nowhere}/table.csv", sha256=DIGEST)
    text = str(caught.value)
    assert f"get {nowhere}/table.csv by hand and save it as" in text
    assert "set GNNLAB_MIRROR to a directory that holds table.csv" in text


def test_an_error_status(tmp_path: Path, upstream: tuple) -> None:
    with pytest.raises(SourceError, match="the server answers 404"):
        one(tmp_path, url=f"{upstream[0]}/absent.csv", sha256=DIGEST)


def test_a_file_that_is_in_no_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SourceError, match="neither in the cache nor in a mirror"):
        one(tmp_path, mirror="table.csv", sha256=DIGEST)
    monkeypatch.setenv("GNNLAB_MIRROR", str(tmp_path / "no-such-folder"))
    with pytest.raises(SourceError, match="GNNLAB_MIRROR is not a directory"):
        one(tmp_path, mirror="table.csv", sha256=DIGEST)
    monkeypatch.delenv("GNNLAB_MIRROR")
    with pytest.raises(SourceError, match="set GNNLAB_MIRROR"):
        one(tmp_path, mirror="table.csv", sha256=DIGEST)


def test_a_file_put_by_hand_where_the_message_says(tmp_path: Path, nowhere: str) -> None:
    place = tmp_path / "cache/files/tiny/table/table.csv"
    place.parent.mkdir(parents=True)
    place.write_bytes(CONTENT)
    assert one(tmp_path, url=f"{nowhere}/table.csv", sha256=DIGEST) == place


def test_a_cache_that_cannot_be_written(tmp_path: Path, upstream: tuple) -> None:
    url, folder, _ = upstream
    put(folder)
    (tmp_path / "cache").write_text("a file where a directory should be")
    with pytest.raises(SourceError, match=r"the cache cannot be written[\s\S]*set GNNLAB_CACHE"):
        one(tmp_path, url=f"{url}/table.csv", sha256=DIGEST)
    put(tmp_path / "mirror")
    # A mirror needs no cache: only the memory of digests is lost.
    assert one(tmp_path, mirror="table.csv", sha256=DIGEST) == tmp_path / "mirror/table.csv"
    with pytest.raises(SourceError, match="the cache cannot be written"):
        one(tmp_path, mirror="table.csv")


def test_a_full_disk(tmp_path: Path, upstream: tuple, monkeypatch: pytest.MonkeyPatch) -> None:
    url, folder, _ = upstream
    put(folder)

    def full(self: object, address: str, output: str, pooch: object) -> None:
        Path(output).write_bytes(CONTENT[:10])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(_sources.pooch.HTTPDownloader, "__call__", full)
    with pytest.raises(SourceError, match=r"No space left on device[\s\S]*set GNNLAB_CACHE"):
        one(tmp_path, url=f"{url}/table.csv", sha256=DIGEST)
    assert not list(tmp_path.glob("cache/files/**/.table*"))


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut off", b"neither of them"])
def test_an_archive_that_is_none(tmp_path: Path, upstream: tuple, content: bytes) -> None:
    url, folder, _ = upstream
    put(folder, content, "all.zip")
    source = FileSpec("archive", url=f"{url}/all.zip")
    with pytest.raises(IntegrityError, match="neither a zip nor a tar archive"):
        fetch(a_card(a=FileSpec("a", archive=source, member="a")), root=tmp_path / "cache", progress=False)
    # It was trusted on first use and must not stay in the way of the right one.
    with zipfile.ZipFile(folder / "all.zip", "w") as archive:
        archive.writestr("a", b"content")
    files = fetch(a_card(a=FileSpec("a", archive=source, member="a")), root=tmp_path / "cache", progress=False)
    assert files["a"].read_bytes() == b"content"
