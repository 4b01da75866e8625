"""States and their order: functions whose parameters name the states they need. Knows nothing of environments."""

from protoprimer.errors import ConfigurationError, UsageError, nearest_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    StateFunction = Callable[..., Any]

__all__ = ["DEFINED_STATES", "DONE", "NOT_NEEDED", "REACHABLE", "State", "StateGraph", "lazy", "state"]

DONE = "done"
REACHABLE = "reachable"
NOT_NEEDED = "not needed"

# What `@state` saw, in order of definition; a graph takes them over with `add_defined`.
DEFINED_STATES = []  # type: list[State]


class _Lazy:
    """The default value that makes a parameter a handle instead of a value."""

    def __repr__(self) -> str:
        return "lazy"


lazy = _Lazy()  # type: Any


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
        # What `functools.wraps` leaves tells the parameters of the function inside a decorator's.
        self.declared = function
        while hasattr(self.declared, "__wrapped__"):
            self.declared = self.declared.__wrapped__
        if not hasattr(self.declared, "__code__"):
            raise ConfigurationError("a state must be a function, not %r" % (function,), None, "wrap it in a function")
        self.name = name or self.declared.__name__
        if not self.name.isidentifier():
            raise ConfigurationError(
                "a state's name must be one that a parameter can have, not %r" % self.name,
                self.place(),
                "give it that as `target`, and a name of letters, digits and '_'",
            )
        # CO_COROUTINE and CO_ASYNC_GENERATOR; what a decorator makes of such a function may be none.
        if getattr(function, "__code__", self.declared.__code__).co_flags & 0x280:
            raise ConfigurationError("a state cannot be async", self.place(), "make it def, with asyncio.run inside")
        self.target = target or self.name
        self.replace = replace
        self.replaced = None  # type: State | None
        self.needs, self.lazy_needs = self._read_parameters()

    def _read_parameters(self) -> "tuple[list[str], set[str]]":
        """Return the states that are needed, and those of them that are given as handles.

        A parameter with another default than `lazy` names no state: it keeps its default.
        """
        code = self.declared.__code__
        # CO_VARARGS and CO_VARKEYWORDS of the module `inspect`.
        if code.co_flags & 0x0C or getattr(code, "co_posonlyargcount", 0):
            raise ConfigurationError("the parameters of a state name other states; *, ** and / do not", self.place())
        names = list(code.co_varnames[: code.co_argcount + code.co_kwonlyargcount])
        values = self.declared.__defaults__ or ()
        defaults = dict(self.declared.__kwdefaults__ or {})
        defaults.update(zip(names[code.co_argcount - len(values) : code.co_argcount], values))
        lazy_needs = {need for need, default in defaults.items() if isinstance(default, _Lazy)}
        return [need for need in names if need not in defaults or need in lazy_needs], lazy_needs

    def place(self) -> str:
        """Return where it is defined, as `file:line (function)`."""
        code = self.declared.__code__
        return "%s:%d (%s)" % (code.co_filename, code.co_firstlineno, self.declared.__name__)

    def summary(self) -> str:
        """Return the first line of its docstring, or of what it replaces."""
        text = (self.function.__doc__ or "").strip().split("\n")[0]
        return text or (self.replaced.summary() if self.replaced else "")


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

    return declare(function) if function is not None else declare


