"""The page in a real browser, over a real ClickHouse: it shows what Analytics says."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from scoreline.keys import NewKey
from scoreline_analytics import Analytics, Filter, Question
from scoreline_analytics.rejections import RejectionFilter
from scoreline_analytics.ui.state import View
from scoreline_analytics.ui.texts import percent
from tests.sinks.scoreline_analytics.ui.conftest import COMMENT, EVALUATIONS, PHONE, SCREENSHOTS, Seen, Site, Store

READY = """!document.querySelector('.wait, .is-busy, [data-ready="0"]')
  && !!document.querySelector('.content section, .login')"""
PAGES = ("/", "/score?project=team&name=accuracy", "/compare?project=team&a=v1&b=v2", "/live", "/rejections", "/health")


def open_page(page: Page, site: Site, path: str) -> None:
    page.goto(site.url + path)
    await_answers(page)


def await_answers(page: Page) -> None:
    page.wait_for_function(READY)


def keep(page: Page, name: str) -> None:
    """A screenshot as an artifact, for people to look at."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=True)


def shown(page: Page, row: str, figure: str) -> float:
    """The figure behind what a cell shows."""
    return float(page.locator(f'tr[data-name="{row}"] [data-figure="{figure}"]').get_attribute("data-value") or "nan")


def test_overview_shows_what_analytics_says(page: Page, site: Site, analytics: Analytics) -> None:
    """Mean, counts and change of every name of a project."""
    open_page(page, site, "/?project=team")
    keep(page, "overview-light")
    question = View(project="team").question(datetime.now(UTC), ("name",))
    groups = {group.dimensions["name"]: group.figures for group in analytics.summary(question, ()).groups}
    changes = {c.dimensions["name"]: c.difference for c in analytics.change(question).groups}
    assert set(groups) == {"accuracy", "helpful", "tone"}
    for name, figures in groups.items():
        assert (shown(page, name, "n"), shown(page, name, "failed")) == (figures.n, figures.failed)
        expected = figures.categories[0].share if figures.categories else figures.mean
        assert shown(page, name, "mean") == pytest.approx(expected, abs=1e-12)
        assert page.locator(f'tr[data-name="{name}"] svg.spark').count() == 1
    assert changes["accuracy"] is None
    expect(page.locator('tr[data-name="accuracy"] [data-figure="change"]')).to_contain_text("new")
    expect(page.locator('tr[data-name="helpful"]')).to_contain_text(percent(groups["helpful"].mean))


def test_change_against_the_period_before_is_shown(page: Page, site: Site, analytics: Analytics) -> None:
    """A day against the day before it, which here is in another release or a gap."""
    since = View(range="24h").since(datetime.now(UTC))
    assert since is not None
    open_page(page, site, "/?project=team&range=24h")
    question = Question(project="team", since=since)
    differences = {c.dimensions["name"]: c.difference for c in analytics.change(question).groups}
    difference = differences["accuracy"]
    assert difference is not None
    assert difference.difference is not None
    # The period ends now, and so moves on a little between the page's question and ours.
    assert shown(page, "accuracy", "change") == pytest.approx(difference.difference, abs=0.02)


def test_filters_land_in_the_url_and_a_shared_url_shows_the_same(
    page: Page, context: BrowserContext, site: Site
) -> None:
    """Each change is an address of its own; the back button goes back."""
    open_page(page, site, "/?project=team")
    before = shown(page, "accuracy", "n")
    service = page.locator("select[name=service]")
    expect(service.locator("option")).not_to_have_count(1)
    service.select_option("team-web")
    page.wait_for_function(
        f"document.querySelector('tr[data-name=accuracy] [data-figure=n]')?.dataset.value != {before:.0f}"
    )
    await_answers(page)
    assert page.url.endswith("/ui/?project=team&service=team-web")
    filtered = shown(page, "accuracy", "n")
    assert 0 < filtered < before
    other = context.new_page()
    open_page(other, site, "/?" + page.url.partition("?")[2])
    assert shown(other, "accuracy", "n") == filtered
    assert other.locator("select[name=service]").input_value() == "team-web"
    page.go_back()
    page.wait_for_function(
        f"document.querySelector('tr[data-name=accuracy] [data-figure=n]')?.dataset.value == {before:.0f}"
    )
    assert page.url.endswith("/ui/?project=team")
    assert page.locator("select[name=service]").input_value() == ""


