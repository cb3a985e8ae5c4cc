"""One blob to a verdict: the specs in it, or what is wrong with it.

Pure and independent of path and commit, so that a verdict can be kept by blob id and schema version. Must not look at
any other file: references are resolved in ``compile``.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from itertools import accumulate
from typing import Any

from controller.specs import lookups, not_yet
from controller.specs.budgets import Budget
from controller.specs.checks import Checker
from controller.specs.excerpts import excerpt
from controller.specs.identity import (
    MOST_NAMES,
    Standing,
    is_foreign_text,
    misspelt_kind,
    recover,
    recoverable,
    standing,
    usable_name,
)
from controller.specs.messages import Finding, findings
from controller.specs.nearest import did_you_mean, nearest, shown, suggesting, type_name
from controller.specs.partial import summed, without
from controller.specs.schemas import KINDS
from controller.specs.unit_checks import unit_findings, with_written_matrices
from controller.specs.units import Unit, units_of
from controller.specs.verdicts import MOST_PROBLEMS, Broken, Spec, Verdict, VerdictBuilder
from controller.specs.yaml_loader import MAX_BYTES, Document, Garbled, Loaded, Path, load

_NOT_A_SPEC = "list the file in .controllerignore if it is not a spec"
_SEPARATE = "write each spec as a document of its own, with a line --- between two, and without the leading dashes"

_OURS = (Standing.SPEC, Standing.STRAY, Standing.LIST)


def parse_blob(data: bytes, *, checker: Checker | None = None) -> Verdict:
    """Return what a file holds; never raises, whatever the bytes.

    A ``checker`` may be shared by the calls of one thread.
    """
    with suggesting():
        return _parsed(data, checker or Checker())


def _parsed(data: bytes, checker: Checker) -> Verdict:
    loaded = load(data)
    kinds = [(document, standing(document)) for document in loaded.documents]
    garbled = [piece for piece in loaded.garbled if not is_foreign_text(piece.text)]
    is_spec = any(s in _OURS for _, s in kinds) or any(recoverable(p.text) for p in garbled)
    if not is_spec and not garbled:
        return Verdict()
    lines = data.decode("utf-8", "replace").removeprefix("\ufeff").splitlines()
    parser = _Parser(lines, checker)
    parser.take_file_faults(loaded, is_spec)
    for document, stands in kinds:
        match stands:
            case Standing.SPEC:
                parser.take_spec(document, spoilt=bool(loaded.faults))
            case Standing.STRAY:
                parser.take_stray(document)
            case Standing.LIST:
                parser.take_list(document)
            case Standing.OTHER if is_spec:
                parser.take_other(document)
    for piece in garbled:
        parser.take_garbled(piece)
    return parser.verdict.build()


class _Parser:
    """Collects one file's verdict, document by document."""

    def __init__(self, lines: list[str], checker: Checker) -> None:
        self._lines = lines
        self._source = "\n".join(lines)
        self._starts = [0, *accumulate(len(line) + 1 for line in lines)]
        """Where each line begins in the source."""
        self._checker = checker
        self._budget = Budget()
        self.verdict = VerdictBuilder()

    def _report(self, line: int, column: int, message: str, remedy: str = "", resource: str = "") -> None:
        text = excerpt(self._lines, line, column)
        self.verdict.add_problem(line, column, message, remedy, text, resource)

    def take_file_faults(self, loaded: Loaded, is_spec: bool) -> None:
        for fault in loaded.faults if is_spec else ():
            self._report(fault.line, fault.column, fault.message, fault.remedy)

    def take_garbled(self, piece: Garbled) -> None:
        """Report a piece that is not YAML, and save the names in it from being taken for deleted."""
        fault = piece.fault
        names = recover(piece.text)
        remedy = fault.remedy if names or not fault.line else "; ".join(filter(None, (fault.remedy, _NOT_A_SPEC)))
        # Of a file that was not read whole, nobody knows what it holds.
        whole = fault.line > 0 and len(names) < MOST_NAMES
        self._report(fault.line, fault.column, fault.message, remedy, names[0] if whole and len(names) == 1 else "")
        self.verdict.suspects.update(names)
        self.verdict.unread |= not whole
        self.verdict.opaque = True

    def take_other(self, document: Document) -> None:
        line, column = document.place(())
        if isinstance(document.value, dict):
            self._report(line, column, 'missing field "kind"', "kinds: " + ", ".join(KINDS))
        else:
            self._report(line, column, f"a spec must be a mapping, not {type_name(document.value)}", _SEPARATE)
        self.verdict.opaque = True

    def take_list(self, document: Document) -> None:
        """Report a list that has specs as its items, and save each of them from being taken for deleted."""
        first = True
        for number, item in enumerate(document.value):
            kind, name = (item.get("kind"), usable_name(item.get("name"))) if isinstance(item, dict) else (None, None)
            if kind not in KINDS:
                continue
            line, column = document.place((number,))
            key = f"{kind}/{name}" if name else ""
            if first or key:
                self._report(line, column, "a spec stands by itself, not in a list", _SEPARATE, key)
            if key:
                self.verdict.broken.append(Broken(key=key, line=line, column=column))
            first = False
        self.verdict.opaque = True

    def take_stray(self, document: Document) -> None:
        """Report a document that has no ``kind`` but must have been meant as a spec."""
        meant = misspelt_kind(document.value)
        if meant is not None:
            line, column = document.keys[(meant,)]
            self._report(line, column, f'unknown field {shown(meant)}; did you mean "kind"?')
        else:
            self._report(*document.place(()), 'missing field "kind"', "kinds: " + ", ".join(KINDS))
        name = usable_name(document.value.get("name"))
        if name is not None:
            self.verdict.suspects.update(f"{kind}/{name}" for kind in KINDS)
        self.verdict.opaque = True

    def take_spec(self, document: Document, *, spoilt: bool) -> None:
        """Check a document that has a ``kind``; a valid one becomes a Spec, any other is broken."""
        kind = document.value["kind"]
        name = usable_name(document.value.get("name"))
        for fault in document.faults:
            key = f"{kind}/{name}" if kind in KINDS and name else ""
            self._report(fault.line, fault.column, fault.message, fault.remedy, key)
        self._save_repeated(document)
        if not isinstance(kind, str) or kind not in KINDS:
            self._unknown_kind(document, kind, name)
            return
        key = f"{kind}/{name}" if name else ""
        void = self._check(document, kind, key)
        line, column = document.keys[("kind",)]
        if name is None:
            self.verdict.opaque = True
        if void is None and name is not None and not document.faults and not spoilt:
            self.verdict.specs.append(self._spec(document, kind, name, document.value, ()))
            return
        if name is not None:
            self.verdict.broken.append(Broken(key=key, line=line, column=column))
        refused = summed({*(void or ()), *document.void}, MOST_PROBLEMS)
        self.verdict.partials.append(
            self._spec(document, kind, name or "", without(document.value, refused), tuple(sorted(refused, key=str)))
        )

    def _spec(self, document: Document, kind: str, name: str, data: dict[str, Any], void: tuple[Path, ...]) -> Spec:
        places = {_key_of(path): place for path, place in document.values.items() if _may_be_told(path)}
        places["kind"] = document.keys[("kind",)]
        units = units_of(kind, name, data)
        places |= {_key_of(path): place for unit in units for path, place in self._late_places(document, unit)}
        if not void:
            data = with_written_matrices(document, units)
        return Spec(kind=kind, name=name, data=data, places=places, void=void)

    def _save_repeated(self, document: Document) -> None:
        """Two specs with the ``---`` between them lost read as one with duplicate keys: save both names."""
        if not document.repeated.keys() & {"kind", "name"}:
            return
        kinds = [document.value["kind"], *document.repeated.get("kind", [])]
        names = [document.value.get("name"), *document.repeated.get("name", [])]
        self.verdict.suspects.update(f"{k}/{n}" for k in kinds if k in KINDS for n in names if usable_name(n))
        self.verdict.opaque = True

    def _unknown_kind(self, document: Document, kind: Any, name: str | None) -> None:
        line, column = document.place(("kind",))
        kinds = "kinds: " + ", ".join(KINDS)
        if not isinstance(kind, str):
            self._report(line, column, f'"kind" must be a string, not {type_name(kind)}', kinds)
        elif (message := not_yet.kind(kind)) is not None:
            self._report(line, column, message, kinds)
        else:
            hint, meant = did_you_mean(kind, KINDS), nearest(kind, KINDS)
            remedy = kinds if hint else f"{kinds}; {_NOT_A_SPEC}"
            key = f"{meant}/{name}" if meant and name else ""
            self._report(line, column, f"unknown kind {shown(kind)}{hint}", remedy, key)
        if name is not None:
            self.verdict.suspects.update(f"{each}/{name}" for each in KINDS)
        self.verdict.opaque = True

    def _check(self, document: Document, kind: str, resource: str) -> set[Path] | None:
        """Report all that is wrong with a spec by itself; return where, None if it is valid.

        What is not valid is left out of the checks that follow, so that no error hides another or brings one about.
        """
        found = [
            finding
            for finding in findings(kind, self._checker.errors(kind, document.value), document.texts)
            if ((*finding.path[:-1], "<<") if finding.missing else finding.path) not in document.void
            and finding.path != ("kind",)
        ]
        void = summed({each.path for each in found if not _is_name_of_step(each)} | document.void, MOST_PROBLEMS)
        name = str(document.value.get("name"))
        for unit in units_of(kind, name, without(document.value, void)):
            found += unit_findings(unit, document.texts, void, self._budget)
        for finding in dict.fromkeys(found):
            place = document.place_of(finding.path, at_key=finding.at_key)
            self._report(*place, finding.message, finding.remedy, resource)
        units = units_of(kind, name, document.value)
        faults = list(dict.fromkeys(fault for unit in units for fault in self._lookup_faults(document, unit)))
        for _, line, column, message, remedy in faults:
            self._report(line, column, message, remedy, resource)
        wrong = {each.path for each in found if not _is_name_of_step(each)} | {path for path, *_ in faults}
        return wrong if found or faults else None

    def _lookup_faults(self, document: Document, unit: Unit) -> Iterator[tuple[Path, int, int, str, str]]:
        names, late = unit.names(), unit.late()
        for path, text in unit.texts():
            used = 0
            for fault in lookups.faults(text, names, late):
                line, column, used = self._place_in(document, path, fault.text, used, len(text))
                yield path, line, column, fault.message, fault.remedy
            if path == unit.path("command"):
                for fault in lookups.quoted_faults(text, unit.unsafe):
                    line, column, _ = self._place_in(document, path, fault.text, 0, len(text))
                    yield path, line, column, fault.message, fault.remedy

    def _late_places(self, document: Document, unit: Unit) -> Iterator[tuple[Path, tuple[int, int]]]:
        """Yield where each look-up stands whose value other files may contradict; the last of several counts."""
        for path, text in unit.texts():
            used = 0
            for written, name in lookups.found(text):
                line, column, used = self._place_in(document, path, written, used, len(text))
                if lookups.is_late(name):
                    yield unit.late_path(name), (line, column)

    def _place_in(self, document: Document, path: Path, text: str, used: int, room: int) -> tuple[int, int, int]:
        """Return where a piece of a scalar stands in the source: the first occurrence behind ``used``, and its end.

        ``room`` is the length of the scalar.
        """
        line, column = document.place(path)
        if used < 0:
            return line, column, used
        start = self._starts[line - 1] + column - 1
        first_line = text[:MAX_BYTES].partition("\n")[0]
        # Written with escapes and indented, a value takes more room in the source than it has characters.
        begin = max(start, used)
        at = self._source.find(first_line, begin, begin + 12 * room + 4_096)
        if at < 0:  # written with escapes, as all of the scalar may be: looked for once
            return line, column, -1
        found = bisect_right(self._starts, at)
        return found, at - self._starts[found - 1] + 1, at + len(first_line)


def _is_name_of_step(finding: Finding) -> bool:
    """A step whose name is not valid keeps its fields, which are checked like others."""
    return finding.at_key and len(finding.path) == 2 and finding.path[0] == "steps"


def _may_be_told(path: Path) -> bool:
    """Return whether other files may contradict what stands at a path; the values of a matrix are too many to keep."""
    depth = 5 if path[:1] == ("steps",) else 3
    return 0 < len(path) <= depth and "matrix" not in path[:-1]


def _key_of(path: Path) -> str:
    return ".".join(map(str, path))
