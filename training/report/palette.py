"""The colours of a page and of its drawings, for light and for dark screens."""

PALETTE = {  # name: on light paper, on dark paper
    "paper": ("#ffffff", "#14171a"),
    "ink": ("#1c1f23", "#e4e7ea"),
    "soft": ("#5b626b", "#a0a8b1"),
    "rule": ("#dde1e6", "#32383f"),
    "raised": ("#f5f7f9", "#1d2126"),
    "line-1": ("#1f6fb2", "#62a8e5"),
    "line-2": ("#c2571a", "#f0925a"),
    "idle": ("#b4bac2", "#59616a"),
    "note": ("#fff4d6", "#3a3010"),
    "note-ink": ("#5c4300", "#f5dd9b"),
}


def style_sheet() -> str:
    """CSS that defines a variable for each colour, such as --ink."""
    light, dark = (" ".join(f"--{name}: {pair[index]};" for name, pair in PALETTE.items()) for index in (0, 1))
    return f":root {{ {light} }}\n@media (prefers-color-scheme: dark) {{ :root {{ {dark} }} }}\n"


def adaptive(svg: str) -> str:
    """A drawing in light colours, changed so that it follows the screen; it contains its own style sheet."""
    for name, (light, _) in PALETTE.items():
        svg = svg.replace(light, f"var(--{name})")
    return svg.replace("<defs>", f"<style>{style_sheet()}</style>\n<defs>", 1)