def test_search_narrows_the_names_while_typing(page: Page, site: Site) -> None:
    """The slash key leads to it, and what is typed stays while answers come."""
    open_page(page, site, "/?project=team")
    page.keyboard.press("/")
    expect(page.locator("input[type=search]")).to_be_focused()
    page.keyboard.type("help")
    expect(page.locator("tbody tr")).to_have_count(1)
    expect(page.locator("input[type=search]")).to_have_value("help")
    expect(page).to_have_url(re.compile(r"\?project=team&q=help$"))


def test_columns_sort(page: Page, site: Site) -> None:
    """By a link, so also by keyboard, and in the URL."""
    open_page(page, site, "/?project=team")
    page.get_by_role("link", name="Score", exact=True).click()
    expect(page.locator("th[aria-sort=ascending]")).to_contain_text("Score")
    await_answers(page)
    names = page.locator("tbody tr").evaluate_all("rows => rows.map(row => row.dataset.name)")
    assert names == sorted(names)
    assert "sort=name" in page.url


def test_score_in_depth(page: Page, site: Site, analytics: Analytics) -> None:
    """Figures, charts, the worst and the latest with comments and links."""
    open_page(page, site, "/?project=team")
    page.locator('tr[data-name="accuracy"] a').click()
    expect(page.locator("h1")).to_have_text("accuracy")
    await_answers(page)
    expect(page.locator(".chart svg")).to_have_count(3)
    keep(page, "score-light")
    question = View(page="score", project="team", name="accuracy").question(datetime.now(UTC), ())
    (group,) = analytics.summary(question).groups
    assert float(page.locator('[data-figure="mean"]').get_attribute("data-value") or "nan") == group.figures.mean
    assert page.locator('[data-figure="n"]').get_attribute("data-value") == str(group.figures.n)
    expect(page.locator(".content")).to_contain_text("Range by config0 to 2higher is better")
    worst = analytics.worst(question, 10).items[0]
    links = page.locator(f'a[href="https://traces.example/team/{worst["trace_id"]}"]')
    expect(links.first).to_have_attribute("rel", "noopener noreferrer")
    expect(page.locator("section", has=page.get_by_role("heading", name="Trend"))).to_contain_text("gaps")


def test_text_of_a_score_is_text(page: Page, site: Site) -> None:
    """A comment with markup is shown as it is written."""
    open_page(page, site, "/score?project=team&name=helpful&where=comment~script")
    expect(page.get_by_text(COMMENT).first).to_be_visible()
    expect(page).to_have_title("helpful · scoreline")


def test_breakdown_by_a_dimension_of_choice(page: Page, site: Site) -> None:
    """Also by a key of metadata; the choice is in the URL."""
    open_page(page, site, "/score?project=team&name=accuracy")
    page.locator("select[name=by]").select_option("release")
    expect(page).to_have_url(re.compile("by=release"))
    await_answers(page)
    expect(page.locator(".chart svg", has_text="v1")).to_be_visible()
    assert "metadata.item" in page.locator("select[name=by] option").evaluate_all("all => all.map(o => o.value)")


def test_categories_are_shown_as_shares(page: Page, site: Site) -> None:
    """There is no mean of categories."""
    open_page(page, site, "/score?project=team&name=tone")
    expect(page.locator(".content")).to_contain_text("Top category")
    expect(page.locator(".chart svg", has_text="poor")).to_be_visible()
    keep(page, "score-categories")


def test_comparison_shows_what_analytics_says(page: Page, site: Site, analytics: Analytics) -> None:
    """Two releases, paired by item, with the rule in words and a forest plot."""
    open_page(page, site, "/compare?project=team")
    expect(page.locator(".content")).to_contain_text("Choose two sides")
    page.locator("select[name=a]").select_option("v1")
    expect(page).to_have_url(re.compile("a=v1"))
    page.locator("select[name=b]").select_option("v2")
    expect(page.locator("tr[data-name=accuracy]")).to_be_visible()
    await_answers(page)
    expect(page.locator(".chart svg")).to_have_count(2)
    keep(page, "compare-light")
    sides = [Filter(project="team", where=(f"release={release}",)) for release in ("v1", "v2")]
    answer = analytics.compare(*sides)
    for compared in answer.names:
        difference = compared.difference and compared.difference.difference
        if difference is not None:
            assert shown(page, compared.name, "difference") == pytest.approx(difference, abs=1e-12)
    assert answer.pair == "metadata.item"
    expect(page.locator("[data-rule]")).to_contain_text("Paired by metadata.item")


