"""Lenses: getting and putting, one after the other, through networks, to other processes, into records."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Annotated, Any, assert_type

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.typing import NDArray  # noqa: TC002 - the classes below need it at run time

from catalog import Array, Dataset, DictSample, PackableSample, packable
from catalog.errors import InvalidSample, LensError
from catalog.lenses.lens import LENSES, Lens, LensNetwork, lens
from catalog.records import CodeReference
from catalog.samples.packable import class_from, sample_type
from catalog.samples.write_shards import write_shards
from catalog.syntax import AtUri
from tests.paths import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

SCHEMA = "at://did:plc:ewvi7nxzyoun6zhxrhs64oiz/science.alt.dataset.schema/Flat:1.0.0"


class Digit(PackableSample):
    """A small image and its number."""

    image: Annotated[NDArray[np.uint8], Array(shape=(2, 2), dimensions=("y", "x"))]
    label: int
    writer: str | None = None


class Flat(PackableSample, schema=SCHEMA):
    """Its pixels in a row."""

    pixels: Annotated[NDArray[np.uint8], Array(shape=(4,), dimensions=("pixel",))]
    label: int


@packable
class Label:
    """Only the number."""

    label: int


@lens
def flatten(digit: Digit) -> Flat:
    """The image as one row of pixels."""
    return Flat(pixels=digit.image.reshape(4), label=digit.label)


@flatten.putter
def _(flat: Flat, digit: Digit) -> Digit:
    return replace(digit, image=flat.pixels.reshape(2, 2), label=flat.label)


@lens(name="its label", register=False)
def labelled(flat: Flat) -> Label:
    return Label(label=flat.label)


@labelled.putter
def relabelled(label: Label, flat: Flat) -> Flat:
    return replace(flat, label=label.label)


def _only_label(digit: Digit) -> Label:
    return Label(label=digit.label)


def digit(number: int, *, key: str = "") -> Digit:
    made = Digit(image=np.full((2, 2), number, np.uint8), label=number, writer=f"w{number}")
    if key:
        made.__key__ = key
    return made


# --- one lens ------------------------------------------------------------------------------------------------


def test_a_lens_gets_by_call_and_by_name_and_puts_back() -> None:
    flat = flatten(digit(3))
    assert flat == flatten.get(digit(3)) == Flat(pixels=np.full(4, 3, np.uint8), label=3)
    put = flatten.put(Flat(pixels=np.arange(4, dtype=np.uint8), label=7), digit(3))
    assert put == Digit(image=np.array([[0, 1], [2, 3]], np.uint8), label=7, writer="w3")


def test_a_lens_knows_its_classes_its_name_and_its_docs() -> None:
    assert (flatten.source, flatten.target, flatten.name) == (Digit, Flat, "flatten")
    assert flatten.description == flatten.__doc__ == "The image as one row of pixels."
    assert labelled.name == "its label"
    assert labelled.description is None
    assert repr(flatten) == "<Lens flatten: Digit 1.0.0 → Flat 1.0.0>"
    assert repr(Lens(_only_label)) == "<Lens _only_label: Digit 1.0.0 → Label 1.0.0, read-only>"


def test_a_lens_without_a_putter_is_read_only() -> None:
    one = Lens(_only_label)
    assert one.read_only
    assert one.put_function is None
    with pytest.raises(LensError, match="read-only"):
        one.put(Label(label=1), digit(2))
    assert not flatten.read_only


def test_a_lens_has_one_putter() -> None:
    with pytest.raises(LensError, match="has a putter already"):
        labelled.putter(relabelled)


def test_what_comes_out_has_the_key_of_what_went_in() -> None:
    assert flatten(digit(1, key="000001")).__key__ == "000001"
    assert flatten.put(flatten(digit(2)), digit(1, key="000001")).__key__ == "000001"
    assert (flatten >> labelled)(digit(1, key="000001")).__key__ == "000001"  # type: ignore[attr-defined] # @packable


def _no_annotations(digit):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202 - what is tested
    return digit


def _no_answer(digit: Digit):  # type: ignore[no-untyped-def] # noqa: ANN202 - what is tested
    return digit


def _plain(digit: Digit) -> int:
    return digit.label


def _dicts(digit: Digit) -> DictSample:
    return DictSample(label=digit.label)


def _two(digit: Digit, other: Digit) -> Digit:  # noqa: ARG001 - what is tested
    return digit


def _keyword(*, digit: Digit) -> Digit:
    return digit


def _any_number(*digits: Digit) -> Digit:
    return digits[0]


def _unknown(digit: Nothing) -> Digit:  # type: ignore[name-defined] # noqa: F821 - what is tested
    return digit  # type: ignore[no-any-return] # as above


def _whole(digit: Digit, times: int = 2) -> Flat:
    return Flat(pixels=digit.image.reshape(4), label=digit.label * times)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (_no_annotations, "no annotation of digit, return"),
        (_no_answer, "no annotation of return"),
        (_plain, "int is not a packable class"),
        (_dicts, "DictSample is not a packable class"),
        (_two, "missing a required argument"),
        (_keyword, "_keyword"),
        (_unknown, "Nothing"),
        (int, "int"),
    ],
)
def test_a_function_that_is_no_getter_is_refused(function: Callable[[Any], Any], message: str) -> None:
    before = LENSES.lenses
    with pytest.raises(LensError, match=message):
        lens(function)
    assert LENSES.lenses == before
    assert Lens(_whole)(digit(2)).label == 4  # the control: more parameters don't matter when they have defaults
    assert Lens(_any_number).source is Digit


def _swapped(digit: Digit, flat: Flat) -> Digit:
    return flatten.put(flat, digit)


def _answers_flat(flat: Flat, digit: Digit) -> Flat:  # noqa: ARG001 - what is tested
    return flat


def _puts_into_flat(flat: Flat, other: Flat) -> Digit:  # noqa: ARG001 - what is tested
    return digit(flat.label)


def _takes_one(flat: Flat) -> Digit:
    return Digit(image=flat.pixels.reshape(2, 2), label=1)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (_swapped, r"is \(Digit 1.0.0, Flat 1.0.0\) -> Digit 1.0.0 \(it should be \(Flat 1.0.0, Digit 1.0.0\)"),
        (_answers_flat, r"-> Flat 1.0.0 \(it should be"),
        (_puts_into_flat, r"is \(Flat 1.0.0, Flat 1.0.0\)"),
        (_takes_one, "too many positional arguments"),
        (_no_annotations, "too many positional"),
    ],
)
def test_a_putter_must_go_the_way_back(function: Callable[[Any, Any], Any], message: str) -> None:
    one = lens(register=False)(_whole)
    with pytest.raises(LensError, match=message):
        one.putter(function)
    assert one.read_only


def test_classes_that_are_given_need_no_annotations() -> None:
    one: Lens[Digit, Label] = Lens(
        lambda digit: Label(label=digit.label),
        lambda label, digit: replace(digit, label=label.label),
        source=Digit,
        target=Label,
        name="short",
    )
    assert one(digit(4)) == Label(label=4)
    assert one.put(Label(label=5), digit(4)).label == 5
    assert one.name == "short"


def test_a_sample_of_another_type_is_refused() -> None:
    with pytest.raises(LensError, match=r"expected a sample of Digit 1\.0\.0, found Label 1\.0\.0"):
        flatten(Label(label=1))  # type: ignore[arg-type] # what is tested
    with pytest.raises(LensError, match="found dict"):
        flatten({"label": 1})  # type: ignore[arg-type] # what is tested
    with pytest.raises(LensError, match=r"expected a sample of Flat 1\.0\.0, found Digit"):
        flatten.put(digit(1), digit(1))  # type: ignore[arg-type] # what is tested


def test_a_getter_that_answers_another_class_is_named() -> None:
    wrong: Lens[Digit, Flat] = Lens(lambda digit: digit, source=Digit, target=Flat)  # type: ignore[arg-type,return-value] # what is tested
    with pytest.raises(LensError, match=r"lambda.*: expected a sample of Flat 1\.0\.0, found Digit"):
        wrong(digit(1))


def test_samples_of_a_class_made_from_a_record_go_through_as_they_are() -> None:
    made = class_from(replace(sample_type(Digit), description="Other words."))
    theirs = made.from_bytes(digit(3, key="k").packed, key="k")
    assert not isinstance(theirs, Digit)
    assert flatten(theirs) == flatten(digit(3))  # type: ignore[arg-type] # it is a Digit in all but its class
    assert flatten(theirs).__key__ == "k"  # type: ignore[arg-type] # as above
    assert isinstance(flatten.put(flatten(digit(4)), theirs), Digit)  # type: ignore[arg-type] # as above


# --- one after the other -------------------------------------------------------------------------------------


def test_a_path_gets_forwards_and_puts_back_through_what_it_got() -> None:
    both = flatten >> labelled
    assert both == flatten.then(labelled)
    assert both(digit(3)) == Label(label=3)
    assert both.put(Label(label=9), digit(3)) == replace(digit(3), label=9)  # image and writer are still there
    assert (both.source, both.target, both.name) == (Digit, Label, "flatten >> its label")
    assert both.parts == (flatten, labelled)


def test_a_path_with_a_read_only_lens_is_read_only_until_that_gets_its_putter() -> None:
    one = Lens(_only_label)
    back = Lens(lambda label: label, lambda new, _: new, source=Label, target=Label)
    both = one >> back
    assert both.read_only
    with pytest.raises(LensError, match="_only_label is read-only"):
        both.put(Label(label=1), digit(2))
    one.putter(_put_label)
    assert both.put(Label(label=1), digit(2)).label == 1


def _put_label(label: Label, digit: Digit) -> Digit:
    return replace(digit, label=label.label)


def test_lenses_that_do_not_meet_are_refused() -> None:
    with pytest.raises(LensError, match=r"flatten ends at Flat 1\.0\.0, lens flatten starts at Digit 1\.0\.0"):
        flatten.then(flatten)  # type: ignore[arg-type] # what is tested
    with pytest.raises(TypeError):
        flatten >> 3  # type: ignore[operator] # what is tested


def test_lenses_meet_at_classes_of_one_type() -> None:
    theirs = class_from(replace(sample_type(Flat), description=None))
    number: Lens[Any, Label] = Lens(lambda flat: Label(label=flat.label), source=theirs, target=Label)
    assert (flatten >> number)(digit(6)) == Label(label=6)


def test_identity_changes_nothing_and_vanishes_in_a_path() -> None:
    same = Lens.identity(Digit)
    one = digit(1)
    assert same(one) is one
    assert same.put(digit(2), one) == digit(2)
    assert same >> flatten == flatten == flatten >> Lens.identity(Flat)
    assert same >> same == same
    with pytest.raises(LensError, match="not a packable class"):
        Lens.identity(int)


_STEPS: Sequence[Lens[Any, Any]] = [
    Lens(
        lambda s: Label(label=s.label + 1), lambda t, _: Label(label=t.label - 1), source=Label, target=Label, name="+"
    ),
    Lens(
        lambda s: Label(label=s.label * 2), lambda t, _: Label(label=t.label // 2), source=Label, target=Label, name="*"
    ),
    Lens.identity(Label),
]


@given(st.tuples(*[st.sampled_from(_STEPS)] * 3), st.integers(0, 99), st.integers(0, 99))
def test_it_does_not_matter_how_a_path_is_put_together(
    steps: tuple[Lens[Label, Label], Lens[Label, Label], Lens[Label, Label]], before: int, after: int
) -> None:
    a, b, c = steps
    left, right = (a >> b) >> c, a >> (b >> c)
    assert left == right
    assert hash(left) == hash(right)
    sample, changed = Label(label=before), Label(label=after)
    assert left(sample) == right(sample) == c(b(a(sample)))
    by_hand = a.put(b.put(c.put(changed, b(a(sample))), a(sample)), sample)
    assert left.put(changed, sample) == right.put(changed, sample) == by_hand


def test_lenses_are_equal_by_classes_functions_and_name() -> None:
    assert Lens(_only_label) == Lens(_only_label)
    assert Lens(_only_label) != Lens(_only_label, name="other")
    assert Lens(_only_label) != Lens(_only_label, _put_label)
    assert flatten != flatten >> labelled
    assert len({Lens(_only_label), Lens(_only_label), flatten}) == 2


def test_static_types_follow_the_annotations() -> None:
    # The type checker reads this; the ignores elsewhere in this file are its negative cases, as unused ones are errors.
    assert_type(flatten, Lens[Digit, Flat])
    assert_type(labelled, Lens[Flat, Label])
    assert_type(flatten(digit(1)), Flat)
    assert_type(flatten.put(flatten(digit(1)), digit(1)), Digit)
    assert_type(flatten >> labelled, Lens[Digit, Label])
    assert_type(Lens.identity(Digit), Lens[Digit, Digit])
    assert_type(LensNetwork([flatten]).path(Digit, Flat), Lens[Digit, Flat])


# --- to other processes --------------------------------------------------------------------------------------


def _again(value: Lens[Any, Any]) -> Lens[Any, Any]:
    found = pickle.loads(pickle.dumps(value))  # noqa: S301 - our own
    assert isinstance(found, Lens)
    return found


def test_lenses_of_a_module_are_themselves_in_another_process(tmp_path: Path) -> None:
    (tmp_path / "theirs.py").write_text(
        "from catalog import PackableSample, lens\n"
        "class A(PackableSample):\n    x: int\n"
        "class B(PackableSample):\n    y: int\n"
        "@lens\ndef go(a: A) -> B:\n    return B(y=a.x)\n"
        "@go.putter\ndef _(b: B, a: A) -> A:\n    return A(x=b.y)\n",
        encoding="utf-8",
    )
    write = (
        "import pickle, sys, theirs; both = theirs.go, theirs.go >> theirs.go.identity(theirs.B);"
        "sys.stdout.buffer.write(pickle.dumps(both))"
    )
    read = (
        "import pickle, sys; a, b = pickle.load(sys.stdin.buffer); import theirs; print(a is theirs.go, b is theirs.go)"
    )
    environment = {"PYTHONPATH": f"{tmp_path}:{ROOT}", "PATH": "/usr/bin:/bin"}
    raw = subprocess.run([sys.executable, "-c", write], check=True, capture_output=True, env=environment).stdout
    assert b"catalog" not in raw  # it is a name, nothing else
    out = subprocess.run(
        [sys.executable, "-c", read], input=raw, check=True, capture_output=True, env=environment
    ).stdout
    assert out.split() == [b"True", b"True"]


def test_lenses_of_a_script_travel_by_value_where_cloudpickle_takes_them(tmp_path: Path) -> None:
    """Ray's workers, for one, have another ``__main__``."""
    script = (
        "import cloudpickle, pickle, sys\n"
        "from catalog import PackableSample, lens\n"
        "class A(PackableSample):\n    x: int\n"
        "class B(PackableSample):\n    y: int\n"
        "@lens\ndef go(a: A) -> B:\n    return B(y=a.x + 1)\n"
        "@go.putter\ndef _(b: B, a: A) -> A:\n    return A(x=b.y - 1)\n"
        "assert pickle.loads(pickle.dumps(go)) is go\n"
        "sys.stdout.buffer.write(cloudpickle.dumps((go, A(x=1))))\n"
    )
    (tmp_path / "script.py").write_text(script, encoding="utf-8")
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}
    command = [sys.executable, str(tmp_path / "script.py")]
    raw = subprocess.run(command, check=True, capture_output=True, env=environment).stdout
    read = "import pickle, sys; go, a = pickle.load(sys.stdin.buffer); print(go(a).y, go.put(go(a), a).x)"
    command = [sys.executable, "-c", read]
    out = subprocess.run(command, input=raw, check=True, capture_output=True, env=environment).stdout
    assert out.split() == [b"2", b"1"]


