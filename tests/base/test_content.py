from __future__ import annotations

import gzip
import zipfile
from io import BytesIO

import pytest

from matbind.base import content


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
def test_text_is_decoded_whatever_its_encoding(encoding):
    assert content.decode("2θ in °".replace("θ", "é").encode(encoding)) == "2é in °"


def test_binary_data_are_no_text():
    with pytest.raises(ValueError, match="no text but binary"):
        content.decode(b"\x00\x01\x02")


def test_packed_files_are_unpacked_and_damaged_ones_refused(tmp_path):
    path = tmp_path / "a.xy.gz"
    path.write_bytes(gzip.compress(b"1 2\n"))
    assert content.read_text(path) == "1 2\n"
    path.write_bytes(gzip.compress(b"1 2\n" * 1000)[:30])
    with pytest.raises(ValueError, match="not a whole gzip"):
        content.read_text(path)


def test_what_unfolds_without_end_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(content, "LARGEST_BYTES", 1000)
    path = tmp_path / "a.xy.gz"
    path.write_bytes(gzip.compress(b"0" * 2000))
    with pytest.raises(ValueError, match="unfolds to more than 1000 bytes"):
        content.read_bytes(path)
    packed = BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.txt", b"0" * 2000)
    with pytest.raises(ValueError, match="unfolds to more than 1000 bytes"):
        content.Archive(packed.getvalue()).read("a.txt")


@pytest.mark.parametrize(
    "declared",
    [
        b'<!DOCTYPE a [<!ENTITY b "ccc">]><a>&b;</a>',
        b'<!DOCTYPE a SYSTEM "file:///etc/hostname"><a/>',
        '<?xml version="1.0" encoding="utf-16"?><!DOCTYPE a []><a/>'.encode("utf-16"),
    ],
)
def test_xml_that_declares_entities_is_refused(declared):
    with pytest.raises(ValueError, match="declares a document type or entities"):
        content.parse_xml(declared)


def test_cut_off_xml_is_refused():
    with pytest.raises(ValueError, match="not whole XML"):
        content.parse_xml(b"<a><b></b>")
