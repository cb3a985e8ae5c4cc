"""Records told apart by what nothing in them can forge: the nonce of the script that asked for them.

A job's name holds anything: newlines, separators, bytes of no encoding. So a record is no line: it begins and ends
with the nonce, which is drawn anew for each script, and its name is the last field. What stands outside of records,
such as a banner, is passed over; a record that is cut off is an error. Pure text.
"""

from __future__ import annotations

import re

from controller.schedulers.dialect import GarbledOutput

FORMAT = "@$nonce|{fields}|$nonce@"
"""Shell text, within double quotes, of one record whose fields are separated by ``|``."""
DELIMITER = "@$nonce|"
"""Shell text, within double quotes, of what ends each field, for a program that puts a delimiter behind every one."""
_OURS = re.compile(r"[a-z0-9._-]+-(?:sif)?[0-9a-f]{12}", re.IGNORECASE)


def framed(text: str, nonce: str, count: int) -> list[list[str]]:
    """Return the fields of each record that was printed by ``FORMAT``.

    Raises:
        GarbledOutput: a record is cut off, or has fewer than ``count`` fields.
    """
    records = []
    for piece in text.split(f"@{nonce}|")[1:]:
        body, end, _ = piece.partition(f"|{nonce}@")
        fields = body.split("|", count - 1)
        if not end or len(fields) != count:
            raise GarbledOutput(f"a record is cut off: {piece[:200]!r}")
        records.append(fields)
    return records


def delimited(text: str, nonce: str, count: int) -> list[list[str]]:
    """Return the fields of each record whose ``count`` fields were each ended by ``DELIMITER``, and then a newline.

    Raises:
        GarbledOutput: a record is cut off.
    """
    *fields, rest = text.split(f"@{nonce}|")
    if len(fields) % count != 0:
        raise GarbledOutput(f"a record is cut off: {(fields[-1] + rest)[-200:]!r}")
    records = [fields[start : start + count] for start in range(0, len(fields), count)]
    for record in records:
        # Before the first field stands the newline of the record before, and what else was printed meanwhile.
        record[0] = record[0].rpartition("\n")[2]
    return records


def refuse_if_ours(name: str, record: list[str]) -> None:
    """Raise for a record that cannot be read and may be of a job of ours; anybody else's are passed over.

    Raises:
        GarbledOutput: its name is one that a controller gives.
    """
    if _OURS.fullmatch(name):
        raise GarbledOutput(f"the record of job {name} cannot be read: {'|'.join(record)[:200]!r}")
