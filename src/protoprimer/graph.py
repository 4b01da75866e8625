"""States and their order: functions whose parameters name the states they need. Knows nothing of environments."""

from protoprimer.errors import ConfigurationError, UsageError, nearest_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    StateFunction = Callable[..., Any]

__all__ = ["DEFINED_STATES", "LazyState", "State", "StateGraph", "lazy", "state"]

DONE = "done"
REACHABLE = "reachable"
NOT_NEEDED = "not needed"

# What `@state` saw, in order of definition; a graph takes them over with `add_defined`.
DEFINED_STATES = []  # type: list[State]


class _Lazy:
    """The default value that makes a parameter a handle instead of a value."""

    def __repr__(self) -> str:
        return "lazy"


lazy = _Lazy()


class State:
    """A node of the graph.

    :param function: what evaluates it; its parameters are the states it needs
    :param name: the state's name
    :param target: the stable public name by which it can be asked for; by default its name
    :param replace: whether it takes the place of a state of the same name that is there already
    """

    def __init__(
        self, function: "StateFunction", name: "str | None" = None, target: "str | None" = None, replace: bool = False
    ) -> None:
        self.function = function
        self.name = name or function.__name__
        self.target = target or self.name
        self.replace = replace
        self.replaced = None  # type: State | None
        code = function.__code__
        self.needs = list(code.co_varnames[: code.co_argcount])
        with_default = self.needs[len(self.needs) - len(function.__defaults__ or ()) :]
        self.lazy_needs = {
            need for need, default in zip(with_default, function.__defaults__ or ()) if isinstance(default, _Lazy)
        }

    def place(self) -> str:
        """Return where it is defined, as `file:line (function)`."""
        code = self.function.__code__
        return "%s:%d (%s)" % (code.co_filename, code.co_firstlineno, self.function.__name__)

    def summary(self) -> str:
        """Return the first line of its docstring."""
        return (self.function.__doc__ or "").strip().split("\n")[0]


def state(
    function: "StateFunction | None" = None,
    name: "str | None" = None,
    target: "str | None" = None,
    replace: bool = False,
) -> "Any":
    """Declare a function to be a state; its parameters are the states it needs.

    `@state` on its own, or `@state(replace=True)` to take the place of the state of that name; a replacement that has
    a parameter of its own name is given what the original yields. A parameter with the default `lazy` receives a
    handle that evaluates the state only when called.

    :param name: the state's name, by default the function's
    :param target: its public name, by default its name
    """

    def declare(declared: "StateFunction") -> "StateFunction":
        DEFINED_STATES.append(State(declared, name, target, replace))
        return declared

    return declare(function) if function is not None else declare


class LazyState:
    """A handle on a state that is evaluated only when called."""

    def __init__(self, graph: "StateGraph", name: str) -> None:
        self._graph = graph
        self._name = name

    def __call__(self) -> object:
        return self._graph.evaluate(self._name)


