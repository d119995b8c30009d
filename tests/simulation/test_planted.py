"""Three of the planted bugs in every check: a suite that does not find them finds nothing. All of them: `make simulate-planted`."""

import shlex

import pytest
from tests.simulation.__main__ import main
from tests.simulation.planted import PLANTED
from tests.simulation.run import kind_of, planned, run_seed, shrink

DAYS_MAX = 12  # a change to what is drawn moves where a bug shows; of the days below about every second one finds its own


@pytest.mark.parametrize(
    ("name", "faults", "invariant"),
    [
        ("send before commit", ["F52"], "I4"),
        ("book kept over reconnect", ["F32", "F31", "F50b"], "I7"),
        ("halt not latched", ["F76", "F77", "F52", "F53", "F63"], "I16"),
    ],
)
def test_a_planted_bug_is_found(name, faults, invariant):
    for seed in range(DAYS_MAX):
        with PLANTED[name]():
            found = run_seed(seed, faults).violations
        if found:
            break
    assert found, f"{name} was not found in {DAYS_MAX} days"
    assert kind_of(found[0]) == invariant


def test_there_are_twenty_one():
    assert len(PLANTED) == 21


def test_a_plan_can_be_cut_down_to_some_of_its_acts():
    whole = planned(3)
    kept = next(n for n, tag in enumerate(whole.tags) if tag)
    cut = planned(3, keep=[kept], plain=True)
    assert [tag for tag in cut.tags if tag] == [whole.tags[kept]]
    assert (cut.delay_us, cut.shuffled) == (1_000, False)
    assert [act for act, tag in zip(cut.acts, cut.tags, strict=True) if not tag] == [
        act for act, tag in zip(whole.acts, whole.tags, strict=True) if not tag
    ]


def test_the_shrinker_leaves_what_a_bug_needs_and_its_one_command_replays_it(capsys):
    name, faults = "resend with same id", ["F02", "F29", "F30"]
    acts = [tag for tag in planned(7, faults).tags if tag]
    with PLANTED[name]():
        command, smallest = shrink(7, faults)
    left = [tag for tag in smallest.drawn.tags if tag]
    assert set(acts) == set(faults)
    assert left == ["F02"], "an answer that is lost is all it needs"
    words = shlex.split(command)
    assert words[:3] == ["python", "-m", "tests.simulation"]
    assert main([*words[3:], "--bug", name]) == 1
    told = capsys.readouterr().out
    assert smallest.violations[0] in told
    assert "equal trace on repeat" in told
