"""The styles that pictograms are drawn in: icon sets of the npm packages, and what is wrong in them."""

from __future__ import annotations

EMOJI_STYLES = (
    "noto",
    "noto-v1",
    "twemoji",
    "fluent-emoji",
    "fluent-emoji-flat",
    "fluent-emoji-high-contrast",
    "emojione",
    "emojione-monotone",
    "fxemoji",
    "streamline-emojis",
)
ICON_STYLES = (
    "bi",
    "bxs",
    "carbon",
    "covid",
    "fa6-solid",
    "fa7-solid",
    "flat-color-icons",
    "fluent",
    "fluent-color",
    "game-icons",
    "healthicons",
    "hugeicons",
    "icon-park",
    "icon-park-outline",
    "icon-park-solid",
    "icon-park-twotone",
    "iconoir",
    "icons8",
    "ion",
    "lucide",
    "lucide-lab",
    "majesticons",
    "maki",
    "material-symbols",
    "mdi",
    "meteocons",
    "mingcute",
    "mynaui",
    "ph",
    "pixelarticons",
    "ri",
    "solar",
    "streamline",
    "streamline-color",
    "streamline-flex",
    "streamline-freehand-color",
    "streamline-pixel",
    "streamline-plump",
    "streamline-ultimate",
    "streamline-ultimate-color",
    "tabler",
    "temaki",
    "uil",
)
GLYPH_STYLES = ("noto-emoji-300", "noto-emoji-500", "noto-emoji-700")  # the monochrome font, by weight
# Icons are found by name, and these names mean another thing in most icon sets (a computer mouse, a table lamp, a
# lighted torch, a rhombus, banknotes, a roast, a cloche, a share sign, a signal, a desktop computer ...).
MISLEADING_NAMES = {
    "mouse": {"mouse", "rat"},
    "light bulb": {"lamp"},
    "flashlight": {"torch"},
    "caterpillar": {"bug"},
    "gem": {"diamond"},
    "money bag": {"money"},
    "chicken": {"chicken"},
    "turkey": {"turkey"},
    "fried egg": {"cooking"},
    "top hat": {"hat"},
    "ring": {"ring"},
    "soccer ball": {"football"},
    "wave": {"wave"},
    "laptop": {"computer"},
    "envelope": {"letter"},
    "kiwi": {"kiwi"},
}
_ICON_PARK = ("", "-outline", "-solid", "-twotone")
# Sets whose drawing of a thing shows another one, by style and the thing's first English name.
WRONG_DRAWINGS = {
    ("fxemoji", "turkey"),  # a flag
    *((f"icon-park{suffix}", "anchor") for suffix in _ICON_PARK),  # handles of a frame
    *((f"icon-park{suffix}", "trumpet") for suffix in _ICON_PARK),  # a megaphone
    *((f"icon-park{suffix}", "telescope") for suffix in _ICON_PARK),  # binoculars
    *((style, "radio") for style in ("lucide", "ion", "mynaui", "pixelarticons")),  # waves
    *((style, "dart board") for style in ("solar", "mdi")),  # cross-hairs
    *(("maki", thing) for thing in ("toilet", "baseball", "basketball", "school")),  # signs, players
    *(("temaki", thing) for thing in ("tennis ball", "meat", "coffee")),
    *(("carbon", thing) for thing in ("key", "box")),
    *(("hugeicons", thing) for thing in ("dice", "lock", "high heels", "gem")),
    *(("mdi", thing) for thing in ("box", "shower")),
    *((style, "phone") for style in ("pixelarticons", "flat-color-icons")),  # a handset
    ("material-symbols", "camera"),  # an aperture
    ("game-icons", "volcano"),
}
UNSEEN_STYLE = "openmoji"  # looked at while the recipe was chosen
FINAL_TEST_STYLE = "emojione-v1"  # looked at once, for the final figure
TRAINED_STYLES = (*EMOJI_STYLES, "fluent-emoji-3d", *GLYPH_STYLES, *ICON_STYLES)
