"""The public names: sorted, resolvable, documented and annotated."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

import lakefmt

FUNCTIONS = [name for name in lakefmt.__all__ if inspect.isfunction(getattr(lakefmt, name))]
CLASSES = [name for name in lakefmt.__all__ if inspect.isclass(getattr(lakefmt, name))]
METHODS = [
    (name, method)
    for name in CLASSES
    for method, value in vars(getattr(lakefmt, name)).items()
    if not method.startswith("_")
    and callable(getattr(value, "__func__", value))
    and not isinstance(value, type)
]
PROPERTIES = [
    (name, member)
    for name in CLASSES
    for member, value in vars(getattr(lakefmt, name)).items()
    if not member.startswith("_") and isinstance(value, property)
]


def test_exported_names_are_sorted_and_resolve():
    assert lakefmt.__all__ == sorted(lakefmt.__all__)
    assert len(set(lakefmt.__all__)) == len(lakefmt.__all__)
    assert set(dir(lakefmt)) == {*lakefmt.__all__, "__version__"}
    assert set(FUNCTIONS) | set(CLASSES) == set(lakefmt.__all__)


def test_type_checkers_see_the_exported_names():
    source = Path(lakefmt.__file__).read_text()
    for name in lakefmt.__all__:
        assert f" as {name}" in source, f"{name} is not imported under TYPE_CHECKING"


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no_such_name"):
        lakefmt.no_such_name  # noqa: B018


@pytest.mark.parametrize("name", FUNCTIONS + CLASSES)
def test_everything_exported_is_documented(name):
    assert inspect.getdoc(getattr(lakefmt, name))


@pytest.mark.parametrize(("name", "member"), METHODS + PROPERTIES)
def test_every_public_member_is_documented(name, member):
    assert inspect.getdoc(getattr(getattr(lakefmt, name), member)), f"{name}.{member}"


@pytest.mark.parametrize("function", [getattr(lakefmt, name) for name in FUNCTIONS], ids=FUNCTIONS)
def test_every_function_is_annotated(function):
    assert_annotated(function)


@pytest.mark.parametrize(("name", "method"), METHODS)
def test_every_public_method_is_annotated(name, method):
    value = vars(getattr(lakefmt, name))[method]
    assert_annotated(getattr(value, "__func__", value))


def test_errors_form_one_tree():
    errors = [getattr(lakefmt, name) for name in lakefmt.__all__ if name.endswith("Error")]
    assert all(issubclass(error, lakefmt.LakefmtError) for error in errors)


def assert_annotated(function):
    signature = inspect.signature(function)
    assert "return" in function.__annotations__, function
    for parameter in list(signature.parameters.values()):
        if parameter.name not in ("self", "cls"):
            assert parameter.annotation is not inspect.Parameter.empty, f"{function}: {parameter.name}"
