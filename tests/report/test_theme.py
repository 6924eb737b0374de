import pytest
from contrast import contrast

from raml.report.theme import DARK, LIGHT, MODEL_COLOURS, SERIES, css_properties

TEXT = ("ink", "muted", "accent", "holds", "contradicted", "inconclusive", "not-run")


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize("background", ["surface", "page"])
def test_text_is_readable(theme: dict[str, str], background: str) -> None:
    assert {name: contrast(theme[name], theme[background]) >= 4.5 for name in TEXT} == dict.fromkeys(TEXT, True)


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_marks_stand_out_from_the_card(theme: dict[str, str]) -> None:
    for name in {*SERIES, *MODEL_COLOURS.values()}:
        assert contrast(theme[name], theme["surface"]) >= 3, name


def test_both_themes_have_the_same_tokens_and_each_light_colour_names_one() -> None:
    assert LIGHT.keys() == DARK.keys()
    assert len(set(LIGHT.values())) == len(LIGHT)


def test_css_declares_every_token() -> None:
    assert css_properties({"ink": "#111111", "page": "#eeeeee"}) == "--ink: #111111; --page: #eeeeee;"
