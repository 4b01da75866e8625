"""States are known before anything runs, evaluated once, and only where they lead to what is asked for."""

from __future__ import annotations

import asyncio
import functools
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protoprimer import graph as graph_module
from protoprimer.errors import ConfigurationError, UsageError
from protoprimer.graph import State, StateGraph, lazy, state
from protoprimer.graph_picture import graph_picture

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture(autouse=True)
def nothing_declared() -> Iterator[None]:
    graph_module.DEFINED_STATES.clear()
    yield
    graph_module.DEFINED_STATES.clear()


def line_of(function: Callable[..., Any]) -> str:
    return f"{function.__code__.co_filename}:{function.__code__.co_firstlineno} ({function.__name__})"


def refusal(graph: StateGraph) -> ConfigurationError:
    with pytest.raises(ConfigurationError) as caught:
        graph.check()
    assert caught.value.exit_code == 3
    return caught.value


def graph_of(needs: dict[str, list[str]], calls: list[str]) -> StateGraph:
    """Make a graph whose states note that they were called and give the set of what they rest on."""
    graph = StateGraph()
    for name, needed in needs.items():
        source = f"def {name}({', '.join(needed)}):\n    calls.append({name!r})\n"
        source += f"    return frozenset([{name!r}]).union({', '.join(needed)})\n"
        namespace: dict[str, Any] = {"calls": calls}
        exec(source, namespace)
        graph.add(namespace[name])
    return graph


@st.composite
def acyclic_needs(draw: st.DrawFn) -> dict[str, list[str]]:
    names = [f"s{number}" for number in range(draw(st.integers(1, 12)))]
    needs = {
        name: draw(st.lists(st.sampled_from(names[:at]), unique=True)) if at else [] for at, name in enumerate(names)
    }
    return {name: needs[name] for name in draw(st.permutations(names))}


@given(acyclic_needs(), st.data())
def test_each_state_is_evaluated_once_after_what_it_needs_and_only_if_reached(
    needs: dict[str, list[str]], data: st.DataObject
) -> None:
    calls: list[str] = []
    graph = graph_of(needs, calls)
    for target in data.draw(st.lists(st.sampled_from(sorted(needs)), min_size=1, max_size=3)):
        planned = graph.needed_by(target)
        before = list(calls)
        reached = graph.evaluate(target)
        assert isinstance(reached, frozenset)
        assert calls[len(before) :] == planned
    assert len(calls) == len(set(calls))
    assert all(calls.index(need) < calls.index(name) for name in calls for need in needs[name])
    again = list(calls)
    for name in again:
        graph.evaluate(name)
    assert calls == again


@given(acyclic_needs(), st.data())
def test_any_circle_is_refused_before_anything_runs(needs: dict[str, list[str]], data: st.DataObject) -> None:
    first = data.draw(st.sampled_from(sorted(needs)))
    calls: list[str] = []
    leads_to_it = graph_of(needs, []).needed_by(first)
    back = data.draw(st.sampled_from(leads_to_it))
    needs = {**needs, back: [*needs[back], *([first] if first not in needs[back] else [])]}
    graph = graph_of(needs, calls)
    with pytest.raises(ConfigurationError):
        graph.evaluate(first)
    assert calls == []


def test_a_circle_names_its_states_in_order_and_their_places() -> None:
    def one(two: object) -> None: ...
    def two(three: object) -> None: ...
    def three(one: object) -> None: ...

    error = refusal(StateGraph([one, two, three]))
    assert error.cause == "the states need each other in a circle: one -> two -> three -> one"
    assert error.place == ", ".join(map(line_of, (one, two, three)))


def test_a_circle_through_a_handle_is_a_circle() -> None:
    def one(two: Any = lazy) -> None: ...
    def two(one: object) -> None: ...

    assert "one -> two -> one" in refusal(StateGraph([one, two])).cause


def test_an_unknown_name_is_told_with_its_place_and_the_nearest() -> None:
    def environment() -> None: ...
    def hooks(enviroment: object) -> None: ...

    error = refusal(StateGraph([environment, hooks]))
    assert error.cause == "the state 'hooks' needs 'enviroment', which does not exist"
    assert error.place == line_of(hooks)
    assert str(error.advice).startswith("did you mean 'environment'? known: environment, hooks")


def test_two_states_of_one_name_are_refused_with_both_places() -> None:
    def first() -> None: ...
    def second() -> None: ...

    graph = StateGraph([first])
    with pytest.raises(ConfigurationError) as caught:
        graph.add(second, name="first")
    assert caught.value.place == f"{line_of(first)} and {line_of(second)}"


def test_two_states_of_one_target_are_refused() -> None:
    def first() -> None: ...
    def second() -> None: ...

    graph = StateGraph([first])
    with pytest.raises(ConfigurationError, match="two states have the target 'first'"):
        graph.add(second, target="first")


