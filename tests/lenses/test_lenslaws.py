"""Checking lenses: each planted fault is found, and nothing in lenses that are right."""

from __future__ import annotations

import sys
from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray  # noqa: TC002 - the classes below need it at run time

from catalog import Array, Dataset, PackableSample
from catalog.errors import LensError
from catalog.lenses.laws import _agree
from catalog.lenses.lens import Counterexample, Lens, LensReport, check_lens
from catalog.samples.packable import class_from, sample_type
from tests.paths import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

EXAMPLES = ROOT / "examples"
sys.path.append(str(EXAMPLES))  # the lenses are plain files, not a package of ours

from lenses import digits, flowers, nuclei  # type: ignore[import-not-found]  # noqa: E402


class Scan(PackableSample):
    """A small image, its number, and more."""

    image: Annotated[NDArray[np.float32], Array(shape=(2, 2))]
    label: int
    note: str | None = None


class Row(PackableSample):
    """Its pixels in a row."""

    pixels: Annotated[NDArray[np.float32], Array(shape=(4,))]
    label: int


def scan(number: int) -> Scan:
    return Scan(image=np.full((2, 2), number, np.float32), label=number, note=f"n{number}")


SCANS = [scan(number) for number in range(6)]


def get(scan: Scan) -> Row:
    return Row(pixels=scan.image.reshape(4).copy(), label=scan.label)


def put(row: Row, scan: Scan) -> Scan:
    return replace(scan, image=row.pixels.reshape(2, 2), label=row.label)


def check(
    getter: Callable[[Scan], Row] = get, putter: Callable[[Row, Scan], Scan] | None = put, rtol: float = 0.0
) -> LensReport:
    return check_lens(Lens(getter, putter, source=Scan, target=Row, name="planted"), SCANS, rtol=rtol)


def laws(report: LensReport) -> set[str]:
    return {one.law for one in report.counterexamples}


# --- right lenses --------------------------------------------------------------------------------------------


def test_a_right_lens_has_no_counterexample() -> None:
    report = check()
    assert report.ok
    assert (report.checked, report.counterexamples, report.left_out) == (6, (), 0)
    assert list(report.lines()) == ["planted: 6 samples: the lens laws hold"]