def test_live_tail_shows_scores_as_they_arrive(page: Page, site: Site, scores: Store) -> None:
    """Newest first; not while it is paused."""
    open_page(page, site, "/live?q=arriving")
    expect(page.locator(".content")).to_contain_text("Nothing has arrived")

    def arrive(number: int) -> None:
        now = datetime.now(UTC)
        row: dict[str, Any] = {
            "project": "tail",
            "score_id": f"a-{number}",
            "name": "arriving",
            "data_type": "NUMERIC",
            "value": number,
            "trace_id": "t",
            "target": "trace",
            "timestamp": now,
            "received_at": now,
            "src_partition": 2,
            "src_offset": number,
        }
        scores.insert("scores", [row])

    arrive(41)
    expect(page.locator("tbody tr")).to_have_count(1)
    arrive(42)
    expect(page.locator("tbody tr")).to_have_count(2)
    expect(page.locator("tbody tr").first).to_contain_text("42")
    keep(page, "live-light")
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_role("status")).to_contain_text("Paused")
    arrive(43)
    page.get_by_role("button", name="Resume").click()
    expect(page.locator("tbody tr")).to_have_count(3)


def test_rejections_show_an_example_and_the_fix(page: Page, site: Site, analytics: Analytics) -> None:
    """By reason and service, as Analytics counts them."""
    open_page(page, site, "/rejections?project=team")
    page.locator("summary").first.click()
    keep(page, "rejections-light")
    groups = analytics.rejections(RejectionFilter(project="team")).groups
    assert len(groups) == 2
    for group in groups:
        assert shown(page, group.reason, "n") == group.n
        expect(page.locator(f'tr[data-name="{group.reason}"]')).to_contain_text(group.remedy)
        expect(page.locator(f'tr[data-name="{group.reason}"]')).to_contain_text(group.example.value or "")


def test_health_shows_lag_and_latency(page: Page, site: Site) -> None:
    """What Kafka does not say is not shown as zero."""
    open_page(page, site, "/health")
    expect(page.locator('[data-figure="lag-worker"]')).to_contain_text("12records behind")
    expect(page.locator(".content")).to_contain_text("Kafka does not say")
    expect(page.locator(".content")).to_contain_text("Judged to queryable")
    keep(page, "health-light")


@pytest.mark.skipif(not EVALUATIONS.exists(), reason=f"{EVALUATIONS} is absent: the shared score data is not published")
def test_published_evaluations_are_shown_as_analytics_says(page: Page, site: Site, analytics: Analytics) -> None:
    """Real names and values, of which there are more than the page lists."""
    open_page(page, site, "/?project=evaluations&range=all")
    keep(page, "overview-evaluations")
    question = Question(project="evaluations", by=("name",))
    groups = {group.dimensions["name"]: group.figures for group in analytics.summary(question, ()).groups}
    cells = page.locator("tbody tr").evaluate_all(
        "rows => rows.map(row => [row.dataset.name, ...['mean', 'n'].map("
        "figure => Number(row.querySelector(`[data-figure=${figure}]`).dataset.value))])"
    )
    assert len(cells) > 20
    for name, mean, n in cells:
        assert n == groups[name].n
        assert mean == pytest.approx(groups[name].mean, rel=1e-12)


def test_nothing_in_this_time_leads_to_where_there_is_something(page: Page, site: Site) -> None:
    """The empty state says why, and the way out."""
    open_page(page, site, "/?project=team&q=no-such-name")
    keep(page, "empty-light")
    expect(page.locator("[data-state=empty]")).to_contain_text("No scores match these filters")
    page.get_by_role("link", name="Clear filters").click()
    expect(page.locator("tr[data-name=accuracy]")).to_be_visible()
    expect(page.locator("input[type=search]")).to_have_value("")


def test_what_cannot_be_asked_says_what_can(page: Page, site: Site) -> None:
    """The error's own words stand where the answer would be."""
    open_page(page, site, "/?project=team&service=team-wep")
    expect(page.locator("[data-state=error]")).to_contain_text("no score has service 'team-wep'; there are team-web")
    open_page(page, site, "/?range=soon")
    expect(page.locator("[data-state=error]")).to_contain_text("no time range 'soon'")