class StateGraph:
    """States by name, with the values of those that were evaluated."""

    def __init__(self, functions: "Iterable[StateFunction]" = ()) -> None:
        self.states = {}  # type: dict[str, State]
        self._values = {}  # type: dict[str, Any]
        # Of states that were replaced, by what replaces them.
        self._original_values = {}  # type: dict[State, object]
        self._failures = {}  # type: dict[State, BaseException]
        # States that cannot be replaced any more, with why.
        self.fixed = {}  # type: dict[str, str]
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
        self._values[name] = value

    def forget_all_but(self, names: "Iterable[str]") -> None:
        """Forget what states have yielded, apart from these, so that they are evaluated again."""
        kept = set(names)
        for name in [name for name in self._values if name in self.states and name not in kept]:
            del self._values[name]
        self._failures.clear()
        self._original_values.clear()

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
        self._is_checked = True

    def evaluate(self, name: str) -> "Any":
        """Return the value of a state, evaluating it and what it needs once; one that failed fails again.

        :raises UsageError: exit code 2: there is no such state
        :raises ConfigurationError: exit code 3: as `check`
        """
        if name in self._values:
            return self._values[name]
        if name not in self.states:
            raise UsageError("there is no state %r" % name, None, self._known_names(name, list(self.states)))
        if not self._is_checked:
            self.check()
        self._values[name] = self._evaluate_state(self.states[name])
        return self._values[name]

    def call(self, function: "StateFunction") -> "Any":
        """Call a function that is no state but asks for states in the same way; return what it returns.

        :raises ConfigurationError: exit code 3: as `check`
        """
        if not self._is_checked:
            self.check()
        one = State(function)
        self._check_needs(one)
        return self._evaluate_state(one)

    def state_of_target(self, target: str, place: str = "--target") -> State:
        """Return the state with this public name, which `place` asks for.

        :raises UsageError: exit code 2: there is none; the known ones are listed, the nearest first
        """
        by_target = {one.target: one for one in self.states.values()}
        found = by_target.get(target) or self.states.get(target)
        if found is None:
            known = self._known_names(target, list(by_target))
            raise UsageError("there is no target %r" % target, place, known)
        return found

    def needed_by(self, name: str) -> "list[str]":
        """Return the names of the states still to be reached for `name`, itself last, each after what it needs."""
        order = []  # type: list[str]
        self._collect_needed(name, order)
        return order

    def status(self, target: str) -> "list[tuple[State, str]]":
        """Return each state with `done`, `reachable` (still on the way to `target`) or `not needed`."""
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
        if one.name in self.fixed:
            raise ConfigurationError(
                "the state %r cannot be replaced here" % one.name, one.place(), self.fixed[one.name]
            )
        if earlier is None and one.name in self._values:
            raise ConfigurationError("the state's name %r is taken by protoprimer" % one.name, one.place())
        if earlier is None and one.replace:
            raise ConfigurationError(
                "there is no state %r to replace" % one.name,
                one.place(),
                self._known_names(one.name, list(self.states)),
            )
        if earlier is not None and one.target == one.name:
            one.target = earlier.target
        for other in self.states.values():
            if other.target == one.target and other.name != one.name:
                places = "%s and %s" % (other.place(), one.place())
                raise ConfigurationError("two states have the target %r" % one.target, places, "rename one of them")
        one.replaced = earlier
        if one.name in self._values:
            # It is done already: the replacement can still ask for what it gave, and comes after it.
            self._original_values[one] = self._values.pop(one.name)
        self.states[one.name] = one
        self._is_checked = False

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
                        "the state %r asks for itself but replaces nothing" % one.name,
                        one.place(),
                        "rename that parameter, or replace an earlier state with @state(replace=True)",
                    )
            elif need not in self.states and need not in self._values:
                raise ConfigurationError(
                    "the state %r needs %r, which does not exist" % (one.name, need),
                    one.place(),
                    self._known_names(need, list(self.states) + list(self._values)),
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
            if name not in link.needs or link in self._original_values:
                break
        return needs

    def _collect_needed(self, name: str, order: "list[str]") -> None:
        if name in order or name in self._values or name not in self.states:
            return
        for need in self._all_needs(name):
            self._collect_needed(need, order)
        order.append(name)

    def _evaluate_state(self, one: State) -> object:
        if one in self._failures:
            raise self._failures[one]
        try:
            return one.function(**{need: self._argument(one, need) for need in one.needs})
        except BaseException as error:
            self._failures[one] = error
            raise

    def _argument(self, one: State, need: str) -> object:
        def value() -> object:
            return self._original(one) if need == one.name else self.evaluate(need)

        # A handle is a bare function: it leads to this one state and nowhere else.
        return value if need in one.lazy_needs else value()

    def _original(self, one: State) -> object:
        assert one.replaced is not None
        if one not in self._original_values:
            self._original_values[one] = self._evaluate_state(one.replaced)
        return self._original_values[one]

    def _known_names(self, wrong: str, names: "list[str]") -> str:
        """Return all names, the nearest to a wrong one first."""
        near = nearest_name(wrong, names)
        return (
            ("did you mean %r? " % near if near else "")
            + "known: "
            + ", ".join(sorted(set(names), key=lambda name: (name != near, name)))
        )
