from collections.abc import Callable, Iterable
from typing import Any, NoReturn, TypeVar, overload

__version__: str

_Function = TypeVar("_Function", bound=Callable[..., Any])

lazy: Any

class PrimerError(Exception):
    exit_code: int
    cause: str
    place: str | None
    advice: str | None
    def __init__(self, cause: str, place: str | None = None, advice: str | None = None) -> None: ...

class State:
    function: Callable[..., Any]
    name: str
    target: str
    def summary(self) -> str: ...

class StateGraph:
    states: dict[str, State]
    def __init__(self, functions: Iterable[Callable[..., Any]] = ()) -> None: ...
    def add(
        self,
        function: Callable[..., Any],
        name: str | None = None,
        target: str | None = None,
        replace: bool = False,
    ) -> None: ...
    def add_defined(self) -> None: ...
    def provide(self, name: str, value: object) -> None: ...
    def check(self) -> None: ...
    def evaluate(self, name: str) -> Any: ...

class Primer:
    graph: StateGraph
    configuration: Any
    command_line: Any
    environment: str
    root: str
    default_target: str
    arguments: list[str]
    def add_option(self, *names: str, **settings: Any) -> None: ...
    @property
    def options(self) -> Any: ...
    def help_text(self) -> str: ...
    def run(self) -> int: ...

@overload
def state(function: _Function) -> _Function: ...
@overload
def state(
    *, name: str | None = None, target: str | None = None, replace: bool = False
) -> Callable[[_Function], _Function]: ...
def get_config(leap: str = "derived") -> dict[str, Any]: ...
def run_main(main: str, script: str | None = None) -> NoReturn: ...
def boot_env(main: str | None = None, script: str | None = None) -> NoReturn: ...
def start_app(main: str, script: str | None = None) -> NoReturn: ...