def test_a_lens_that_is_no_name_of_a_module_travels_by_its_functions() -> None:
    one = Lens(_only_label, _put_label, name="by parts")
    assert _again(one) == one
    assert _again(one).put(Label(label=1), digit(2)).label == 1
    with pytest.raises((pickle.PicklingError, AttributeError)):
        pickle.dumps(_STEPS[0])  # the control: a lambda has no name


def test_paths_and_identities_travel() -> None:
    path = Lens(_only_label) >> Lens.identity(Label)
    assert _again(path) == path
    assert _again(Lens.identity(Digit)) == Lens.identity(Digit)
    assert copy.deepcopy(flatten) is flatten


# --- networks ------------------------------------------------------------------------------------------------


PLACES = [type(f"Place{number}", (PackableSample,), {"__annotations__": {"x": int}}) for number in range(7)]


def _edge(start: int, end: int, name: str = "") -> Lens[Any, Any]:
    to = PLACES[end]
    return Lens(lambda s: to(x=s.x), source=PLACES[start], target=to, name=name or f"{start}{end}")


_EDGES = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=14)


def _shortest(edges: list[tuple[int, int]], start: int, end: int) -> list[list[int]]:
    """Every way of the fewest edges, as their numbers, by trying all of ever greater length."""
    ways: list[list[int]] = [[]]
    for _ in range(len(PLACES)):
        found = [way for way in ways if (edges[way[-1]][1] if way else start) == end]
        if found:
            return found
        ways = [
            [*way, number]
            for way in ways
            for number, edge in enumerate(edges)
            if edge[0] == (edges[way[-1]][1] if way else start)
        ][:20_000]
    return []