def test_replacing_nothing_is_refused() -> None:
    def environmnt() -> None: ...
    def environment() -> None: ...

    with pytest.raises(ConfigurationError) as caught:
        StateGraph([environment]).add(environmnt, replace=True)
    assert "did you mean 'environment'?" in str(caught.value.advice)


def test_asking_for_itself_without_replacing_is_refused() -> None:
    def alone(alone: object) -> None: ...

    error = refusal(StateGraph([alone]))
    assert error.cause == "the state 'alone' asks for itself but replaces nothing"
    assert "@state(replace=True)" in str(error.advice)


@pytest.mark.parametrize(
    "declared",
    [
        lambda: State(len),
        lambda: State(int),
        lambda: State(lambda *names: None, name="x"),
        lambda: State(lambda **names: None, name="x"),
        lambda: State(lambda: None),
        lambda: State(lambda: None, name="git-hooks"),
    ],
    ids=["built-in", "class", "star", "double star", "lambda", "dash"],
)
def test_what_cannot_be_a_state_is_refused_at_its_definition(declared: Callable[[], State]) -> None:
    with pytest.raises(ConfigurationError):
        declared()


def test_a_replacement_is_given_the_originals_value_and_passes_its_own_on() -> None:
    calls = []

    def base() -> list[str]:
        calls.append("base")
        return ["base"]

    def user(base: list[str]) -> list[str]:
        return [*base, "user"]

    def once(base: list[str]) -> list[str]:
        return [*base, "once"]

    def twice(base: list[str]) -> list[str]:
        return [*base, "twice"]

    graph = StateGraph([base, user])
    graph.add(once, name="base", replace=True)
    graph.add(twice, name="base", replace=True)
    assert graph.evaluate("user") == ["base", "once", "twice", "user"]
    assert calls == ["base"]


def test_a_replacement_that_does_not_ask_leaves_the_original_and_its_needs_unevaluated() -> None:
    def never() -> None:
        raise AssertionError

    def base(never: object) -> None:
        raise AssertionError

    def replacement() -> str:
        return "replaced"

    graph = StateGraph([never, base])
    graph.add(replacement, name="base", replace=True)
    assert graph.needed_by("base") == ["base"]
    assert graph.evaluate("base") == "replaced"


@pytest.mark.parametrize("wanted", [True, False])
def test_a_replacement_may_ask_for_the_original_only_on_a_condition(wanted: bool) -> None:
    def base() -> str:
        return "original"

    def replacement(base: Callable[[], str] = lazy) -> str:
        return base() + "!" if wanted else "none"

    graph = StateGraph([base])
    graph.add(replacement, name="base", replace=True)
    assert graph.evaluate("base") == ("original!" if wanted else "none")


def test_a_state_that_is_done_can_still_be_wrapped() -> None:
    def environment(build: object) -> str:
        raise AssertionError("it was provided")

    def build() -> None:
        raise AssertionError("the original is done, so nothing it needs is reached")

    def checked(environment: str) -> str:
        return environment + ", checked"

    graph = StateGraph([build, environment])
    graph.provide("environment", "ready")
    graph.add(checked, name="environment", replace=True)
    assert graph.needed_by("environment") == ["environment"]
    assert graph.evaluate("environment") == "ready, checked"


def test_a_replacement_keeps_the_target_unless_it_has_its_own() -> None:
    def hooks() -> None: ...

    graph = StateGraph()
    graph.add(hooks, target="git-hooks")
    graph.add(lambda: 1, name="hooks", replace=True)
    assert graph.state_of_target("git-hooks").name == "hooks"
    graph.add(lambda: 2, name="hooks", target="hooks2", replace=True)
    assert graph.state_of_target("hooks2").name == "hooks"
    with pytest.raises(UsageError):
        graph.state_of_target("git-hooks")


@pytest.mark.parametrize("wanted", [True, False])
def test_a_handle_evaluates_its_state_only_when_called_and_leads_nowhere_else(wanted: bool) -> None:
    calls = []

    def costly() -> str:
        calls.append("costly")
        return "value"

    def user(costly: Callable[[], str] = lazy) -> object:
        assert not hasattr(costly, "__dict__") or not vars(costly)
        return costly() + costly() if wanted else None

    graph = StateGraph([costly, user])
    assert graph.evaluate("user") == ("valuevalue" if wanted else None)
    assert calls == (["costly"] if wanted else [])


def test_a_state_that_failed_fails_again_without_running_again() -> None:
    calls = []

    def broken() -> None:
        calls.append("broken")
        raise ValueError("why")

    def user(broken: Callable[[], None] = lazy) -> str:
        with pytest.raises(ValueError, match="why"):
            broken()
        with pytest.raises(ValueError, match="why"):
            broken()
        return "went on"

    graph = StateGraph([broken, user])
    assert graph.evaluate("user") == "went on"
    assert calls == ["broken"]


