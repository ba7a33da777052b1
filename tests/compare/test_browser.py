"""The report in a real browser: it draws, sorts, filters and searches, and nothing that a model wrote ever runs."""

import shutil
import time

import pytest

from dgr.compare.__main__ import main

pytestmark = pytest.mark.browser
selenium = pytest.importorskip("selenium", reason="selenium is not installed: pip install 'dgr[dev]'")
CHROMIUM, DRIVER = shutil.which("chromium") or shutil.which("google-chrome"), shutil.which("chromedriver")
if not (CHROMIUM and DRIVER):
    pytest.skip("no chromium with its driver here: apt-get install chromium chromium-driver", allow_module_level=True)

FIGURES = ("trade-off", "tax", "activation", "gap", "fallback", "thinking", "loss")


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    profile = tmp_path_factory.mktemp("profile")
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", f"--user-data-dir={profile}"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    found = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    found.set_window_size(1200, 900)
    yield found
    found.quit()


@pytest.fixture
def report(add, numbers, make_sample, make_reply, evil):
    """Two arms at three n, with hostile texts in every place that a model, a dataset or a judge writes to."""
    for arm, accuracy, right in (("dgr", 0.94, 25), ("vanilla", 0.7, 15)):
        for n in (0, 10, 1000):
            hits = {name: [k < right for k in range(30)] for name in ("chain", "benign")}
            bad = make_reply("harmful_seen", 1, True, prompt=evil, reply=evil, why=evil, gold=evil, id=evil)
            samples = [make_sample(k, prompt=f"request {k} here") for k in range(60)]
            samples += [make_sample(98, fallback=True, accepted=False, failed=[["leak"], [evil]], attempts=2)]
            samples += [make_sample(99, prompt=evil, answer=evil, source_answer=evil, source_reasoning="x", id=evil)]
            replies = {name: [make_reply(name, k, hit) for k, hit in enumerate(hit)] for name, hit in hits.items()}
            folder = add(
                numbers(accuracy, gap=0.4 if arm == "dgr" else 9.0),
                f"refine={arm}",
                f"n_samples={n}",
                replies=replies | {"harmful_seen": [bad]},
                samples=samples,
                sweep="<img src=x onerror=alert(1)>",
            )
    bad = folder.parent / "broken"
    bad.mkdir()
    (bad / "status.json").write_text('{"state": "failed", "error": "<script>document.title=1</script>"}')
    assert main([str(folder.parent)]) == 1
    return folder.parent / "report.html"


@pytest.fixture
def page(browser, report):
    browser.get_log("browser")
    browser.get(report.as_uri())
    yield browser
    assert browser.get_log("browser") == [], "the console is empty"
    assert browser.title == "<img src=x onerror=alert(1)> – safety tax report", "nothing hostile has run"
    assert not browser.find_elements("css selector", "main img, main script, main [onerror], main [onload]")


def find(page, selector):
    return page.find_element("css selector", selector)


def texts(page, selector):
    return page.execute_script(
        "return [...document.querySelectorAll(arguments[0])].map((node) => node.textContent)", selector
    )


def until(check):
    end = time.monotonic() + 10
    while not check():
        assert time.monotonic() < end, "it did not happen in ten seconds"
        time.sleep(0.05)


def choose(page, selector, value):
    page.execute_script(
        "const s = document.querySelector(arguments[0]); s.value = arguments[1]; s.dispatchEvent(new Event('change'))",
        selector,
        value,
    )


def show(page, part, words="", only="", run=None):
    choose(page, "#b-run", "0" if run is None else run)
    choose(page, "#b-part", part)
    choose(page, "#b-only", only)
    field = find(page, "#b-search")
    field.clear()
    field.send_keys(words)
    before = page.execute_script("document.querySelector('#b-status').textContent = ''; return 1")
    assert before
    field.submit()
    until(lambda: "read" in find(page, "#b-status").text or "match" in find(page, "#b-status").text)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_figure_draws_in_both_themes(page, theme):
    if page.execute_script("return document.documentElement.dataset.theme") != theme:
        find(page, "#theme").click()
    assert page.execute_script("return document.documentElement.dataset.theme") == theme
    for name in FIGURES:
        for plot in page.find_elements("css selector", f"#{name} .plot"):
            page.execute_script("arguments[0].scrollIntoView()", plot)
            until(
                lambda plot=plot: plot.find_elements(
                    "css selector", ".main-svg .trace, .main-svg .points, .trace.boxes"
                )
            )
        assert page.find_elements("css selector", f"#{name} .plot"), name
    ground = page.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert (ground == "rgb(255, 255, 255)") == (theme == "light")