@given(_EDGES, st.integers(0, 6), st.integers(0, 6))
@example([(0, 1), (1, 2), (2, 3), (3, 4), (0, 5), (5, 4)], 0, 4)  # the long way stands first
@example([(0, 5), (5, 4), (0, 1), (1, 2), (2, 3), (3, 4)], 0, 4)
@example([(1, 4), (2, 4), (0, 2), (0, 1)], 0, 4)  # of two short ones, the one whose first step is older
@example([(0, 0), (0, 1), (1, 0), (1, 2), (2, 1)], 0, 2)  # cycles
def test_a_path_is_the_first_of_the_shortest_ways(edges: list[tuple[int, int]], start: int, end: int) -> None:
    unique = list(dict.fromkeys(edges))
    network = LensNetwork(_edge(*edge) for edge in unique)
    ways = _shortest(unique, start, end)
    if ways:
        path: Lens[Any, Any] = network.path(PLACES[start], PLACES[end])
        # Lexicographically first by the order in which they were added: each step takes the oldest that is left.
        assert [network.lenses.index(part) for part in path.parts] == min(ways)
        assert all(one.target is other.source for one, other in pairwise(path.parts))
        assert (path.source, path.target) == (PLACES[start], PLACES[end])
        sources = network.sources(PLACES[end])
        assert (PLACES[start] in sources) == (start != end)
        lengths = [len(network.path(source, PLACES[end]).parts) for source in sources]
        assert lengths == sorted(lengths)
    else:
        with pytest.raises(LensError, match=rf"no lens leads from Place{start} 1\.0\.0 to Place{end} 1\.0\.0"):
            network.path(PLACES[start], PLACES[end])
        assert PLACES[start] not in network.sources(PLACES[end])


