"""The report's page in a real Chromium: what a person sees, hears and clicks."""

import html
import re

import captures
import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect

from scripts.devtools import browser, screenshots
from scripts.report import html as report_page
from scripts.report import records
from scripts.report.data_capture import Broken, read
from scripts.report.records import Truths

HOSTILE = "s3://pictures/incoming/</script><script>document.title='owned'</script>\"'><img src=x onerror=alert(1)>.png"
MODEL = {
    "name": "first",
    "labels": list(captures.LABELS),
    "classes_of_interest": ["bicycle", "motorcycle"],
    "threshold": 0.853,
    "baseline": {"class_mix": {"bicycle": 0.46, "motorcycle": 0.54}},
}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A report of two endpoints with labels for some records, hostile names and broken lines."""
    folder = tmp_path_factory.mktemp("report")
    captures.write(folder, [*captures.stream(300), "not json"], "one")
    captures.write(folder, captures.stream(60, 300), "two")
    truths = Truths({f"event-{n}": "bicycle" if n % 5 else "motorcycle" for n in range(200)})
    rows = [
        {
            "picture": HOSTILE,
            "version": "<b>v1</b>",
            "run": 0,
            "status": "LOW_CONFIDENCE",
            "label": "bicycle",
            "confidence": 0.41,
            "threshold": 0.853,
            "model": "<i>first</i>",
            "time": "2026-11-20T12:30:00.000Z",
            "seconds": 2.25,
        }
    ]
    joined = records.join(read(str(folder), lambda: None), rows, [MODEL], truths)
    joined.broken.append(Broken("</table><script>alert(2)</script>", 7, "<b>why</b>"))
    path = folder / "report.html"
    path.write_text(
        report_page.render(joined, "Scones report: <b>test</b>", "Made by a test."), encoding="utf-8"
    )
    return joined, path


@pytest.fixture
def shown(page, made):
    """The page, freshly opened in a window of a desktop."""
    page.goto(made[1].as_uri())
    return page


def problems(page):
    """What the page complains about: uncaught errors, refused requests, console errors."""
    said = [message.text for message in page.console_messages() if message.type == "error"]
    return [*map(str, page.page_errors()), *said]


def text(page, selector):
    return page.locator(selector).text_content()


def tile(page, name):
    tiles = page.evaluate(
        "[...document.querySelectorAll('#tiles div')]"
        ".map((each) => [...each.children].map((part) => part.firstChild.textContent))"
    )
    return dict(tiles)[name]


def choose(page, field, value):
    page.evaluate(
        f"(() => {{ const field = document.getElementById({field!r}); field.value = {value!r};"
        " field.dispatchEvent(new Event('input', {bubbles: true})); })()"
    )


def test_it_needs_no_network_and_complains_about_nothing(shown):
    assert {request.url.partition(":")[0] for request in shown.requests()} == {"file"}
    assert problems(shown) == []


def test_hostile_names_are_shown_as_text_and_run_nothing(shown, made):
    assert shown.evaluate("document.title") == "Scones report: <b>test</b>"
    assert text(shown, "#title") == "Scones report: <b>test</b>"
    assert shown.evaluate("document.querySelectorAll('script').length") == 2
    assert shown.evaluate("document.querySelectorAll('main b, main i, img[src=x]').length") == 0
    assert "</table><script>alert(2)</script>" in text(shown, "#broken")
    hostile = [record.picture for record in made[0].records].index(HOSTILE)
    choose(shown, "scrub", str(hostile))
    assert HOSTILE in text(shown, "#record")


def test_no_script_but_its_own_may_run(shown, made):
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', made[1].read_text()).group(1)
    assert html.unescape(policy).startswith("default-src 'none'")

    shown.evaluate(
        "document.body.append(Object.assign(document.createElement('script'), {textContent: \"document.title = 'owned'\"}))"
    )

    assert shown.evaluate("document.title") != "owned"
    assert "Content Security Policy" in "".join(problems(shown))


def test_the_numbers_are_those_of_the_command(shown, made):
    figures = records.figures(made[0])

    assert tile(shown, "Records") == f"{figures['records']}"
    assert tile(shown, "Accepted") == f"{100 * figures['accepted']['value']:.1f} %"
    assert tile(shown, "Median confidence") == f"{figures['median_confidence']:.3f}"
    assert tile(shown, "Accuracy") == f"{100 * figures['labelled']['accuracy']['value']:.1f} %"
    assert tile(shown, "Broken lines") == "2"
    error = figures["labelled"]["calibration_error"]
    assert f"calibration error {error:.3f}" in text(shown, "#calibration")


def test_refused_records_have_a_colour_and_a_shape_of_their_own(shown):
    colours = shown.evaluate(
        "['accepted', 'refused'].map((name) => getComputedStyle(document.documentElement).getPropertyValue('--' + name).trim())"
    )
    # As one string: Playwright takes half a minute for a list of a million numbers.
    pixels = shown.evaluate(
        """(() => { const canvas = document.getElementById('time');
        return canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data.join(' '); })()"""
    )

    assert text(shown, ".legend .accepted") == "accepted"
    assert len(set(colours)) == 2
    drawn = np.array(pixels.split(), int).reshape(-1, 4)
    for colour in colours:
        wanted = [int(colour[place : place + 2], 16) for place in (1, 3, 5)]
        assert (np.abs(drawn[:, :3] - wanted).max(1) <= 12).sum() > 20


def test_filters_and_the_question_what_if_change_the_view(shown, made):
    records = made[0].records
    choose(shown, "series", "1")
    assert tile(shown, "Records") == "60"

    choose(shown, "series", "")
    choose(shown, "whatif", "0.95")
    wanted = sum(each.confidence >= 0.95 and each.label != "neither" for each in records)
    assert f"{wanted};" in text(shown, "#tiles div:nth-child(2) small")

    choose(shown, "decision", "0")
    assert tile(shown, "Records") == str(len(records) - wanted)

    shown.evaluate("document.querySelector('button[type=reset]').click()")
    expect(shown.locator("#shown")).to_contain_text(re.compile(f"^Showing {len(records)} of"))


def test_every_record_can_be_reached_and_read_by_keys_alone(shown, made):
    reached = []
    for _ in range(8):
        shown.keyboard.press("Tab")
        reached.append(shown.evaluate("document.activeElement.id || document.activeElement.tagName"))
    assert reached == ["A", "series", "label", "decision", "whatif", "BUTTON", "scrub", "SUMMARY"]

    shown.evaluate("document.getElementById('scrub').focus()")
    shown.keyboard.press("ArrowRight")
    second = text(shown, "#record")
    shown.keyboard.press("End")
    last = text(shown, "#record")

    assert made[0].records[1].event_id in second
    assert made[0].records[-1].event_id in last
    assert shown.evaluate("document.getElementById('scrub').getAttribute('aria-valuetext')") == last


def test_a_screen_reader_finds_names_for_all_of_it(shown):
    session = shown.context.new_cdp_session(shown)
    nodes = session.send("Accessibility.getFullAXTree")["nodes"]
    by_role: dict[str, list[str]] = {}
    for node in nodes:
        if not node.get("ignored"):
            by_role.setdefault(node["role"]["value"], []).append(node.get("name", {}).get("value", ""))

    for role in ("combobox", "slider", "button", "image", "region", "form", "heading", "progressbar"):
        assert by_role[role], role
        assert all(by_role[role]), (role, by_role[role])
    assert any(
        "360 records over time" in name or "361 records over time" in name for name in by_role["image"]
    )
    assert "Confidence over time" in by_role["heading"]


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_text_stands_out_from_its_ground(shown, scheme):
    """https://www.w3.org/TR/WCAG22/#contrast-minimum: 4.5 to 1."""
    shown.emulate_media(color_scheme=scheme)
    names = ("page", "panel", "ink", "faint", "accepted", "refused")
    colours = shown.evaluate(
        f"{list(names)}.map((name) => getComputedStyle(document.documentElement).getPropertyValue('--' + name).trim())"
    )

    luminance = {}
    for name, colour in zip(names, colours, strict=True):
        parts = np.array([int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)])
        linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
        luminance[name] = linear @ (0.2126, 0.7152, 0.0722)
    assert (luminance["page"] < 0.1) == (scheme == "dark")
    for ground in ("page", "panel"):
        for name in ("ink", "faint", "accepted", "refused"):
            low, high = sorted((luminance[ground], luminance[name]))
            assert (high + 0.05) / (low + 0.05) >= 4.5, (ground, name)


