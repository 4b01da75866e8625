"""States and their order: functions whose parameters name the states they need. Knows nothing of environments."""

from typing import Any, Callable, Iterable

from protoprimer.errors import ConfigurationError, UsageError, which_are_known
from protoprimer.signatures import signature_inside, signature_of

__all__ = ["DEFINED_STATES", "DONE", "EARLIER", "NOT_NEEDED", "REACHABLE", "State", "StateGraph", "lazy", "state"]

DONE = "done"
EARLIER = "done earlier"
REACHABLE = "reachable"
NOT_NEEDED = "not needed"

StateFunction = Callable[..., Any]
# What `@state` saw, in order of definition; a graph takes them over with `add_defined`.
DEFINED_STATES = []  # type: list[State]


class _Lazy:
    """The default value that makes a parameter a handle."""


lazy = _Lazy()  # type: Any


class State:
    """A node of the graph, with the parameters of `state`: `lazy_needs` are those `needs` that are given as handles."""

    def __init__(
        self, function: "StateFunction", name: "str | None" = None, target: "str | None" = None, replace: bool = False
    ) -> None:
        # The parameters are those of the function inside a decorator's.
        declared = signature_inside(function)
        if declared is None:
            raise ConfigurationError("a state must be a function, not %r" % (function,), None, "wrap it in a function")
        self.place = "%s (%s)" % (declared.place, declared.function_name)
        self.function = function
        self.name = name or declared.function_name
        self.target = target or self.name
        self.replace = replace
        self.replaced = None  # type: State | None
        if not self.name.isidentifier():
            cause = "a state's name must be one that a parameter can have, not %r" % self.name
            raise _refusal(cause, "give it that as `target`, and a name of letters, digits and '_'", self)
        # A decorator may run what is async inside it; then what it made is not.
        called = signature_of(function) or declared
        if called.is_async:
            raise _refusal("a state cannot be async", "make it def, with asyncio.run inside", self)
        if declared.has_unnamed:
            raise _refusal("the parameters of a state name other states; *, ** and / do not", None, self)
        self.needs = []  # type: list[str]
        self.lazy_needs = set()  # type: set[str]
        for parameter in declared.names():
            if parameter not in declared.defaults:
                self.needs.append(parameter)
            elif declared.defaults[parameter] is lazy:
                self.needs.append(parameter)
                self.lazy_needs.add(parameter)
            # One with another default names no state.

    def summary(self) -> str:
        """Return the first line of its docstring, or of what it replaces."""
        text = (self.function.__doc__ or "").strip().split("\n")[0]
        if text:
            return text
        if self.replaced is not None:
            return self.replaced.summary()
        return ""


def state(
    function: "StateFunction | None" = None,
    name: "str | None" = None,
    target: "str | None" = None,
    replace: bool = False,
) -> "StateFunction":
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

    if function is None:
        return declare
    return declare(function)