def test_of_two_ways_the_one_that_was_added_first_is_taken() -> None:
    ways = [_edge(0, 1, "late"), _edge(0, 1, "soon")]
    assert LensNetwork(ways).path(PLACES[0], PLACES[1]).name == "late"
    assert LensNetwork(reversed(ways)).path(PLACES[0], PLACES[1]).name == "soon"


def test_a_way_of_a_single_lens_is_that_lens() -> None:
    assert LensNetwork([flatten]).path(Digit, Flat) is flatten


def test_no_way_is_told_with_what_can_be_reached_but_not_endlessly() -> None:
    network = LensNetwork([_edge(0, 1), _edge(1, 2), _edge(3, 0)])
    with pytest.raises(
        LensError, match=r"Place0 1\.0\.0 to Place3 1\.0\.0 \(reachable: Place1 1\.0\.0, Place2 1\.0\.0\)$"
    ):
        network.path(PLACES[0], PLACES[3])
    with pytest.raises(LensError, match="no lens starts there"):
        network.path(PLACES[4], PLACES[3])
    many = [type(f"Many{number}", (PackableSample,), {"__annotations__": {"x": int}}) for number in range(30)]
    star = LensNetwork(Lens(lambda s: s, source=PLACES[0], target=cls) for cls in many)
    with pytest.raises(LensError, match=r"Many9 1\.0\.0 and 20 more") as caught:
        star.path(PLACES[0], PLACES[1])
    assert "Many10" not in str(caught.value)