def test_a_parameter_with_another_default_names_no_state() -> None:
    def base() -> int:
        return 1

    def user(base: int, times: int = 3, *, more: str = "x", later: Any = lazy) -> object:
        return base * times, more, later()

    def later() -> str:
        return "later"

    graph = StateGraph([base, user, later])
    assert graph.states["user"].needs == ["base", "later"]
    assert graph.evaluate("user") == (3, "x", "later")


def test_decorated_functions_need_what_the_inner_one_names() -> None:
    def loud(function: Callable[..., str]) -> Callable[..., str]:
        @functools.wraps(function)
        def wrapper(*args: object, **named: object) -> str:
            return function(*args, **named).upper()

        return wrapper

    def base() -> str:
        return "base"

    @state
    @loud
    def user(base: str) -> str:
        return base

    graph = StateGraph([base])
    graph.add_defined()
    assert graph.evaluate("user") == "BASE"


def test_a_decorator_that_runs_a_coroutine_makes_it_a_state() -> None:
    def awaited(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def wrapper(**named: object) -> object:
            return asyncio.run(function(**named))

        return wrapper

    async def word() -> str:
        return "base"

    def words(word: str) -> Iterator[str]:
        yield word

    graph = StateGraph([awaited(word), words])
    assert list(graph.evaluate("words")) == ["base"]
    with pytest.raises(ConfigurationError, match="cannot be async"):
        graph.add(word, name="other")


def test_declared_states_are_taken_once_and_stay_functions() -> None:
    @state
    def first() -> int:
        return 1

    @state(target="the-second")
    def second(first: int) -> int:
        return first + 1

    assert second(1) == 2
    graph = StateGraph()
    graph.add_defined()
    graph.add_defined()
    assert graph.evaluate(graph.state_of_target("the-second").name) == 2


def test_an_unknown_target_lists_the_known_ones_with_the_nearest_first() -> None:
    graph = graph_of({"alpha": [], "environment": [], "zeta": []}, [])
    with pytest.raises(UsageError) as caught:
        graph.state_of_target("enviroment")
    assert caught.value.exit_code == 2
    assert caught.value.advice == "did you mean 'environment'? known: zeta, environment, alpha"


def test_an_unknown_target_lists_the_clients_own_first_and_no_more_than_a_person_reads() -> None:
    graph = graph_of({name: [] for name in "abcdefghijkl"}, [])
    graph.add(lambda: None, name="of_the_client")
    with pytest.raises(UsageError) as caught:
        graph.state_of_target("2")
    assert caught.value.advice == "known: of_the_client, l, k, j, i, h, g, f, e, and 4 more"


def test_what_leads_to_a_provided_value_was_done_earlier_unless_a_replacement_needs_it_again() -> None:
    functions = {"plan": [], "tools": [], "environment": ["plan", "tools"], "apart": []}
    graph = graph_of(functions, [])
    graph.provide("environment", "ready")
    known = {one.name: status for one, status in graph.status("environment")}
    assert known == {"plan": "done earlier", "tools": "done earlier", "environment": "done", "apart": "not needed"}
    graph.add(lambda plan: plan, name="environment", replace=True)
    known = {one.name: status for one, status in graph.status("environment")}
    assert known["plan"] == known["environment"] == "reachable"


def test_status_tells_done_reachable_and_not_needed_apart() -> None:
    graph = graph_of({"a": [], "b": ["a"], "c": ["b"], "d": ["a"]}, [])
    graph.evaluate("a")
    assert [(one.name, status) for one, status in graph.status("c")] == [
        ("a", "done"),
        ("b", "reachable"),
        ("c", "reachable"),
        ("d", "not needed"),
    ]
    graph.evaluate("c")
    assert graph.needed_by("c") == []


def test_pictures_show_status_conditions_and_replacements() -> None:
    def end() -> None:
        """The last one."""

    def start(end: Any = lazy) -> None: ...
    def unused() -> None: ...
    def done() -> None: ...

    graph = StateGraph([end, done, unused])
    graph.add(start, target="the-start")
    graph.add(lambda end: end, name="end", replace=True)
    graph.evaluate("done")
    text = graph_picture(graph, "start", "text").splitlines()
    assert text[2:] == [
        "[ ] end     The last one.",
        "            <- the original",
        "[x] done",
        " -  unused",
        "[ ] start    (target the-start)",
        "            <- end?",
    ]
    mermaid = graph_picture(graph, "start", "mermaid").splitlines()
    assert mermaid[1:6] == [
        '    s_end["end"]:::reachable',
        '    s_done["done"]:::done',
        '    s_unused["unused"]:::not_needed',
        '    s_start["start"]:::reachable',
        "    s_end -.-> s_start",
    ]
    dot = graph_picture(graph, "start", "dot")
    assert '"end" -> "start" [style=dashed]' in dot
    assert '"end" -> "end"' not in dot