class StateGraph:
    """States by name, with the values of those that were evaluated."""

    def __init__(self, functions: "Iterable[StateFunction]" = ()) -> None:
        self.states = {}  # type: dict[str, State]
        # Why states cannot be replaced any more.
        self.fixed = {}  # type: dict[str, str]
        # What has a value but is no state.
        self._provided = {}  # type: dict[str, object]
        self._values = {}  # type: dict[State, object]
        self._failures = {}  # type: dict[State, BaseException]
        self._given = set()  # type: set[str]
        self._is_checked = False
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
        if name in self.states:
            self._given.update(self.states[name].needs)
            self._values[self.states[name]] = value
        else:
            self._provided[name] = value

    def forget_all_but(self, names: "Iterable[str]") -> None:
        """Have all states evaluated again, apart from these."""
        kept = {}  # type: dict[State, object]
        for name in names:
            one = self.states.get(name)
            if one is not None and one in self._values:
                kept[one] = self._values[one]
        self._values = kept
        self._failures.clear()
        self._is_checked = False

    def check(self) -> None:
        """Refuse what cannot be evaluated, before anything is.

        :raises ConfigurationError: exit code 3: an unknown name or a cycle, with the functions' places
        """
        order = []  # type: list[State]
        for one in self.states.values():
            self._visit(one, [], order)
        self._is_checked = True

    def evaluate(self, name: str) -> "Any":
        """Return the value of a state, evaluating it and what it needs once; one that failed fails again.

        :raises UsageError: exit code 2: there is no such state
        :raises ConfigurationError: exit code 3: as `check`
        """
        if name in self._provided:
            return self._provided[name]
        if name not in self.states:
            raise UsageError("there is no state %r" % name, None, which_are_known(name, self.states))
        return self._value(self.states[name])

    def call(self, function: "StateFunction") -> "Any":
        """Call a function that is no state but asks for states in the same way; return what it returns."""
        one = State(function)
        self._visit(one, [], [])
        return self._value(one)

    def state_of_target(self, target: str, place: str = "--target") -> State:
        """Return the state with this public name, which `place` asks for; UsageError if there is none."""
        by_target = {one.target: one for one in self.states.values()}
        if target in by_target:
            return by_target[target]
        if target in self.states:
            return self.states[target]
        # The client's own were added last, and are told first.
        known = list(reversed(list(by_target)))
        raise UsageError("there is no target %r" % target, place, which_are_known(target, known))

    def needed_by(self, name: str) -> "list[str]":
        """Return the names of the states still to be reached for `name`, in order."""
        order = []  # type: list[State]
        self._visit(self.states[name], [], order)
        return [one.name for one in order if self.states[one.name] is one]

    def status(self, target: str) -> "list[tuple[State, str]]":
        """Return each state: `done`, `done earlier`, `reachable` (on the way to `target`) or `not needed`."""
        # What a value rests on that was given from outside.
        earlier = []  # type: list[State]
        for need in self._given.intersection(self.states):
            self._visit(self.states[need], [], earlier)
        names_earlier = {one.name for one in earlier}
        names_reachable = set(self.needed_by(target))
        rows = []
        for name, one in self.states.items():
            if one in self._values:
                rows.append((one, DONE))
            elif name in names_reachable:
                rows.append((one, REACHABLE))
            elif name in names_earlier:
                rows.append((one, EARLIER))
            else:
                rows.append((one, NOT_NEEDED))
        return rows

    def _add_state(self, one: State) -> None:
        name = one.name
        earlier = self.states.get(name)
        if earlier is not None and not one.replace:
            advice = "give one another name, or replace the first with @state(replace=True)"
            raise _refusal("the state %r is defined twice" % name, advice, earlier, one)
        if name in self.fixed:
            raise _refusal("the state %r cannot be replaced here" % name, self.fixed[name], one)
        if name in self._provided:
            raise _refusal("the state's name %r is taken by protoprimer" % name, None, one)
        if earlier is None and one.replace:
            raise _refusal("there is no state %r to replace" % name, which_are_known(name, self.states), one)
        if earlier is not None and one.target == name:
            one.target = earlier.target
        for other in self.states.values():
            if other.target == one.target and other is not earlier:
                raise _refusal("two states have the target %r" % one.target, "rename one of them", other, one)
        one.replaced = earlier
        self.states[name] = one
        self._is_checked = False

    def _visit(self, one: State, path: "list[State]", order: "list[State]") -> None:
        """Add to `order` what is still to be evaluated for a state, itself last; `path` leads to it."""
        if one in path:
            circle = path[path.index(one) :]
            names = " -> ".join(step.name for step in circle + [one])
            places = ", ".join(step.place for step in circle)
            raise ConfigurationError("the states need each other in a circle: " + names, places)
        if one in order or one in self._values:
            return
        for need in one.needs:
            if need == one.name:
                # A replacement asks for the original by their common name.
                needed = one.replaced
            else:
                needed = self.states.get(need)
            if needed is not None:
                self._visit(needed, path + [one], order)
            elif need == one.name:
                advice = "rename that parameter, or replace an earlier state with @state(replace=True)"
                raise _refusal("the state %r asks for itself but replaces nothing" % need, advice, one)
            elif need not in self._provided:
                cause = "the state %r needs %r, which does not exist" % (one.name, need)
                known = list(self.states) + list(self._provided)
                raise _refusal(cause, which_are_known(need, known), one)
        order.append(one)

    def _value(self, one: State) -> object:
        if one in self._values:
            return self._values[one]
        if one in self._failures:
            raise self._failures[one]
        if not self._is_checked:
            self.check()
        try:
            arguments = {need: self._argument(one, need) for need in one.needs}
            value = one.function(**arguments)
        except BaseException as error:
            self._failures[one] = error
            raise
        self._values[one] = value
        return value

    def _argument(self, one: State, need: str) -> object:
        """Return what a state is given for a parameter: another one's value, or a handle that evaluates it."""

        def value() -> object:
            if one.replaced is not None and need == one.name:
                return self._value(one.replaced)
            return self.evaluate(need)

        if need in one.lazy_needs:
            return value
        return value()


def _refusal(cause: str, advice: "str | None", *states: State) -> ConfigurationError:
    return ConfigurationError(cause, " and ".join(one.place for one in states), advice)