@pytest.mark.parametrize(
    ("lens", "shards"),
    [
        (Lens(digits.flatten, digits.unflatten), "digits-{000000..000001}.tar"),
        (Lens(flowers.measurements, flowers.remeasured), "iris-000000.tar"),
        (Lens(nuclei.statistics, nuclei.from_statistics), "breast-cancer-000000.tar"),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_the_example_lenses_keep_the_laws_on_the_example_shards(lens: Lens[Any, Any], shards: str) -> None:
    report = check_lens(lens, Dataset(f"{EXAMPLES}/shards/{shards}", lens.source), limit=40)
    assert report.counterexamples == ()
    assert report.checked == 40


def test_lenses_between_versions_and_paths_of_lenses_are_checked_as_any() -> None:
    inked = [
        digits.InkedDigit(image=np.full((8, 8), number, np.uint8), label=number, ink=number / 3) for number in range(5)
    ]
    newer = Lens(digits.without_ink, digits.with_its_ink)
    assert check_lens(newer, inked).ok
    assert check_lens(newer >> Lens(digits.flatten, digits.unflatten), inked).ok
    assert check_lens(Lens.identity(digits.InkedDigit), inked).ok


# --- planted faults ------------------------------------------------------------------------------------------


def test_a_putter_that_forgets_what_the_target_has_not_breaks_getput() -> None:
    report = check(putter=lambda row, _: Scan(image=row.pixels.reshape(2, 2), label=row.label))
    assert laws(report) == {"GetPut"}
    first = report.counterexamples[0]
    assert first == Counterexample(law="GetPut", sample=0, field="note", expected="'n0'", found="None")
    assert not report.ok


def test_a_putter_that_ignores_a_field_breaks_putget() -> None:
    report = check(putter=lambda row, scan: replace(scan, image=row.pixels.reshape(2, 2)))
    assert laws(report) == {"PutGet"}
    assert {one.field for one in report.counterexamples} == {"label"}


def test_a_putter_that_adds_up_breaks_putput() -> None:
    # A note of how often a change was made: putting back what is there is none, so GetPut and PutGet hold.
    def counting(row: Row, scan: Scan) -> Scan:
        changed = row.label != scan.label
        return replace(put(row, scan), note=f"{scan.note}!" if changed else scan.note)

    assert laws(check(putter=counting)) == {"PutPut"}


def test_a_fault_that_only_single_fields_show_is_found() -> None:
    # Samples in which label and pixels go together can't tell which of the two the label is taken from.
    report = check(putter=lambda row, scan: replace(put(row, scan), label=int(row.pixels[0])))
    assert laws(report) == {"PutGet"}


def test_a_putter_that_does_not_take_out_what_was_taken_out_is_found() -> None:
    # Every scan has a note: only leaving it out shows that the putter can't.
    lens: Lens[Scan, Scan] = Lens(
        lambda scan: scan,
        lambda new, old: replace(new, note=old.note if new.note is None else new.note),
        source=Scan,
        target=Scan,
    )
    report = check_lens(lens, SCANS)
    assert ("PutGet", "note", "None") in {(one.law, one.field, one.expected) for one in report.counterexamples}


def test_a_lens_that_raises_is_a_counterexample() -> None:
    def fragile(scan: Scan) -> Row:
        if scan.label == 3:
            raise ValueError("x" * 1000)
        return get(scan)

    report = check(fragile)
    # Sample 3 can't be got; and where others are put its number, it can't be got again.
    assert laws(report) == {"Raises"}
    assert report.counterexamples[0].sample == 3
    assert report.counterexamples[0].expected == "Row 1.0.0"
    assert len(report.counterexamples[0].found) < 100
    assert "ValueError" in report.counterexamples[0].found
    report = check(putter=lambda _row, _scan: scan(1 // 0))
    assert laws(report) == {"Raises"}
    assert [one.sample for one in report.counterexamples] == [0, 1, 2, 3, 4]  # each once, however often it was tried


def test_a_lens_that_never_ends_its_recursion_is_a_counterexample() -> None:
    def endless(scan: Scan) -> Row:
        return endless(scan)

    assert laws(check(endless)) == {"Raises"}


@pytest.mark.parametrize(
    ("getter", "field", "found"),
    [
        (lambda s: replace(get(s), pixels=s.image.reshape(4).astype(np.float64)), "pixels", "array[float64, 4]"),
        (lambda s: replace(get(s), pixels=s.image), "pixels", "array[float32, 2, 2]"),
        (lambda s: replace(get(s), pixels=[1.0]), "pixels", "list"),  # type: ignore[arg-type] # what is tested
        (lambda s: replace(get(s), label=None), "label", "NoneType"),  # type: ignore[arg-type] # as above
        (lambda s: replace(get(s), label=True), "label", "bool"),
    ],
)
def test_values_of_another_kind_dtype_or_shape_are_counterexamples(
    getter: Callable[[Scan], Row], field: str, found: str
) -> None:
    report = check(getter)
    assert laws(report) == {"Type"}
    assert {(one.field, one.found) for one in report.counterexamples} == {(field, found)}


def test_a_putter_that_changes_a_dtype_is_found() -> None:
    report = check(putter=lambda row, scan: replace(put(row, scan), image=row.pixels.reshape(2, 2).astype(float)))
    assert "Type" in laws(report)


def test_results_of_another_class_are_counterexamples() -> None:
    report = check(lambda scan: scan)  # type: ignore[arg-type,return-value] # what is tested
    assert laws(report) == {"Type"}
    assert "found Scan" in report.counterexamples[0].found
    assert laws(check(putter=lambda row, _: row)) == {"Type"}  # type: ignore[arg-type,return-value] # what is tested


def test_a_changed_input_is_a_counterexample_and_the_samples_stay_as_they_were() -> None:
    def doubling(scan: Scan) -> Row:
        scan.image *= 2
        return Row(pixels=scan.image.reshape(4) / np.float32(2), label=scan.label)

    report = check(doubling)
    assert laws(report) == {"Mutates"}
    assert report.counterexamples[0].field == "image"

    def overwriting(row: Row, scan: Scan) -> Scan:
        scan.image[:] = row.pixels.reshape(2, 2)
        scan.label = row.label
        return scan

    assert laws(check(putter=overwriting)) == {"Mutates"}

    def eating(row: Row, scan: Scan) -> Scan:
        made = put(replace(row, pixels=row.pixels.copy()), scan)
        row.pixels[:] = -1
        return made

    assert laws(check(putter=eating)) == {"Mutates"}
    assert [scan(number) for number in range(6)] == SCANS


def test_counterexamples_are_few_and_the_others_counted() -> None:
    report = check_lens(
        Lens(get, lambda _row, _scan: scan(0), source=Scan, target=Row), [scan(number) for number in range(50)]
    )
    assert len(report.counterexamples) <= 3 * 5
    assert report.left_out > 100
    lines = list(report.lines())
    assert lines[0].endswith(f"{report.left_out + len(report.counterexamples)} counterexamples")
    assert lines[-1] == f"  … and {report.left_out} more"
    assert len(lines) == len(report.counterexamples) + 2
    assert len(set(lines)) == len(lines)  # what many tries show of one sample is told once


class Odd(PackableSample):
    """Anything, and any array."""

    thing: Any
    array: NDArray[Any]


class _Unequal:
    def __eq__(self, other: object) -> bool:
        raise RuntimeError

    __hash__ = None  # type: ignore[assignment] # not needed


@pytest.mark.parametrize(
    "value", [_Unequal(), (number for number in range(3)), sys, np.array([_Unequal()]), np.array([[], [1]], object)]
)
def test_values_that_can_not_be_stored_are_counterexamples_whatever_they_do(value: object) -> None:
    numbers = np.arange(3)
    for odd in (Odd(thing=value, array=numbers), Odd(thing=1, array=value)):  # type: ignore[arg-type] # what is tested
        lens: Lens[Odd, Odd] = Lens(lambda _, odd=odd: odd, lambda new, _: new, source=Odd, target=Odd)  # type: ignore[misc] # a default
        assert laws(check_lens(lens, [Odd(thing=1, array=numbers)])) == {"Type"}
    assert check_lens(Lens.identity(Odd), [Odd(thing=[1, {"a": b"x"}], array=numbers)]).ok  # the control


def test_a_target_that_is_a_kind_of_its_source_is_compared_with_all_its_fields() -> None:
    class More(Scan):
        extra: int

    lens: Lens[Scan, More] = Lens(
        lambda scan: More(image=scan.image, label=scan.label, note=scan.note, extra=scan.label),
        lambda more, scan: replace(scan, image=more.image, label=more.label, note=more.note),
        source=Scan,
        target=More,
    )
    report = check_lens(lens, SCANS)
    assert {(one.law, one.field) for one in report.counterexamples} == {("PutGet", "extra")}


# --- samples -------------------------------------------------------------------------------------------------


def test_an_iterator_is_read_no_further_than_the_limit() -> None:
    read = count()

    def endless() -> Iterator[Scan]:
        for number in read:
            yield scan(number)

    assert check_lens(Lens(get, put), endless(), limit=7).checked == 7
    assert next(read) == 7


def test_a_report_on_nothing_is_not_good() -> None:
    report = check_lens(Lens(get, put), [])
    assert not report.ok
    assert list(report.lines()) == ["get: 0 samples: nothing was checked"]


def test_a_single_sample_is_enough_to_see_a_fault() -> None:
    assert check_lens(Lens(get, put), [scan(1)]).ok
    assert not check_lens(Lens(get, lambda _row, _scan: scan(0), source=Scan, target=Row), [scan(1)]).ok


def test_of_a_read_only_lens_what_it_gets_is_checked() -> None:
    assert check(putter=None).ok
    assert "read-only" in next(iter(check(putter=None).lines()))
    assert laws(check(lambda s: replace(get(s), label=None), putter=None)) == {"Type"}  # type: ignore[arg-type] # what is tested


def test_counterexamples_name_the_key_of_their_sample() -> None:
    keyed = scan(1)
    keyed.__key__ = "000017"
    report = check_lens(Lens(get, lambda _row, _scan: scan(0), source=Scan, target=Row), [keyed])
    assert {one.sample for one in report.counterexamples} == {"000017"}
    assert str(report.counterexamples[0]) == (
        "GetPut: sample '000017', field 'image': expected array[float32, 2, 2] with [0, 0] = 1.0, found 0.0"
    )


def test_samples_of_a_class_of_the_same_type_are_taken_others_refused() -> None:
    theirs = class_from(replace(sample_type(Scan), description=None))
    lens: Lens[Any, Any] = Lens(get, put)
    assert check_lens(lens, [theirs.from_bytes(scan(1).packed)]).ok
    with pytest.raises(LensError, match=r"expected a sample of Scan 1\.0\.0, found Row"):
        check_lens(lens, [get(scan(1))])


# --- equality ------------------------------------------------------------------------------------------------


def test_nan_is_nan_and_floats_may_differ_as_far_as_told() -> None:
    odd = Scan(image=np.array([[np.nan, np.inf], [-np.inf, 0]], np.float32), label=1)
    assert check_lens(Lens(get, put), [odd, scan(1)]).ok

    def rough(row: Row, scan: Scan) -> Scan:
        return replace(put(row, scan), image=row.pixels.reshape(2, 2) * np.float32(1.001))

    assert "GetPut" in laws(check(putter=rough))
    assert check(putter=rough, rtol=0.01).ok
    assert not check(putter=rough, rtol=0.0001).ok


_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.complex_numbers() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
    max_leaves=6,
)


@given(_values, _values, st.sampled_from([0.0, 1e-9, 0.5]))
def test_comparing_never_fails_and_a_value_agrees_with_itself(one: object, other: object, rtol: float) -> None:
    assert _agree(one, one, rtol)
    if _agree(one, other, 0.0):
        assert _agree(one, other, rtol)
        assert _agree(other, one, 0.0)


@given(st.floats(allow_nan=False, allow_infinity=False), st.floats(allow_nan=False, allow_infinity=False))
def test_arrays_and_numbers_are_compared_by_one_measure(one: float, other: float) -> None:
    with np.errstate(all="ignore"):
        arrays = _agree(np.array([one]), np.array([other]), 0.25)
    assert _agree(one, other, 0.25) == arrays


_RECORD = np.dtype([("a", "f4"), ("b", "i2", (2,)), ("t", "M8[s]")])


@pytest.mark.parametrize(
    ("one", "other", "agree"),
    [
        (np.array([(np.nan, [1, 2], "NaT")], _RECORD), np.array([(np.nan, [1, 2], "NaT")], _RECORD), True),
        (np.array([(1.0, [1, 2], "NaT")], _RECORD), np.array([(1.0, [1, 3], "NaT")], _RECORD), False),
        (np.zeros(0, _RECORD), np.zeros(0, _RECORD), True),
        (np.zeros((2, 0)), np.zeros((0, 2)), False),
        (np.array(np.nan), np.array(np.nan), True),
        (np.array(["a"]), np.array(["b"]), False),
        (np.array([1], "i4"), np.array([1], "i8"), False),
        (np.float32(1), 1.0, True),
        ((1, 2), [1, 2], True),
        (True, 1, False),
        (b"a", "a", False),
        ({"a": np.arange(2)}, {"a": np.arange(2)}, True),
        ({"a": np.arange(2)}, {"a": np.arange(3)}, False),
    ],
)
def test_what_agrees(one: object, other: object, agree: bool) -> None:  # noqa: FBT001 - a column of the table
    assert _agree(one, other, 0.0) is agree
    assert _agree(other, one, 0.0) is agree