def test_the_page_fits_a_phone(chromium, made):
    """Nothing is wider than the screen, and fingers find the controls."""
    page = chromium.new_page(**browser.PHONE)
    page.goto(made[1].as_uri())

    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    heights = page.evaluate(
        "[...document.querySelectorAll('select, button, input')].map((each) => each.getBoundingClientRect().height)"
    )
    assert min(heights) >= 44


def test_the_least_sure_come_first_with_what_the_model_saw(shown, made):
    cards = shown.evaluate(
        "[...document.querySelectorAll('#least li')].map((each) => [each.querySelector('img')?.naturalWidth ?? 0,"
        " each.querySelector('.name').textContent])"
    )
    captured = sorted(
        (each for each in made[0].records if each.probabilities), key=lambda each: each.confidence
    )

    assert [name for _, name in cards] == [each.event_id for each in captured[:24]]
    assert {width for width, _ in cards} == {report_page.THUMBNAIL_PIXELS}


def test_a_request_without_a_picture_shows_none_in_the_page(tmp_path, page):
    svg = b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>'
    captures.write(tmp_path, [captures.record(0, (0.5, 0.3, 0.2), svg)])
    joined = records.join(read(str(tmp_path), lambda: None), [], [MODEL], Truths())
    (tmp_path / "report.html").write_text(report_page.render(joined, "t", "m"), encoding="utf-8")

    page.goto((tmp_path / "report.html").as_uri())

    assert text(page, "#least .missing") == "picture not captured"


def test_one_record_alone_makes_a_page(tmp_path, page):
    captures.write(tmp_path, captures.stream(1))
    joined = records.join(read(str(tmp_path), lambda: None), [], [MODEL], Truths())
    (tmp_path / "report.html").write_text(report_page.render(joined, "t", "m"), encoding="utf-8")

    page.goto((tmp_path / "report.html").as_uri())

    assert tile(page, "Records") == "1"
    assert problems(page) == []


def test_screenshots_are_pictures_of_the_windows(chromium, made, tmp_path):
    taken = screenshots.take(chromium, made[1], tmp_path / "images")

    assert {path.name: Image.open(path).size for path in taken} == {
        "report-light.png": (1280, 1500),
        "report-dark.png": (1280, 1500),
        "report-phone.png": (780, 1688),
    }
