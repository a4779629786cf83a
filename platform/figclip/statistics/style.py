"""How the plots look: colours, type, lines."""

from typing import Any

from matplotlib.colors import LinearSegmentedColormap

# Blue, orange, green and purple of Okabe and Ito, told apart with any colour vision:
# https://jfly.uni-koeln.de/color/
BLUE, ORANGE, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
INK, GREY, PALE = "#1a1c21", "#6b7078", "#dfe3e8"
DENSITY = LinearSegmentedColormap.from_list(
    "density", ["#eaf3fa", "#a9cfe8", "#4b9bcb", "#0b5c95", "#062c4f"]
)
STYLE: Any = {
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same picture on every machine
    "font.size": 7,
    "axes.titlelocation": "left",
    "axes.titlesize": 7.5,
    "axes.titlepad": 6,
    "axes.labelsize": 7,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.color": INK,
    "text.parse_math": False,  # a journal's or a licence's name may hold dollar signs
    "xtick.labelsize": 6.5,
    "ytick.labelsize": 6.5,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "legend.frameon": False,
    "legend.fontsize": 6.5,
    "legend.handlelength": 1.2,
}
DPI = 300
SMALL = 6.2
LINE_CHARS = 70
"""Of words below a plot."""

MOST_SHOWN = 0.99
"""Of a long-tailed distribution this share is drawn; what lies beyond is told in words."""