def test_classes_of_one_sample_type_are_one_place() -> None:
    theirs = class_from(replace(sample_type(Digit), description="A record's words."))
    network = LensNetwork([flatten])
    path = network.path(theirs, Flat)
    sample = theirs.from_bytes(digit(3).packed, key="k")
    assert network.path(theirs, Digit)(sample).__key__ == "k"
    assert path(sample) == flatten(digit(3))
    assert type(path.put(flatten(digit(5)), sample)) is theirs
    same = network.path(theirs, Digit)
    assert same.parts == ()
    assert same(sample) == digit(3)
    assert _again(path) == path
    described = [replace(field, description="A record's words.") for field in sample_type(Digit).fields]
    assert network.path(class_from(replace(sample_type(Digit), fields=tuple(described))), Digit).parts == ()
    other = class_from(replace(sample_type(Digit), version="2.0.0"))
    with pytest.raises(LensError, match=r"Digit 2\.0\.0 to Flat"):  # the control: another version is another place
        network.path(other, Flat)


def test_a_class_without_a_sample_type_is_nowhere() -> None:
    with pytest.raises(LensError, match="from DictSample to Flat"):
        LensNetwork([flatten]).path(DictSample, Flat)
    assert LensNetwork([flatten]).sources(DictSample) == ()


