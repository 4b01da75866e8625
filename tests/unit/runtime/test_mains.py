"""A client's main is handed the primer wherever it asks for it, as the page of the API says; and nothing else."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import pytest

from protoprimer.errors import ConfigurationError
from protoprimer.runtime.client import call_client, takes_primer

if TYPE_CHECKING:
    from collections.abc import Callable

PRIMER = object()


def logged(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def logging(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return logging


class App:
    def main(self) -> Any:
        return self

    def main_with(self, primer: object) -> Any:
        return self, primer


def plain(primer: object) -> Any:
    return primer


def by_another_name(app: object) -> Any:
    return app


def by_keyword(*, primer: object) -> Any:
    return primer


def by_keyword_with_default(*, primer: object = None) -> Any:
    return primer


def after_another(argv: object = None, primer: object = None) -> Any:
    return primer if argv is None else None


@pytest.mark.parametrize(
    "main",
    [
        plain,
        by_another_name,
        by_keyword,
        by_keyword_with_default,
        after_another,
        logged(plain),
        logged(by_keyword),
        logged(logged(after_another)),
    ],
)
def test_a_main_that_asks_for_the_primer_is_handed_it(main: Callable[..., Any]) -> None:
    assert takes_primer(main)
    assert call_client(main, PRIMER) is PRIMER


def test_a_bound_method_is_a_main() -> None:
    app = App()
    assert takes_primer(app.main_with)
    assert call_client(app.main_with, PRIMER) == (app, PRIMER)
    assert not takes_primer(app.main)
    assert call_client(app.main) is app


def injected(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def injecting() -> Any:
        return function("settings")

    return injecting


@injected
def main_of_settings(settings: str) -> Any:
    return settings


def without() -> Any:
    return "without"


def with_default(argv: object = None, *, loud: bool = False) -> Any:
    return argv, loud


def with_any(*args: Any, **kwargs: Any) -> Any:
    return args, kwargs


@pytest.mark.parametrize(
    ("main", "returned"),
    [(without, "without"), (logged(without), "without"), (with_default, (None, False)), (with_any, ((), {})),
     (main_of_settings, "settings"), (int, 0), (functools.partial(plain, 7), 7)],
)  # fmt: skip
def test_a_main_that_does_not_ask_for_the_primer_is_called_without(main: Callable[..., Any], returned: object) -> None:
    assert not takes_primer(main)
    assert call_client(main) == returned


async def coroutine() -> None: ...


def generator() -> Any:
    yield


@pytest.mark.parametrize("main", [coroutine, generator, plain])
def test_a_main_that_nobody_could_run_is_refused_with_its_place(main: Callable[..., Any]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        call_client(main)
    assert caught.value.place is not None
    assert caught.value.place.startswith(__file__)