class StateGraph:
    """States by name, with the values of those that were evaluated."""

    def __init__(self, functions: "Iterable[StateFunction]" = ()) -> None:
        self.states = {}  # type: dict[str, State]
        self._values = {}  # type: dict[str, object]
        self._original_values = {}  # type: dict[str, object]
        for function in functions:
            self.add(function)

    def add(
        self, function: "StateFunction", name: "str | None" = None, target: "str | None" = None, replace: bool = False
    ) -> None:
        """Add one state.

        :raises ConfigurationError: exit code 3: the name is taken, or there is nothing to replace
        """
        self._add_state(State(function, name, target, replace))

    def add_defined(self) -> None:
        """Take over what `@state` has declared since the last call."""
        while DEFINED_STATES:
            self._add_state(DEFINED_STATES.pop(0))

    def provide(self, name: str, value: object) -> None:
        """Set the value of a state, which is then never evaluated."""
        self._values[name] = value

    def check(self) -> None:
        """Refuse what cannot be evaluated, before anything is.

        :raises ConfigurationError: exit code 3: an unknown name or a cycle, with the functions' places
        """
        for one in self.states.values():
            for link in self._versions(one):
                self._check_needs(link)
        finished = set()  # type: set[str]
        for name in self.states:
            self._check_no_cycle(name, [], finished)

    def evaluate(self, name: str) -> object:
        """Return the value of a state, evaluating it and what it needs once."""
        if name not in self._values:
            self._values[name] = self._evaluate_state(self.states[name])
        return self._values[name]

    def is_done(self, name: str) -> bool:
        """Tell whether a state has its value."""
        return name in self._values

    def state_of_target(self, target: str) -> State:
        """Return the state with this public name.

        :raises UsageError: exit code 2: there is none; the known ones are listed, the nearest first
        """
        for one in self.states.values():
            if target in (one.target, one.name):
                return one
        known = sorted(one.target for one in self.states.values())
        near = nearest_name(target, known)
        if near:
            known.remove(near)
            known.insert(0, near)
        raise UsageError("there is no target %r" % target, "--target", "known: " + ", ".join(known))

    def needed_by(self, name: str) -> "list[str]":
        """Return the names of all states that `name` leads to, itself last, each after what it needs."""
        order = []  # type: list[str]
        self._collect_needed(name, order)
        return order

    def status(self, target: str) -> "list[tuple[State, str]]":
        """Return each state with `done`, `reachable` (on the way to `target`) or `not needed`."""
        needed = set(self.needed_by(target))
        return [
            (one, DONE if one.name in self._values else REACHABLE if one.name in needed else NOT_NEEDED)
            for one in self.states.values()
        ]

    def _add_state(self, one: State) -> None:
        earlier = self.states.get(one.name)
        if earlier is not None and not one.replace:
            raise ConfigurationError(
                "the state %r is defined twice" % one.name,
                "%s and %s" % (earlier.place(), one.place()),
                "give one another name, or replace the first with @state(replace=True)",
            )
        if earlier is None and one.replace:
            near = nearest_name(one.name, list(self.states))
            raise ConfigurationError(
                "there is no state %r to replace" % one.name, one.place(), "did you mean %r?" % near if near else None
            )
        one.replaced = earlier
        if earlier is not None and one.target == one.name:
            one.target = earlier.target
        self.states[one.name] = one

    def _versions(self, one: State) -> "list[State]":
        versions = [one]
        while versions[-1].replaced is not None:
            versions.append(versions[-1].replaced)
        return versions

    def _check_needs(self, one: State) -> None:
        for need in one.needs:
            if need == one.name:
                if one.replaced is None:
                    raise ConfigurationError(
                        "the state %r asks for itself but replaces nothing" % one.name, one.place()
                    )
            elif need not in self.states and need not in self._values:
                near = nearest_name(need, list(self.states) + list(self._values))
                raise ConfigurationError(
                    "the state %r needs %r, which does not exist" % (one.name, need),
                    one.place(),
                    "did you mean %r?" % near if near else "known: " + ", ".join(sorted(self.states)),
                )

    def _check_no_cycle(self, name: str, path: "list[str]", finished: "set[str]") -> None:
        if name in path:
            circle = path[path.index(name) :] + [name]
            places = ", ".join(self.states[part].place() for part in circle[:-1])
            raise ConfigurationError("the states need each other in a circle: " + " -> ".join(circle), places)
        if name in finished or name not in self.states:
            return
        for need in self._all_needs(name):
            self._check_no_cycle(need, path + [name], finished)
        finished.add(name)

    def _all_needs(self, name: str) -> "list[str]":
        needs = []  # type: list[str]
        for link in self._versions(self.states[name]):
            needs.extend(need for need in link.needs if need != name and need not in needs)
            if name not in link.needs:
                break
        return needs

    def _collect_needed(self, name: str, order: "list[str]") -> None:
        if name in order or name not in self.states:
            return
        for need in self._all_needs(name):
            self._collect_needed(need, order)
        order.append(name)

    def _evaluate_state(self, one: State) -> object:
        arguments = []  # type: list[object]
        for need in one.needs:
            if need == one.name:
                arguments.append(self._original_handle(one) if need in one.lazy_needs else self._original(one))
            elif need in one.lazy_needs:
                arguments.append(LazyState(self, need))
            else:
                arguments.append(self.evaluate(need))
        return one.function(*arguments)

    def _original(self, one: State) -> object:
        key = one.place()
        assert one.replaced is not None
        if key not in self._original_values:
            self._original_values[key] = self._evaluate_state(one.replaced)
        return self._original_values[key]

    def _original_handle(self, one: State) -> "Callable[[], object]":
        return lambda: self._original(one)