def test_adding_a_lens_twice_or_made_again_leaves_one() -> None:
    network = LensNetwork()
    scope: dict[str, Any] = {"Digit": Digit, "Label": Label, "__name__": "a_notebook"}
    cell = "def go(digit: Digit) -> Label:\n    return Label(label={})\n"
    for number in (1, 2):
        exec(cell.format(number), scope)  # noqa: S102 - as a notebook does
        network.add(Lens(scope["go"]))
        network.add(network.lenses[0])
    assert len(network.lenses) == 1
    assert network.path(Digit, Label)(digit(9)) == Label(label=2)


def test_decorated_lenses_are_in_the_network_of_all_unless_told_otherwise() -> None:
    assert flatten in LENSES.lenses
    assert labelled not in LENSES.lenses


# --- datasets ------------------------------------------------------------------------------------------------


@pytest.fixture
def digits(tmp_path: Path) -> Dataset[Digit]:
    return Dataset(write_shards([digit(n) for n in range(5)], tmp_path / "d-%06d.tar", maxcount=3), Digit)


def test_a_dataset_goes_through_a_lens_a_path_and_the_network_of_all(digits: Dataset[Digit]) -> None:
    for dataset in (digits.as_type(Flat), digits.as_type(Flat, through=flatten)):
        assert list(dataset) == [flatten(digit(n)) for n in range(5)]
        assert dataset.schema == sample_type(Flat)
        assert len(dataset) == 5
    network = LensNetwork([flatten, labelled])
    assert [sample.label for sample in digits.as_type(Label, through=network)] == list(range(5))
    assert [sample.__key__ for sample in digits.as_type(Flat).head(2)] == ["00000000", "00000001"]


