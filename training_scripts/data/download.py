"""Fetches the official CIFAR-100 archive and checks it against the md5 that its authors publish."""

import hashlib
import http.client
import urllib.error
import urllib.request
from pathlib import Path

from training_scripts.data.readers import OFFICIAL_MD5, DataSourceError
from training_scripts.progress import Progress

OFFICIAL_URL = "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz"
_BLOCK = 1 << 20
_SECONDS = 30


def official_archive(
    folder: Path, progress: Progress, url: str = OFFICIAL_URL, md5: str = OFFICIAL_MD5
) -> Path:
    """The archive in `folder`; downloaded if it is not there, from where an earlier download was cut off.

    Raises:
        DataSourceError: the server cannot be reached, or what it sends is not the official archive.
    """
    archive = folder / url.rsplit("/", 1)[-1]
    if archive.is_file() and _md5(archive) == md5:
        return archive
    folder.mkdir(parents=True, exist_ok=True)
    partial = archive.with_name(f"{archive.name}.partial")
    try:
        _download(url, partial, progress)
    except (OSError, http.client.HTTPException) as error:
        raise DataSourceError(
            f"{url} cannot be fetched ({error}): try again, it continues where it stopped, or fetch the file "
            "elsewhere and name it by --source"
        ) from error
    if _md5(partial) != md5:
        partial.unlink()
        raise DataSourceError(
            f"{url} sent a file whose md5 is not {md5}: it was damaged or replaced; do not use it"
        )
    partial.replace(archive)
    return archive


def _download(url: str, partial: Path, progress: Progress) -> None:
    begun = partial.stat().st_size if partial.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={begun}-"} if begun else {})
    try:
        answer = urllib.request.urlopen(request, timeout=_SECONDS)
    except urllib.error.HTTPError as error:
        if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            return  # it is all there; the md5 decides
        raise
    with answer, partial.open("ab" if answer.status == http.HTTPStatus.PARTIAL_CONTENT else "wb") as file:
        whole = file.tell() + int(answer.headers.get("Content-Length") or 0)
        while block := answer.read(_BLOCK):
            file.write(block)
            progress(f"Downloading: {file.tell() / 1e6:.0f} MB", file.tell() / whole if whole else None)
        if file.tell() < whole:
            raise http.client.IncompleteRead(b"", whole - file.tell())


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()