def test_stopped_clickhouse_is_an_error_in_place_and_comes_back(page: Page, site: Site, scores: Store) -> None:
    """The page stays, says what is wrong, and answers again when it is asked again."""
    open_page(page, site, "/?project=team")
    scores.down()
    try:
        page.locator("select[name=range]").select_option("30d")
        expect(page.locator("[data-state=error]")).to_contain_text("ClickHouse does not answer")
        keep(page, "error-light")
    finally:
        scores.up()
    page.get_by_role("button", name="Try again").click()
    expect(page.locator("tr[data-name=accuracy]")).to_be_visible()
    assert page.locator("select[name=range]").input_value() == "30d"


def test_keyboard_leads_everywhere(page: Page, site: Site) -> None:
    """g and a letter, ? for the list."""
    open_page(page, site, "/")
    for letter, path in (("c", "/compare"), ("t", "/live"), ("r", "/rejections"), ("h", "/health"), ("o", "/")):
        page.keyboard.press("g")
        page.keyboard.press(letter)
        expect(page).to_have_url(site.url + path)
    await_answers(page)
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_contain_text("Keyboard shortcuts")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()


def test_theme_follows_the_system_until_it_is_switched(page: Page, site: Site) -> None:
    """And the switch is remembered."""
    page.emulate_media(color_scheme="dark")
    open_page(page, site, "/?project=team")
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    keep(page, "overview-dark")
    page.get_by_role("button", name="Switch between dark and light").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "light")
    page.reload()
    await_answers(page)
    expect(page.locator("html")).to_have_attribute("data-theme", "light")


@pytest.mark.parametrize("path", PAGES)
def test_text_has_contrast_in_both_themes(page: Page, site: Site, path: str) -> None:
    """4.5 to 1 at least, as WCAG AA wants of text."""
    open_page(page, site, path)
    for theme in ("light", "dark"):
        page.emulate_media(color_scheme=theme)
        expect(page.locator("html")).to_have_attribute("data-theme", theme)
        assert page.evaluate(CONTRAST) == []


CONTRAST = """() => {
  const canvas = new OffscreenCanvas(1, 1).getContext('2d', { willReadFrequently: true });
  const rgba = (color) => {
    canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const linear = (c) => c / 255 <= 0.03928 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
  const ground = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const color = rgba(getComputedStyle(e).backgroundColor);
      if (color[3] > 250) return color;
    }
    return [255, 255, 255, 255];
  };
  const faults = [];
  for (const element of document.querySelectorAll('.top *, .bar *, .content *')) {
    if (![...element.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim())) continue;
    if (element.closest('svg, option') || !element.getClientRects().length) continue;
    const pair = [rgba(getComputedStyle(element).color), ground(element)].map(light).sort((a, b) => b - a);
    const ratio = (pair[0] + 0.05) / (pair[1] + 0.05);
    if (ratio < 4.5) faults.push([ratio.toFixed(2), element.className, element.textContent.slice(0, 40)]);
  }
  return faults;
}"""


TOO_WIDE = """[...document.querySelectorAll('.content *')].filter(
  (e) => e.getBoundingClientRect().right > innerWidth + 1 && !e.closest('.scroll, svg')
).length"""


@pytest.mark.parametrize("path", PAGES)
def test_phone_shows_a_page_without_scrolling_sideways(page: Page, site: Site, path: str) -> None:
    """390 pixels are enough."""
    page.set_viewport_size({"width": PHONE["width"], "height": PHONE["height"]})
    open_page(page, site, path)
    keep(page, f"phone-{path.strip('/').partition('?')[0] or 'overview'}")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.evaluate(TOO_WIDE) == 0


