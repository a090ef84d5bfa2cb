#!/usr/bin/env python3
"""Writes docs/stepper.svg from a real run: plays the demo in a terminal of its own and takes down what stands there.

Needs tmux and a built program. Nothing is drawn that the terminal does not show: characters, colours and weights
come from `tmux capture-pane -e`.

    cargo build && docs/picture.py
"""

import html
import pathlib
import re
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
COLUMNS, LINES = 100, 34
SESSION = "runbook-picture"
# The moment: the change is on the screen and waits for an answer.
MOMENT = "do it"
AFTER = "Revert the last merge"
PATIENCE = 40.0

CELL_WIDTH, CELL_HEIGHT, MARGIN = 8.4, 18, 14
BACKGROUND, FOREGROUND = "#11151c", "#d5dae3"
PALETTE = ["#3b4252", "#e06c75", "#98c379", "#e5c07b", "#61afef", "#c678dd", "#56b6c2", "#d5dae3"]
BRIGHT = ["#6b7489", "#ff7b86", "#b5e890", "#ffd787", "#7cc7ff", "#e08cf5", "#6fd7e3", "#ffffff"]


def tmux(*arguments):
    return subprocess.run(["tmux", *arguments], check=True, capture_output=True, text=True).stdout


def capture(program):
    tmux("new-session", "-d", "-s", SESSION, "-x", str(COLUMNS), "-y", str(LINES), f"{program} demo; sleep 60")
    try:
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            time.sleep(0.3)
            shown = tmux("capture-pane", "-p", "-t", SESSION)
            region = shown.rstrip().splitlines()[-8:]
            if MOMENT in "\n".join(region) and any(AFTER in line for line in region):
                return tmux("capture-pane", "-p", "-e", "-t", SESSION)
    finally:
        tmux("kill-session", "-t", SESSION)
    sys.exit("the moment did not come; is the program built?")


class Style:
    def __init__(self):
        self.reset()

    def reset(self):
        self.colour, self.bold, self.dim, self.reverse = FOREGROUND, False, False, False

    def apply(self, codes):
        codes = [int(code or 0) for code in codes.split(";")]
        while codes:
            code = codes.pop(0)
            if code == 0:
                self.reset()
            elif code == 1:
                self.bold = True
            elif code == 2:
                self.dim = True
            elif code == 7:
                self.reverse = True
            elif code == 22:
                self.bold = self.dim = False
            elif code == 27:
                self.reverse = False
            elif 30 <= code <= 37:
                self.colour = PALETTE[code - 30]
            elif 90 <= code <= 97:
                self.colour = BRIGHT[code - 90]
            elif code == 39:
                self.colour = FOREGROUND
            elif code == 38 and codes[:1] == [5]:
                number = codes[1]
                codes = codes[2:]
                self.colour = (PALETTE + BRIGHT)[number] if number < 16 else FOREGROUND

    def attributes(self):
        fill = BACKGROUND if self.reverse else self.colour
        weight = ' font-weight="bold"' if self.bold else ""
        opacity = ' opacity="0.6"' if self.dim else ""
        return f'fill="{fill}"{weight}{opacity}'


def spans(line, style):
    """The line's pieces: column, text, attributes, and whether it stands on a coloured ground."""
    column = 0
    for piece in re.split(r"(\x1b\[[0-9;]*m)", line):
        if piece.startswith("\x1b["):
            style.apply(piece[2:-1])
        elif piece:
            yield column, piece, style.attributes(), style.colour if style.reverse else None
            column += len(piece)


def svg(screen):
    lines = screen.rstrip("\n").split("\n")
    while lines and not lines[-1].strip():
        lines.pop()
    width = COLUMNS * CELL_WIDTH + 2 * MARGIN
    height = len(lines) * CELL_HEIGHT + 2 * MARGIN
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" role="img"'
        ' font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, \'DejaVu Sans Mono\', monospace" font-size="14">',
        "<title>The stepper of runbook in the middle of a P1</title>",
        f'<rect width="100%" height="100%" rx="8" fill="{BACKGROUND}"/>',
    ]
    style = Style()
    for row, line in enumerate(lines):
        top = MARGIN + row * CELL_HEIGHT
        for column, text, attributes, ground in spans(line, style):
            left, length = MARGIN + column * CELL_WIDTH, len(text) * CELL_WIDTH
            if ground:
                out.append(f'<rect x="{left:.1f}" y="{top}" width="{length:.1f}" height="{CELL_HEIGHT}" fill="{ground}"/>')
            if text.strip():
                out.append(
                    f'<text x="{left:.1f}" y="{top + 13}" textLength="{length:.1f}" xml:space="preserve" {attributes}>'
                    f"{html.escape(text)}</text>"
                )
    out.append("</svg>")
    return "\n".join(out) + "\n"


if __name__ == "__main__":
    binary = sys.argv[1] if len(sys.argv) > 1 else str(HERE.parent / "target/debug/runbook")
    (HERE / "stepper.svg").write_text(svg(capture(binary)), encoding="utf-8")
