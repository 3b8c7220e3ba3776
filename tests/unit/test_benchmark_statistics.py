"""The pure part of the benchmarks: what paired rounds say, and how it is judged and written down."""

import math
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.chart import draw_chart
from benchmarks.fresh_process import FreshJob, Measured, added_memory
from benchmarks.machine import Machine
from benchmarks.markdown import format_report, replace_between_markers
from benchmarks.paired_statistics import Interval, median_interval, paired_differences, paired_ratios
from benchmarks.results import Bar, BenchmarkResult, Comparison, Counts, Report, compare, compare_with_each
from benchmarks.rounds import Contender, Run

finite = st.floats(-1e9, 1e9)


def interval(low, middle, high):
    return Interval(median=middle, low=low, high=high, coverage=0.96)


class TestMedianInterval:
    def test_nine_values_lose_one_at_each_end_and_cover_96_percent(self):
        found = median_interval([9, 1, 8, 2, 7, 3, 6, 4, 5])
        assert (found.median, found.low, found.high) == (5, 2, 8)
        assert found.coverage == pytest.approx(1 - 2 * 10 / 512)

    @pytest.mark.parametrize(
        ("size", "drop"),
        # The tabulated ranks of the sign-test interval at 95 %.
        [(6, 0), (8, 0), (9, 1), (12, 2), (15, 3), (20, 5), (25, 7), (30, 9), (50, 17), (100, 39)],
    )
    def test_ranks_are_the_tabulated_ones(self, size, drop):
        found = median_interval(list(range(size)))
        assert (found.low, found.high) == (drop, size - 1 - drop)
        assert found.coverage >= 0.95

    def test_too_few_values_give_the_whole_range_and_say_so(self):
        found = median_interval([1.0, 2.0, 4.0])
        assert (found.low, found.median, found.high) == (1, 2, 4)
        assert found.coverage == pytest.approx(0.75)

    def test_one_value_covers_nothing(self):
        assert median_interval([3.0]) == Interval(median=3, low=3, high=3, coverage=0)

    def test_an_even_number_of_values_has_its_median_between_the_middle_two(self):
        assert median_interval([1, 2, 4, 8]).median == 3

    @pytest.mark.parametrize("values", [[], [1.0, math.nan], [math.inf]])
    def test_values_that_have_no_median_are_refused(self, values):
        with pytest.raises(ValueError, match=r"values|finite"):
            median_interval(values)

    @pytest.mark.parametrize("confidence", [0, 1, -1, 2])
    def test_a_confidence_that_is_no_probability_is_refused(self, confidence):
        with pytest.raises(ValueError, match="confidence"):
            median_interval([1.0], confidence)

    @given(st.lists(finite, min_size=1, max_size=60), st.floats(0.5, 0.999))
    def test_the_interval_holds_the_median_and_is_made_of_values(self, values, confidence):
        found = median_interval(values, confidence)
        assert found.low <= found.median <= found.high
        assert {found.low, found.high} <= set(values)
        full_range = (found.low, found.high) == (min(values), max(values))
        assert found.coverage >= confidence - 1e-12 or full_range

    @given(st.lists(finite, min_size=9, max_size=40))
    def test_a_wider_confidence_never_gives_a_narrower_interval(self, values):
        narrow, wide = median_interval(values, 0.8), median_interval(values, 0.99)
        assert wide.low <= narrow.low
        assert narrow.high <= wide.high

    def test_it_covers_the_true_median_as_often_as_it_says(self):
        draw = random.Random(1)
        found = [median_interval([draw.expovariate(1) for _ in range(9)]) for _ in range(4000)]
        share = sum(one.low <= math.log(2) <= one.high for one in found) / len(found)
        assert share == pytest.approx(found[0].coverage, abs=0.015)


class TestPairs:
    def test_rounds_are_divided_and_subtracted_in_order(self):
        assert paired_ratios([2, 9], [1, 3]) == [2, 3]
        assert paired_differences([2, 9], [1, 3]) == [1, 6]

    @pytest.mark.parametrize("pair", [paired_ratios, paired_differences])
    @pytest.mark.parametrize(("left", "right"), [([1.0], [1.0, 2.0]), ([], [])])
    def test_rounds_that_do_not_pair_up_are_refused(self, pair, left, right):
        with pytest.raises(ValueError, match="pair up"):
            pair(left, right)

    def test_a_time_of_zero_has_no_ratio(self):
        with pytest.raises(ValueError, match="positive"):
            paired_ratios([1.0], [0.0])

    def test_a_slow_machine_in_one_round_leaves_the_ratio_alone(self):
        ratios = paired_ratios([1, 1, 50, 1], [2, 2, 100, 2])
        assert median_interval(ratios) == median_interval([0.5] * 4)


