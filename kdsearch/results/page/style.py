"""Colours and layout, the same in the page and in the picture."""

from __future__ import annotations

import math
from typing import Any

# Okabe and Ito (2008), without the yellow that white paper swallows: told apart by the colour-blind
# too. Symbols differ as well.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "pentagon", "hexagon", "star")
MARKERS = ("o", "s", "D", "^", "p", "h", "*")  # the same in matplotlib's words
INK, SOFT, LINE, FAINT = "#1f2933", "#5f6b76", "#d9dee3", "#aab2ba"
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif"

Figure = dict[str, Any]  # Plotly's words: data and layout


def color(number: int) -> str:
    """Of the search with this number."""
    return COLORS[number % len(COLORS)]


def symbol(number: int) -> str:
    """Of the search with this number."""
    return SYMBOLS[number % len(SYMBOLS)]


def faded(number: int, share: float) -> str:
    """The search's colour, let through."""
    red, green, blue = (int(color(number)[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{share})"


def figure(data: list[dict[str, Any]], x: str, y: str, height: int = 360, **layout: Any) -> Figure:
    """Traces with the page's layout; `x` and `y` are the titles of the axes."""
    base: dict[str, Any] = {
        "height": height,
        "margin": {"l": 58, "r": 14, "t": 34, "b": 48},
        "paper_bgcolor": "#ffffff",
        "plot_bgcolor": "#ffffff",
        "font": {"family": FONT, "size": 12, "color": INK},
        "hoverlabel": {
            "bgcolor": "#ffffff",
            "bordercolor": FAINT,
            "align": "left",
            "font": {"family": FONT, "size": 12, "color": INK},
        },
        "hovermode": "closest",
        "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
        "showlegend": False,
        "modebar": {"color": FAINT, "activecolor": SOFT, "bgcolor": "rgba(255,255,255,0)"},
        "xaxis": axis(x),
        "yaxis": axis(y),
    }
    for key, value in layout.items():
        base[key] = {**base[key], **value} if isinstance(base.get(key), dict) else value
    return {"data": data, "layout": base}


def axis(title: str) -> dict[str, Any]:
    """An axis as quiet as it can be."""
    return {
        "title": {"text": title, "font": {"size": 12, "color": SOFT}, "standoff": 8},
        "gridcolor": "#eef1f4",
        "linecolor": FAINT,
        "showline": True,
        "ticks": "outside",
        "tickcolor": FAINT,
        "ticklen": 4,
        "zeroline": False,
        "automargin": True,
    }


def log_axis(values: Any) -> dict[str, Any]:
    """A logarithmic axis over these values, its ticks whole words such as 2k.

    Plotly's own would be a bare 2 or 5 between two decades.
    """
    low, high = float(min(values)), float(max(values))
    decades = math.log10(high / low)
    digits = (1, 1.5, 2, 3, 5, 7) if decades < 1.5 else (1, 2, 5) if decades < 3.5 else (1,)
    powers = range(math.floor(math.log10(low)) - 1, math.ceil(math.log10(high)) + 2)
    ticks = [float(f"{d}e{p}") for p in powers for d in digits]
    return {"type": "log", "tickvals": ticks, "ticktext": [short(tick) for tick in ticks]}


def short(value: float) -> str:
    """A number with the letter of its thousands: 1.5k, 20M."""
    for factor, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= factor:
            return f"{value / factor:.4g}{letter}"
    return f"{value:.4g}"
