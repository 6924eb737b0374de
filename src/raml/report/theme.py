"""The tokens of visual style: one palette for the figures and for the page, light and dark.

Figures are drawn in `LIGHT`, so a file on its own prints well on white; `raml.report.charts.svg.inline` turns
each of its colours into the page's custom property of the same name, which follows the reader's theme.
Series colours are from Okabe and Ito's colour-blind-safe palette (brightened in the dark theme) and an
indigo that stays apart from them under every kind of colour vision. They are never the only cue: markers
and labels carry the same information.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from raml.claims.labels import MODEL_LABELS as MODEL_LABELS
from raml.claims.result import Verdict

Theme = Mapping[str, str]

# Every value is unique, so that a colour found in a figure names its token.
LIGHT: Final[Theme] = MappingProxyType(
    {
        "page": "#f4f6f8",
        "surface": "#ffffff",
        "ink": "#1b1f24",
        "muted": "#58616b",
        "line": "#d4dae0",
        "accent": "#005a9c",
        "series-1": "#0072b2",
        "series-2": "#d55e00",
        "series-3": "#009e73",
        "series-4": "#b5618f",
        "series-5": "#3b2e9e",
        "neutral": "#767c83",
        "holds": "#006b4f",
        "contradicted": "#b04300",
        "inconclusive": "#7a5c00",
        "not-run": "#5d6670",
    }
)
DARK: Final[Theme] = MappingProxyType(
    {
        "page": "#0f1317",
        "surface": "#171c22",
        "ink": "#e7eaee",
        "muted": "#a0aab4",
        "line": "#313942",
        "accent": "#74b9f5",
        "series-1": "#56b4e9",
        "series-2": "#f28a3c",
        "series-3": "#2cc295",
        "series-4": "#dd94bc",
        "series-5": "#7a6ff0",
        "neutral": "#98a1aa",
        "holds": "#45cfa4",
        "contradicted": "#ff9a5c",
        "inconclusive": "#e6c04a",
        "not-run": "#a7b0b9",
    }
)

SERIES: Final = ("series-1", "series-2", "series-3", "series-4", "series-5")
MARKERS: Final = ("o", "s", "^", "D", "v")

SANS: Final = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
MONO: Final = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'Liberation Mono', monospace"

VERDICT_LABELS: Final[Mapping[Verdict, str]] = MappingProxyType(
    {"holds": "Holds", "contradicted": "Contradicted", "inconclusive": "Inconclusive", "not_run": "Not run"}
)

MODEL_COLOURS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "base": "neutral",
        "sft_short": "series-2",
        "sft_long": "series-1",
        "zero_grpo": "series-3",
        "dpo": "series-4",
        "sft_grpo": "series-5",
    }
)
MODEL_MARKERS: Final[Mapping[str, str]] = MappingProxyType(
    {"base": "o", "sft_short": "s", "sft_long": "D", "zero_grpo": "^", "dpo": "P", "sft_grpo": "v"}
)


@dataclass(frozen=True)
class Style:
    """How a series is drawn: a token of the theme, a marker, a dash pattern."""

    colour: str
    marker: str = "o"
    dashes: Any = "-"


STYLES: Final[Mapping[str, Style]] = MappingProxyType(
    {
        **{name: Style(MODEL_COLOURS[name], MODEL_MARKERS[name]) for name in MODEL_COLOURS},
        **{f"series-{n}": Style(f"series-{n}", MARKERS[n - 1]) for n in range(1, 6)},
        **{f"order-{n}": Style("series-1", MARKERS[n - 1]) for n in range(1, 6)},
        "ink": Style("ink"),
        "neutral": Style("neutral"),
        "muted": Style("muted"),
        "reference": Style("neutral", "o", "--"),
        "thinking": Style("series-1", "D"),
        "no_thinking": Style("series-2", "s", (0, (4, 1.6))),
        "budget": Style("neutral"),
        "summary": Style("series-3", "^"),
        "control": Style("series-4", "v"),
        "trajectory": Style("series-1", "D"),
        "shuffled": Style("series-2", "s", "--"),
        "random": Style("neutral", "o", ":"),
        "on_policy": Style("series-3", "^"),
        "off_policy": Style("series-2", "s"),
    }
)
"""What an item of an exhibit may be `like`."""


def css_properties(theme: Theme) -> str:
    """The theme as CSS declarations, `--ink: #1b1f24; ...`."""
    return " ".join(f"--{name}: {colour};" for name, colour in theme.items())