def test_a_dataset_of_a_record_s_class_or_of_none_goes_through_your_lenses(digits: Dataset[Digit]) -> None:
    theirs = class_from(replace(sample_type(Digit), description="A record's words."))
    dicts = Dataset(digits.shards).__replace__(_schema=sample_type(theirs))  # as from_atproto(…, DictSample)
    for dataset in (Dataset(digits.shards, theirs), dicts):
        flat = dataset.as_type(Flat, through=LensNetwork([flatten]))
        assert list(flat) == [flatten(digit(n)) for n in range(5)]


def test_a_dataset_without_a_way_says_so(digits: Dataset[Digit]) -> None:
    with pytest.raises(LensError, match=r"Digit 1\.0\.0 to Place1 1\.0\.0"):
        digits.as_type(PLACES[1], through=LensNetwork([flatten]))
    with pytest.raises((LensError, InvalidSample)):
        digits.as_type(Label, through=labelled)


def test_a_dataset_with_lenses_travels(digits: Dataset[Digit]) -> None:
    dataset = digits.as_type(Label, through=Lens(_only_label))
    assert list(pickle.loads(pickle.dumps(dataset))) == list(dataset)  # noqa: S301 - our own


# --- published -----------------------------------------------------------------------------------------------


class _Recorder:
    """A publisher of lenses that notes what it is told."""

    def __init__(self) -> None:
        self.told: dict[str, Any] = {}

    http: Any = None
    settings: Any = None
    publish_schema: Any = None
    publish_dataset: Any = None

    def publish_lens(self, **told: Any) -> AtUri:  # noqa: ANN401 - as the Protocol's
        self.told = told
        return AtUri.parse("at://did:plc:ewvi7nxzyoun6zhxrhs64oiz/science.alt.dataset.lens/3ktestlens22a")


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> _Recorder:
    def reference(function: Any, **where: Any) -> CodeReference:  # noqa: ANN401 - a stand-in for git
        return CodeReference(path=f"lenses.py:{function.__name__}", language="python", **where)

    monkeypatch.setitem(sys.modules, "catalog.lenses.code_reference", SimpleNamespace(code_reference=reference))
    return _Recorder()


def test_publishing_refers_to_both_functions_and_both_schemas(recorder: _Recorder) -> None:
    where = {"repository": "https://git.example.org/lenses", "commit": "a" * 40}
    uri = Lens(_whole, _unwhole).publish_to_atproto(recorder, **where)
    assert uri.collection == "science.alt.dataset.lens"
    assert recorder.told["name"] == "_whole"
    assert recorder.told["source"] == sample_type(Digit)
    assert recorder.told["target"] == AtUri.parse(SCHEMA)
    assert recorder.told["getter"] == CodeReference(path="lenses.py:_whole", language="python", **where)
    assert recorder.told["putter"].path == "lenses.py:_unwhole"
    assert recorder.told["place"].file == Path(__file__)
    Lens(_whole, _unwhole).publish_to_atproto(recorder, name="n", description="d", source=SCHEMA, target=Digit, **where)
    assert [recorder.told[key] for key in ("name", "description", "source", "target")] == [
        "n", "d", AtUri.parse(SCHEMA), sample_type(Digit),
    ]  # fmt: skip


def _unwhole(flat: Flat, digit: Digit) -> Digit:
    return flatten.put(flat, digit)


def test_what_a_record_can_not_say_is_not_published(recorder: _Recorder) -> None:
    with pytest.raises(LensError, match="read-only"):
        Lens(_only_label).publish_to_atproto(recorder)
    with pytest.raises(LensError, match="no code of its own"):
        (flatten >> labelled).publish_to_atproto(recorder)
    assert recorder.told == {}
