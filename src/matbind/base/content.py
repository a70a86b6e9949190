"""Bytes, text, XML and archives of a file that somebody else wrote, with a limit to what they may unfold to."""

from __future__ import annotations

import gzip
import re
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import IO
from xml.etree import ElementTree as ET

from matbind.base.errors import UserError

LARGEST_BYTES = 1 << 30  # unpacked: what is larger is no file of one material, or a trap
BYTE_ORDER_MARKS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
LINE_END = re.compile(r"\r\n|\r|\n")
DECLARATION = re.compile(r"<!(?:DOCTYPE|ENTITY)", re.IGNORECASE)


@contextmanager
def refusals_of(path: Path) -> Iterator[None]:
    """Turn what a reader finds wrong into one sentence that begins with the file.

    Raises:
        UserError: for a ValueError or OSError of the block.
    """
    try:
        yield
    except OSError as error:
        raise UserError(f"{path}: the file cannot be read ({error.strerror or error})") from error
    except ValueError as error:
        raise UserError(f"{path}: {error}") from error


def bare_name(path: Path) -> str:
    """Return the file's name in small letters, without the ending of a gzip."""
    return path.name.lower().removesuffix(".gz")


def read_bytes(path: Path) -> bytes:
    """Read the content of a file, unpacked if its name ends in `.gz`.

    Raises:
        OSError: if it cannot be read.
        ValueError: if it is no whole gzip, is empty, or is larger than a gibibyte.
    """
    with path.open("rb") as file:
        if path.suffix.lower() != ".gz":
            content = _limited(file)
        else:
            try:
                content = _limited(gzip.GzipFile(fileobj=file))
            except (EOFError, zlib.error, gzip.BadGzipFile) as error:
                raise ValueError(f"this is not a whole gzip file ({error})") from error
    if not content.strip():
        raise ValueError("the file is empty")
    return content


def read_text(path: Path) -> str:
    """Read the text of a file; see :func:`read_bytes` and :func:`decode`."""
    return decode(read_bytes(path))


def decode(content: bytes) -> str:
    """Decode by the byte order mark, else UTF-8, else Latin-1, which older instruments write.

    Raises:
        ValueError: if it is no text.
    """
    for order_mark, encoding in BYTE_ORDER_MARKS:
        if content.startswith(order_mark):
            try:
                return content.decode(encoding)
            except UnicodeDecodeError as error:
                raise ValueError(f"the text is not {encoding}, as its first bytes say ({error.reason})") from error
    if b"\0" in content:
        raise ValueError("this is no text but binary data")
    try:
        return content.decode()
    except UnicodeDecodeError:
        return content.decode("latin-1")


def lines_of(text: str) -> list[str]:
    """Return the lines without their ends, of whatever system they were written on."""
    return LINE_END.split(text)


def parse_xml(content: bytes) -> ET.Element:
    """Parse an XML document that declares no entities, which could unfold to any size or read other files.

    Raises:
        ValueError: if it declares a document type or an entity, or is no whole XML.
    """
    text = decode(content)
    if DECLARATION.search(text):
        raise ValueError("the XML declares a document type or entities, which are not read")
    try:
        return ET.fromstring(text)  # noqa: S314 - without declarations nothing unfolds
    except ET.ParseError as error:
        raise ValueError(f"this is not whole XML ({error})") from error


def local_name(element: ET.Element) -> str:
    """Return the tag without its namespace, which differs from version to version of a format."""
    return element.tag.rpartition("}")[2]


def descendants(element: ET.Element, name: str) -> list[ET.Element]:
    """Return the elements of this name, whatever their namespace, in the order of the document."""
    return [child for child in element.iter() if local_name(child) == name]


def first(element: ET.Element, name: str) -> ET.Element | None:
    """Return the first of :func:`descendants`, None if there is none."""
    return next((child for child in element.iter() if local_name(child) == name), None)


class Archive:
    """Members of a zip file."""

    def __init__(self, content: bytes) -> None:
        """Open it.

        Raises:
            ValueError: if it is no zip file.
        """
        try:
            self._zip = zipfile.ZipFile(BytesIO(content))
        except (zipfile.BadZipFile, EOFError) as error:
            raise ValueError(f"this is not a whole zip archive, which files of its kind are ({error})") from error
        self.names = sorted(self._zip.namelist())

    def read(self, name: str) -> bytes:
        """Read one member.

        Raises:
            ValueError: if it is missing, damaged, or larger than a gibibyte.
        """
        try:
            with self._zip.open(name) as file:
                return _limited(file)
        except KeyError as error:
            raise ValueError(f"the archive holds no {name}") from error
        except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError) as error:
            raise ValueError(f"{name} in the archive cannot be unpacked ({error})") from error


def _limited(file: IO[bytes] | gzip.GzipFile) -> bytes:
    content = file.read(LARGEST_BYTES + 1)
    if len(content) > LARGEST_BYTES:
        raise ValueError(f"it unfolds to more than {LARGEST_BYTES} bytes")
    return content