class TestBar:
    @pytest.mark.parametrize(
        ("ratio", "verdict"),
        [
            (interval(0.8, 0.9, 1.0), "met"),
            (interval(0.9, 1.1, 1.2), "met within noise"),
            (interval(1.1, 1.2, 1.3), "missed"),
        ],
    )
    def test_a_ratio_is_judged_by_where_its_interval_lies(self, ratio, verdict):
        assert Bar(ratio=1.0).judge(interval(1, 2, 3), ratio, interval(0, 0, 0)) == verdict

    def test_either_limit_is_enough(self):
        bar = Bar(ratio=1.5, median_ms=10)
        assert bar.judge(interval(8, 9, 9.9), interval(2, 2, 2), interval(0, 0, 0)) == "met"
        assert bar.judge(interval(11, 12, 13), interval(2, 2, 2), interval(0, 0, 0)) == "missed"
        assert str(bar) == "at most 1.5 x or at most 10 ms"

    def test_nothing_asked_is_nothing_judged(self):
        assert Bar().judge(interval(1, 1, 1), interval(9, 9, 9), interval(9, 9, 9)) == "no bar"


def contender(name, calls, *, role="peer", answer=1):
    return Contender(name, lambda: Run(call=lambda: calls.append(name), answer=lambda _: answer), role)


class TestRounds:
    def test_every_contender_is_called_once_a_round_and_the_fastest_peer_twice(self):
        calls = []
        table = compare(
            "job",
            [
                contender("ours", calls, role="subject"),
                contender("theirs", calls),
                contender("floor", calls, role="shown"),
            ],
            bar=Bar(ratio=2.0),
            rounds=9,
        )
        warm_up = 2
        assert calls.count("ours") == calls.count("floor") == 9 + warm_up
        assert calls.count("theirs") == 2 * 9 + warm_up
        assert table.again_name == "theirs"
        assert [row.name for row in table.rows] == ["ours", "theirs", "floor"]
        assert all(len(row.seconds) == 9 for row in table.rows)

    def test_allowance_comes_beside_the_ratio(self):
        def timed(name, seconds, role="peer"):
            run = Run(call=lambda: seconds, answer=lambda _: 1, seconds=lambda found: found)
            return Contender(name, lambda: run, role)

        contenders = [timed("ours", 0.005, "subject"), timed("theirs", 0.002)]
        allowed = compare("job", contenders, bar=Bar(ratio=1.2, allowance_ms=3), rounds=9)
        refused = compare("job", contenders, bar=Bar(ratio=1.2, allowance_ms=2), rounds=9)
        assert (allowed.verdict, refused.verdict) == ("met", "missed")
        assert str(allowed.bar) == "at most 1.2 x and 3 ms"

    def test_contenders_take_turns_within_a_round_of_many_calls(self):
        calls = []
        compare(
            "job",
            [contender("ours", calls, role="subject"), contender("theirs", calls)],
            bar=Bar(),
            rounds=1,
            calls_per_round=50,
        )
        pairs = [set(calls[at : at + 2]) for at in range(0, 200, 2)]
        assert all(pair == {"ours", "theirs"} for pair in pairs)

    def test_contenders_that_disagree_stop_the_benchmark(self):
        calls = []
        contenders = [
            contender("ours", calls, role="subject", answer=1),
            contender("theirs", calls, answer=2),
        ]
        with pytest.raises(AssertionError, match="ours and theirs disagree: 1 against 2"):
            compare("job", contenders, bar=Bar(), rounds=1)

    def test_a_call_that_took_its_own_time_is_believed(self):
        ours = Contender("ours", lambda: Run(lambda: 7.0, lambda _: 1, seconds=lambda took: took), "subject")
        table = compare("job", [ours, contender("theirs", [])], bar=Bar(), rounds=1)
        assert table.subject.seconds == (7.0,)

    def test_peers_with_a_bar_each_are_judged_on_the_same_rounds(self):
        def takes(name, seconds, role="peer"):
            return Contender(name, lambda: Run(lambda: seconds, lambda _: 1, seconds=lambda took: took), role)

        near, far = compare_with_each(
            "job",
            [takes("ours", 1.0, "subject"), takes("near", 2.0), takes("far", 10.0)],
            bars={"near": Bar(ratio=0.4), "far": Bar(ratio=0.4)},
            rounds=9,
            warm_up_rounds=1,
        )
        assert (near.title, near.fastest_peer.name, near.verdict) == ("job, against near", "near", "missed")
        assert (far.title, far.fastest_peer.name, far.verdict) == ("job, against far", "far", "met")
        assert near.subject == far.subject