def test_login_lets_in_who_may_read_and_nobody_else(
    page: Page, guarded: Site, keys: dict[str, NewKey], seen: Seen
) -> None:
    """A wrong key, a key that may not read, the right one; then back where one wanted to go, and out again."""
    page.goto(f"{guarded.url}/score?name=accuracy&range=30d")
    expect(page.get_by_role("heading", name="Log in to scoreline")).to_be_visible()
    keep(page, "login-light")
    secret = keys["reader"].secret_key
    for wrong, message in (
        (f"{secret[:-1]}{'a' if secret[-1] != 'a' else 'b'}", "not known here"),
        (keys["writer"].secret_key, "may not read"),
    ):
        page.get_by_label("Secret key").fill(wrong)
        page.get_by_role("button", name="Log in").click()
        expect(page.get_by_role("alert")).to_contain_text(message)
    # The browser itself reports the answers 401 and 403.
    assert len(seen.errors) == 2
    seen.errors.clear()
    page.get_by_label("Secret key").fill(secret)
    page.get_by_role("button", name="Log in").click()
    expect(page.locator("h1")).to_have_text("accuracy")
    await_answers(page)
    assert page.url.endswith("/ui/score?name=accuracy&range=30d")
    cookies = page.context.cookies()
    assert all(cookie.get("httpOnly") for cookie in cookies)
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_role("heading", name="Log in to scoreline")).to_be_visible()
    page.goto(f"{guarded.url}/")
    expect(page.get_by_role("heading", name="Log in to scoreline")).to_be_visible()
    assert secret not in guarded.log
    assert not any(secret in str(cookie) for cookie in cookies)


def test_reader_sees_the_own_project_only(page: Page, guarded: Site, keys: dict[str, NewKey]) -> None:
    """Whatever the URL says."""
    page.goto(f"{guarded.url}/")
    page.get_by_label("Secret key").fill(keys["reader"].secret_key)
    page.get_by_role("button", name="Log in").click()
    expect(page.locator("tr[data-name=accuracy]")).to_be_visible()
    await_answers(page)
    assert page.locator("tr[data-name=rival-score]").count() == 0
    for path in (
        "/?project=rival",
        "/score?name=rival-score",
        "/score?project=rival&name=rival-score",
        "/live?project=rival",
    ):
        open_page(page, guarded, path)
        expect(page.locator(".content")).not_to_contain_text("rival-api")
        expect(page.locator(".content svg, .content tbody tr")).to_have_count(0)
    open_page(page, guarded, "/rejections")
    expect(page.locator("tbody")).not_to_contain_text("rival")


def test_open_page_leaves_once_its_key_is_revoked(page: Page, guarded: Site, keys: dict[str, NewKey]) -> None:
    """At its next question, without anything being clicked."""
    page.goto(f"{guarded.url}/live")
    page.get_by_label("Secret key").fill(keys["leaver"].secret_key)
    page.get_by_role("button", name="Log in").click()
    await_answers(page)
    expect(page).to_have_url(f"{guarded.url}/live")
    (guarded.log_file.parent / "revoked").write_text(keys["leaver"].entry.public_key)
    expect(page.get_by_role("heading", name="Log in to scoreline")).to_be_visible()


@pytest.mark.parametrize(
    "following", ["https://elsewhere.example/", "//elsewhere.example/ui/", "/ui/../elsewhere", "/ui\\@elsewhere"]
)
def test_login_leads_to_no_other_site(page: Page, guarded: Site, keys: dict[str, NewKey], following: str) -> None:
    """A link with another address in it ends at the overview."""
    page.goto(f"{guarded.url}/login")
    page.locator("input[name=next]").evaluate("(field, url) => { field.value = url }", following)
    page.get_by_label("Secret key").fill(keys["reader"].secret_key)
    page.get_by_role("button", name="Log in").click()
    expect(page.locator("h1")).to_have_text("Scores")
    assert page.url == f"{guarded.url}/"


def test_answer_to_an_earlier_question_never_overwrites_a_later_one(page: Page, site: Site) -> None:
    """Whoever changes the filter while an answer is under way sees the last one's."""
    open_page(page, site, "/?project=team")
    for range_ in ("30d", "1h", "90d", "24h", "all", "7d"):
        page.locator("select[name=range]").select_option(range_)
    page.locator("input[type=search]").fill("tone")
    expect(page.locator("tbody tr")).to_have_count(1)
    await_answers(page)
    assert page.locator("tbody tr").get_attribute("data-name") == "tone"
    expect(page).to_have_url(re.compile(r"\?project=team&q=tone$"))


def test_nothing_is_asked_of_another_host(page: Page, site: Site, seen: Seen) -> None:
    """No font, script or picture comes from elsewhere; the fixture refuses what would."""
    for path in PAGES:
        open_page(page, site, path)
    assert seen.hosts <= {"127.0.0.1", ""}
