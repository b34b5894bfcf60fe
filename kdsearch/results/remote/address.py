"""Addresses of results, such as ``s3://bucket/folder``: read by pyarrow, shown without secrets."""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

import pyarrow as pa
from pyarrow import fs

from kdsearch.errors import UserError
from kdsearch.results.remote.patience import Patience

START = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
SQUASHED = re.compile(r"(s3|gs|gcs|hdfs|viewfs|abfs|abfss|file):/")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
SAID = ("region", "scheme", "endpoint_override", "allow_bucket_creation", "tls_ca_file_path")
RETRIES = "retry_limit_seconds"
PLAIN = {"region", "scheme", "allow_bucket_creation", RETRIES}  # hide nothing
CONTAINER = re.compile(r"abfss?://[a-z0-9$-]+")  # before the @ of an account
REMEDY = "give s3://bucket/folder, gs://bucket/folder, hdfs://host/folder or file:///folder"
# What pyarrow raises, of addresses and of calls.
FAULTS = (OSError, pa.ArrowException, ValueError, NotImplementedError)


def is_address(results: str | os.PathLike[str]) -> bool:
    """Whether results stand at an address, and not in a folder of this machine.

    Raises
    ------
    UserError
        An address that has lost a slash, as one does that was made a path.
    """
    if isinstance(results, str) and START.match(results):
        return True
    if found := SQUASHED.match(os.fspath(results)):
        fault = "a path has no place for the // of an address; give a string that has it"
        raise UserError(found[0], fault)
    return False


@dataclass(frozen=True)
class Address:
    """A folder on a file system of pyarrow's.

    Attributes
    ----------
    shown : str
        Without credentials, hosts and options.
    filesystem : FileSystem
    path : str
        On it.
    folder : Path
        Its working copy on this machine.
    secrets : tuple of str
        What no message may say.
    """

    shown: str
    filesystem: fs.FileSystem = field(repr=False, compare=False)
    path: str
    folder: Path
    secrets: tuple[str, ...] = field(repr=False, compare=False)

    def cleaned(self, text: str) -> str:
        """A message without what no message may say, in one line of at most 200 characters."""
        return _cleaned(text, self.secrets)


def read_address(uri: str, patience: Patience, last: bool = False) -> tuple[Address, str]:
    """The address of a results folder; with `last`, that of a search in it, and the search's name.

    Raises
    ------
    UserError
        No address that pyarrow reads, or none of a search.
    """
    before, secrets = without_secrets(uri), _secrets(uri)
    try:
        split = urlsplit(uri)
        options = dict(parse_qsl(split.query))
        filesystem, path = fs.FileSystem.from_uri(_bounded(uri, split.scheme, options, patience))
        filesystem = _quick(filesystem, options, patience)
    except FAULTS as error:
        raise UserError(before, f"{_cleaned(str(error), secrets)}; {REMEDY}") from None
    path = path.rstrip("/")
    if not path:
        raise UserError(before, f"names no folder; {REMEDY}")
    name = ""
    if last:
        path = path.rpartition("/")[0] if path.endswith(".parquet") else path
        path, _, name = path.rpartition("/")
        if not path or not NAME.fullmatch(name):
            raise UserError(before, "names no search; give the one that `kdsearch run` printed")
    host = split.netloc.rpartition("@")[2]
    told = "\n".join([split.scheme, host, options.get("endpoint_override", ""), path])
    digest = hashlib.sha256(told.encode()).hexdigest()[:16]
    folder = _cache() / f"{_word(path)}-{digest}"
    shown = f"{split.scheme}://{path}"
    return Address(shown, filesystem, path, folder, secrets), name


def _cache() -> Path:
    return Path(os.environ.get("KDSEARCH_CACHE") or "~/.cache/kdsearch").expanduser().absolute()


def _word(path: str) -> str:
    """The end of a path, for those who look into the cache."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", path.rpartition("/")[2])[:32] or "results"


def _bounded(uri: str, scheme: str, options: dict[str, str], patience: Patience) -> str:
    """The address, where retries of minutes within a call are switched off by it."""
    if scheme not in ("gs", "gcs") or RETRIES in options:
        return uri
    limit = urlencode({RETRIES: patience.request})
    return f"{uri}{'&' if '?' in uri else '?'}{limit}"


def _quick(filesystem: fs.FileSystem, options: dict[str, str], patience: Patience) -> fs.FileSystem:
    """The same file system with our times; as it is, where the address says what we cannot."""
    if filesystem.type_name != "s3" or not set(options) <= {*SAID}:
        return filesystem
    # pyarrow reads S3's options from an address, but gives them back only as what it pickles.
    _, (said,) = filesystem.__reduce__()  # pyright: ignore
    ours: dict[str, Any] = {
        "connect_timeout": patience.connect,
        "request_timeout": patience.request,
        "background_writes": False,  # an upload that fails says so, and one that goes on shows it
        "allow_delayed_open": True,  # a small file is one call
    }
    known = {name: value for name, value in ours.items() if name in said}
    retries = fs.AwsStandardS3RetryStrategy(max_attempts=1)
    return fs.S3FileSystem(**{**said, **known, "retry_strategy": retries})


def without_secrets(uri: str) -> str:
    """An address that may not be one, to be shown."""
    scheme, _, rest = uri.partition("://")
    rest = re.split(r"[?#]", rest)[0].rpartition("@")[2]
    return f"{scheme}://{rest}"[:200]


def refuse_secrets(uri: str) -> None:
    """Refuse an address that not all may read: with a user, or an option that we do not know.

    Raises
    ------
    UserError
        Such an address, or none at all.
    """
    try:
        split = urlsplit(uri)
    except ValueError as error:
        raise UserError(without_secrets(uri), f"{error}; {REMEDY}") from None
    options = parse_qsl(split.query, keep_blank_values=True)
    user, mark, _ = uri.partition("?")[0].rpartition("@")
    container = split.scheme in ("abfs", "abfss") and CONTAINER.fullmatch(user)
    odd = any(name not in {*SAID, *PLAIN} or "@" in value for name, value in options)
    if odd or split.fragment or (mark and not container):
        fault = "holds what may be a secret, which all who see the cluster's jobs would read; give "
        remedy = "credentials to the environment of its head node, and here only these options: "
        raise UserError(without_secrets(uri), fault + remedy + ", ".join([*SAID, RETRIES]))


def _secrets(uri: str) -> tuple[str, ...]:
    """What may stand in an address and in no message, the longest first."""
    rest, _, query = uri.partition("://")[2].partition("?")
    user = rest.rpartition("@")[0]
    values = [value for name, value in parse_qsl(query) if name not in PLAIN]
    hosts = [value.partition(":")[0] for value in values]
    whole = [uri, query] if values or user else []
    found = {*whole, user, *user.split(":"), *values, *hosts}
    found |= {unquote(one) for one in found}
    return tuple(sorted((one for one in found if len(one) > 2), key=len, reverse=True))


def _cleaned(text: str, secrets: tuple[str, ...]) -> str:
    for secret in secrets:
        text = text.replace(secret, "***")
    text = text.partition("; Details:")[0]  # hosts, and what was said before in other words
    return " ".join(text.split())[:200]
