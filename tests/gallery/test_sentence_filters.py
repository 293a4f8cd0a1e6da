"""Filters read from a sentence: what is certain is taken out, what is not stays."""

from datetime import datetime

import pytest

from pickout.gallery.search.sentence_filters import read_filters

NOW = datetime(2026, 11, 27, 16, 30)  # a Friday
CAMERAS = ["lobby", "north_gate", "gate", "Car park 2", "red", "platform-1", "platform_1", "cam_a"]


def parsed(sentence):
    found = read_filters(sentence, CAMERAS, NOW)
    return found.description, found.where.as_json()


DAY = {"yesterday": "2026-11-26", "today": "2026-11-27"}


@pytest.mark.parametrize(
    ("sentence", "description", "where"),
    [
        (
            "a man with a red rucksack near the lobby after 3 pm yesterday",
            "a man with a red rucksack",
            {"cameras": ["lobby"], "after": "2026-11-26T15:00:00", "before": "2026-11-27T00:00:00"},
        ),
        ("a woman in a teal coat at the north gate", "a woman in a teal coat", {"cameras": ["north_gate"]}),
        ("near the Lobby, a man in a hat", "a man in a hat", {"cameras": ["lobby"]}),
        ("a man in the lobby wearing jeans", "a man wearing jeans", {"cameras": ["lobby"]}),
        ("a man in jeans, not at the gate", "a man in jeans", {"not_cameras": ["gate"]}),
        ("a man at the lobby or the north-gate", "a man", {"cameras": ["lobby", "north_gate"]}),
        ("a man in the car park 2 today", "a man", {
            "cameras": ["Car park 2"], "during": ["2026-11-27T00:00:00/2026-11-28T00:00:00"]}),
        ("a man from camera red", "a man", {"cameras": ["red"]}),
        ("a man, camera cam a", "a man", {"cameras": ["cam_a"]}),
        ("a girl in a dress between 2 and 4 pm on 3 March", "a girl in a dress", {
            "during": ["2026-03-03T14:00:00/2026-03-03T16:00:00"]}),
        ("a man yesterday from 10:15 to 11:00", "a man", {"during": ["2026-11-26T10:15:00/2026-11-26T11:00:00"]}),
        ("a man before noon today", "a man", {"after": "2026-11-27T00:00:00", "before": "2026-11-27T12:00:00"}),
        ("a man since Monday", "a man", {"after": "2026-11-23T00:00:00"}),
        ("a man after Monday", "a man", {"after": "2026-11-24T00:00:00"}),
        ("a man before December 24", "a man", {"before": "2025-12-24T00:00:00"}),
        ("a man on 2026-03-01", "a man", {"during": ["2026-03-01T00:00:00/2026-03-02T00:00:00"]}),
        ("a man last night", "a man", {"during": ["2026-11-26T22:00:00/2026-11-27T06:00:00"]}),
        ("a man this morning near the gate", "a man", {
            "cameras": ["gate"], "during": ["2026-11-27T06:00:00/2026-11-27T12:00:00"]}),
        ("a man on Friday evening", "a man", {"during": ["2026-11-27T18:00:00/2026-11-27T22:00:00"]}),
        ("a man last Friday", "a man", {"during": ["2026-11-20T00:00:00/2026-11-21T00:00:00"]}),
        ("a man in the last 2 hours", "a man", {"after": "2026-11-27T14:30:00"}),
        ("a man after 12:30 am yesterday", "a man", {"after": "2026-11-26T00:30:00", "before": "2026-11-27T00:00:00"}),
    ],
)  # fmt: skip
def test_what_is_certain_becomes_filters(sentence, description, where):
    assert parsed(sentence) == (description, where)


@pytest.mark.parametrize(
    "sentence",
    [
        "a man in red",  # a camera of that name, but a colour
        "a man in the red coat",
        "a woman in front of the lobby",
        "a man in the lobby uniform",
        "a man on platform 1",  # two cameras are called so
        "a man with a shirt that says Monday's child",
        "a man with 3 stripes on his jacket",
        "a woman who may be in march",
        "a man on 31 February",
        "a man on 4/3/2026",
        "near the lobby after 3 pm yesterday",  # nobody is described
        "a man after 25:00 yesterday",
        "after 3 pm",
        "a woman in the evening dress",
        "a man in the last few hours",
        "a gatekeeper with a lobby card",
        "",
        "🙂 ' \" \\ ( [ *",
    ],
)
def test_what_is_not_certain_stays_in_the_description(sentence):
    found = read_filters(sentence, CAMERAS, NOW)
    assert (found.description, found.where.as_json(), found.read) == (sentence, {}, ())


@pytest.mark.parametrize(
    ("sentence", "description", "left"),
    [
        ("a man after 3 pm", "a man", [("after 3 pm", "after 3 pm on {day}")]),
        ("after 3 pm, a man in a hat", "a man in a hat", [("after 3 pm", "after 3 pm on {day}")]),
        ("a man until 15:30 in a hat", "a man in a hat", [("until 15:30", "until 15:30 on {day}")]),
        ("a man between 2 and 4 pm", "a man", [("between 2 and 4 pm", "between 2 and 4 pm on {day}")]),
        ("a man in the evening", "a man", [("in the evening", "on {day} evening")]),
        ("a man at night near the gate", "a man", [("at night", "on {day} night")]),
        ("a man at 12 am", "a man", [("at 12 am", "")]),
        ("a man at about 3 pm yesterday", "a man", [("at about 3 pm yesterday", "")]),  # a moment is no range
        ("a man after 3 pm and before 5 pm", "a man", [
            ("after 3 pm", "after 3 pm on {day}"), ("before 5 pm", "before 5 pm on {day}")]),
        ("a man after 3 pm yesterday, before 5 pm yesterday", "a man", [("before 5 pm yesterday", "")]),
    ],
)  # fmt: skip
def test_a_time_that_is_no_filter_yet_is_told_and_no_part_of_the_description(sentence, description, left):
    found = read_filters(sentence, CAMERAS, NOW)
    assert (found.description, list(found.open)) == (description, left)
    assert len(found.notes()) == len(left)
    for text, complete in left:
        if complete:
            whole = read_filters(sentence.replace(text, complete.format(day="2026-11-20")), CAMERAS, NOW)
            assert text not in [each for each, _ in whole.open] and "2026-11-20" in str(whole.where.as_json())


def test_each_filter_tells_where_it_comes_from():
    found = read_filters("a man near the lobby after 3 pm yesterday", CAMERAS, NOW).as_json()
    assert [each["text"] for each in found["read"]] == ["near the lobby", "after 3 pm yesterday"]


def test_a_gallery_without_cameras_reads_times_only():
    found = read_filters("a man near the lobby yesterday", [], NOW)
    assert found.description == "a man near the lobby" and found.where.during


def test_long_and_hostile_sentences_take_no_time():
    for sentence in ("near " * 2000, "a" * 10_000, "after 3 pm " * 900, "or the lobby " * 700, " ," * 5000):
        read_filters(sentence, CAMERAS, NOW)


@pytest.mark.parametrize("unlike", ["mınute", "mİnute", "MINUTE", "minuteſ"])
def test_letters_that_look_alike_without_regard_to_case_are_read_alike(unlike):
    plain = parsed("a man in a red coat in the last minute")
    assert parsed(f"a man in a red coat in the last {unlike}") == plain and "after" in plain[1]
