import datetime as dt
import json
import pickle
from decimal import Decimal
from uuid import UUID

import pytest
from huey.registry import Message
from huey.utils import Error
from hypothesis import given
from hypothesis import strategies as st

from durable import codec
from durable.errors import CodecError

SPECIAL = [
    (1, (2, "drei")),
    {"a": {1, 2}, "b": frozenset({"x"})},
    {1: "one", ("a", 2): "pair"},
    {"$": "not a tag", "v": 1},
    b"\x00\xff",
    "a name \udcff.txt",
    2**70,
    float("inf"),
    dt.datetime(2026, 11, 22, 9, 0, tzinfo=dt.UTC),
    dt.datetime(2026, 11, 22, 9, 0, 0, 5),
    dt.date(2026, 2, 28),
    dt.time(9, 30),
    dt.timedelta(days=-1, microseconds=3),
    Decimal("1.10"),
    UUID(int=7),
    Message("id", "mod.task", None, 3, 0, None, (1,), {"x": [2]}),
]


@pytest.mark.parametrize("value", SPECIAL, ids=lambda v: type(v).__name__)
def test_a_value_comes_back_as_it_went_in(value: object) -> None:
    assert codec.loads(codec.dumps(value)) == value
    assert type(codec.loads(codec.dumps(value))) is type(value)


plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
    max_leaves=20,
)


@given(plain)
def test_any_plain_value_comes_back_as_it_went_in(value: object) -> None:
    assert codec.loads(codec.dumps(value)) == value


@given(plain)
def test_what_is_written_is_json(value: object) -> None:
    json.loads(codec.dumps(value))


def test_an_error_result_keeps_its_facts() -> None:
    back = codec.loads(codec.dumps(Error({"error": "x", "retries": 0})))
    assert back.metadata == {"error": "x", "retries": 0}


def test_an_exception_comes_back_as_its_name_and_text() -> None:
    back = codec.loads(codec.dumps(ValueError("no such file")))
    assert (back.type_name, back.text) == ("ValueError", "no such file")


def test_what_cannot_be_stored_is_named_with_its_place() -> None:
    with pytest.raises(CodecError, match=r"object at \$\.a\[1\]"):
        codec.dumps({"a": [1, object()]})


def test_a_value_that_contains_itself_is_refused() -> None:
    loop: list[object] = []
    loop.append(loop)
    with pytest.raises(CodecError, match="too deeply"):
        codec.dumps(loop)


class Bomb:
    fired = False

    def __reduce__(self) -> tuple[object, ...]:
        return (setattr, (Bomb, "fired", True))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"junk",
        b'{"$":"os.system","v":"x"}',
        b'{"$":"datetime","v":"soon"}',
        b'{"$":["a"]}',
        b'{"$":"tuple"}',
        pickle.dumps(Bomb()),
    ],
)
def test_bytes_of_another_hand_are_refused_and_never_executed(data: bytes) -> None:
    with pytest.raises(CodecError):
        codec.loads(data)
    assert not Bomb.fired


def test_fields_of_a_newer_writer_are_ignored() -> None:
    data = b'{"$":"message","v":{"id":"1","name":"m.t","args":{"$":"tuple","v":[]},"kwargs":{},"novelty":1}}'
    assert codec.loads(data).name == "m.t"