def test_no_button_of_a_figure_uploads_it(page):
    page.execute_script("arguments[0].scrollIntoView()", find(page, ".plot"))
    until(lambda: page.find_elements("css selector", ".modebar-btn"))
    buttons = page.execute_script("return [...document.querySelectorAll('.modebar-btn')].map(b => b.dataset.title)")
    assert "Download plot as a PNG" in buttons
    assert not [title for title in buttons if "share" in title.lower() or "cloud" in title.lower()]


def test_printing_draws_the_figures_that_were_not_seen_yet(page):
    plots = page.find_elements("css selector", ".plot")
    undrawn = [plot for plot in plots if not plot.find_elements("css selector", ".main-svg")]
    assert undrawn, "drawn when seen"
    page.execute_script("dispatchEvent(new Event('beforeprint'))")
    assert all(plot.find_elements("css selector", ".main-svg") for plot in plots)


def test_the_table_sorts_by_number_both_ways_with_the_keyboard_and_filters(page):
    from selenium.webdriver.common.keys import Keys

    head = find(page, "#table th:nth-child(2) button")
    head.send_keys(Keys.ENTER)
    column = [float(text.split(" ")[0]) for text in texts(page, "#table td:nth-child(2)")]
    assert column == sorted(column)
    assert len(set(column)) > 1
    assert find(page, "#table th:nth-child(2)").get_attribute("aria-sort") == "ascending"
    head.send_keys(Keys.SPACE)
    column = [float(text.split(" ")[0]) for text in texts(page, "#table td:nth-child(2)")]
    assert column == sorted(column, reverse=True)
    find(page, "#table-filter").send_keys("vanilla n1000")
    assert len(texts(page, "#table tbody tr")) == 1


def test_samples_are_searched_and_filtered_and_their_differences_marked(page):
    assert "report_rows" not in page.execute_script(
        "return performance.getEntriesByType('resource').map((entry) => entry.name).join()"
    ), "rows are loaded when asked for only"
    show(page, "refined samples", "sample-7")
    assert len(page.find_elements("css selector", "#b-rows article")) == 1
    assert "my" in texts(page, "#b-rows ins")
    assert "should" in texts(page, "#b-rows del")
    assert "no" not in texts(page, "#b-rows del")
    show(page, "refined samples", only="fallback (the source is kept)")
    assert len(page.find_elements("css selector", "#b-rows article")) == 1
    show(page, "refined samples")
    assert len(page.find_elements("css selector", "#b-rows article")) == 25
    page.execute_script("arguments[0].click()", find(page, "#b-more"))
    until(lambda: len(page.find_elements("css selector", "#b-rows article")) == 50)


def test_replies_stand_beside_their_verdicts_over_all_runs(page):
    show(page, "chain", only="wrong", run="all")
    assert find(page, "#b-status").text.startswith("25 shown")
    assert set(texts(page, "#b-rows article > p > .tag")) == {"wrong"}


def test_hostile_texts_are_shown_as_they_were_written(page, evil):
    show(page, "harmful seen".replace(" ", "_"))
    body = find(page, "#b-rows").text
    assert "</script><script>document.title='ran'</script>" in body
    assert "␀␛[31m" in body
    assert "⟨U+202E⟩" in body
    show(page, "refined samples", "onerror")
    assert "<svg onload=" in find(page, "#b-rows").text
    assert "<script>document.title=1</script>" in find(page, "#notes-list").text


def test_the_command_and_config_of_a_point_can_be_read_and_copied(page):
    page.execute_script("arguments[0].click()", find(page, "#table tbody .link"))
    assert find(page, "#p-command").text.startswith("python -m dgr.run ")
    assert "n_samples:" in find(page, "#p-config").text
    button = find(page, "[data-copy=p-command]")
    page.execute_script("arguments[0].click()", button)
    until(lambda: button.text == "Copied")


def test_a_phone_needs_no_sideways_scrolling(page):
    size = {"width": 380, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        assert page.execute_script("return document.documentElement.scrollWidth") <= 380
    finally:
        page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_a_report_without_its_rows_says_what_is_missing(browser, report):
    shutil.rmtree(report.parent / "report_rows")
    browser.get(report.as_uri())
    find(browser, "#browse button").click()
    until(lambda: "is not beside this report" in find(browser, "#b-status").text)
    browser.get_log("browser")