class TestFreshProcess:
    @pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="the system keeps its first peak")
    def test_time_memory_and_answer_are_those_of_the_call_and_not_of_what_came_before(self):
        job = FreshJob("ours", slow_to_set_up, ("80",))
        run = job.contender().start()
        found = run.call()
        assert run.answer(found) == 80_000_000
        assert run.seconds(found) == found.seconds > 0
        assert 70 < found.added_mb == job.added_mb < 150

    def test_memory_is_judged_by_megabytes_or_by_the_first_peer(self):
        ours, theirs = (
            FreshJob(name, slow_to_set_up, (), measured=[Measured(1.0, added_mb, 1)])
            for name, added_mb in (("ours", 60.0), ("theirs", 100.0))
        )
        assert added_memory("memory", [ours, theirs], most_mb=59).verdict == "missed"
        assert added_memory("memory", [ours, theirs], most_mb=60).verdict == "met"
        assert added_memory("memory", [ours, theirs], most_ratio=0.5).verdict == "missed"
        assert added_memory("memory", [ours, theirs], most_ratio=0.6).verdict == "met"
        assert added_memory("memory", [ours, theirs]).verdict == "no bar"


def slow_to_set_up(size_mb):
    """A job: much memory before the call, ``size_mb`` of it in the call."""
    assert len(b"x" * 300_000_000) == 300_000_000
    return lambda: len(b"x" * (int(size_mb) * 1_000_000))


@pytest.fixture
def report():
    calls = []
    machine = Machine(
        measured_on="2026-11-22",
        cores=2,
        memory_gib=8,
        system="Linux x86_64",
        file_system="ext4",
        python="3.11",
        packages={"pyarrow": "26"},
        commit="",
        others_cores=0.0,
    )
    timed = compare(
        "A job < another",
        [contender("ours", calls, role="subject"), contender("theirs", calls)],
        bar=Bar(ratio=1e6),
        rounds=9,
    )
    counted = Counts(
        "Memory", ("", "peak memory, MB"), (("ours", "7"), ("theirs", "9")), bar="at most 8 MB", verdict="met"
    )
    return Report(benchmarks=(BenchmarkResult("jobs", "What is done.", (timed, counted), machine),))


class TestReport:
    def test_json_gives_the_same_report_back(self, report):
        from pydantic import TypeAdapter

        adapter = TypeAdapter(Report)
        again = adapter.validate_json(adapter.dump_json(report))
        assert again == report
        assert [type(table) for table in again.benchmarks[0].tables] == [Comparison, Counts]

    def test_markdown_names_bar_noise_and_machine(self, report):
        text = format_report(report)
        for part in (
            "A job < another",
            "theirs against itself",
            "at most 1e+06 x",
            "**met**",
            "7 MB",
            "pyarrow 26",
        ):
            assert part in text

    def test_chart_is_well_formed_and_escapes_titles(self, report):
        from xml.etree import ElementTree as ET

        root = ET.fromstring(draw_chart(report))
        texts = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
        assert "A job < another" in texts
        assert "Memory" not in texts

    def test_benchmarks_that_did_not_run_keep_their_place(self, report):
        other = BenchmarkResult("first", "", (), report.benchmarks[0].machine)
        names = [result.name for result in report.updated([other], ["first", "jobs"]).benchmarks]
        assert names == ["first", "jobs"]

    def test_text_around_the_markers_stays_and_a_second_write_replaces_the_first(self):
        page = replace_between_markers("# Mine\n", "one")
        again = replace_between_markers(page + "after\n", "two")
        assert again.startswith("# Mine\n")
        assert again.endswith("after\n")
        assert "two" in again
        assert "one" not in again
