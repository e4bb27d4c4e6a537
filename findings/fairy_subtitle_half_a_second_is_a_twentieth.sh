#!/usr/bin/env bash
# Expressions are coded on a video as subtitles (Aegisub's .ass, .vtt), one line an expression with its onset, offset and action units. fairy-subtitle
# 1.1.0 reads such files (SubtitleLoader.load) and writes them in another format. Times in .ass are hours, minutes, seconds and hundredths
# (0:00:01.50 is 1.5 s). It takes what is behind the point for thousandths: 1.50 is 1.05 s.
# - Expressions of 0.50, 0.20 and 0.33 s last 0.05, 0.02 and 0.93 s (from 2.09 to 3.023 in place of 2.90 to 3.23), and begin up to 0.8 s early. A
#   file that it wrote itself (save_format="ass") comes back so too, and converted to .srt it has these times.
# - The text is the last field of a line and may hold commas. It ends at the first: "AU1, AU4 left" is "AU1".
# - In .vtt a line of digits is left out as if it were a number of a line, behind the times too: a cue whose text is "12" is gone.
# Expected were the times by the format (Aegisub's "h:mm:ss.cc"), the whole text, and three cues of three. Nothing is said.
# Exits 0 if it is so, 1 if it has changed. The coding is made up.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-compile --no-deps fairy-subtitle==1.1.0
cat > "$work/coding.py" <<'PYTHON'
import sys
from importlib.metadata import version
from pathlib import Path

from fairy_subtitle import SubtitleLoader

print("fairy-subtitle", version("fairy-subtitle"))
folder = Path(sys.argv[1])
CODING = [(1.20, 1.70, "AU12 right"), (2.30, 2.50, "AU1, AU4 left"), (2.90, 3.23, "AU9")]
FIELDS = "Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text"


def ass_time(seconds):
    hundredths = round(seconds * 100)
    return f"0:00:{hundredths // 100:02d}.{hundredths % 100:02d}"


def seen(name):
    return [(round(cue.start, 3), round(cue.end, 3), cue.text) for cue in SubtitleLoader.load(str(folder / name))]


lines = [f"Dialogue: 0,{ass_time(start)},{ass_time(end)},Default,,0,0,0,,{text}" for start, end, text in CODING]
(folder / "coding.ass").write_text("\n".join(["[Script Info]", "ScriptType: v4.00+", "", "[Events]", f"Format: {FIELDS}", *lines]) + "\n")
found = seen("coding.ass")
for right, got in zip(CODING, found):
    print(f"ass: expected {right}, {right[1] - right[0]:.2f} s; seen {got}, {got[1] - got[0]:.3f} s")
same = found == [(1.02, 1.07, "AU12 right"), (2.03, 2.05, "AU1"), (2.09, 3.023, "AU9")]
SubtitleLoader.load(str(folder / "coding.ass")).save(str(folder / "out.srt"), save_format="srt")
print("as srt:", [line for line in (folder / "out.srt").read_text().splitlines() if "-->" in line])

cues = [f"00:0{start:.3f} --> 00:0{end:.3f}\n{text}\n" for (start, end, _), text in zip(CODING, ("4", "AU1, AU4 left", "12"))]
(folder / "coding.vtt").write_text("\n".join(["WEBVTT\n", *cues]))
vtt = seen("coding.vtt")
print(f"vtt: expected 3 cues, seen {vtt}")
same = same and vtt == [(2.3, 2.5, "AU1, AU4 left")]
whole = SubtitleLoader.load(str(folder / "coding.vtt"))
whole.save(str(folder / "again.ass"), save_format="ass")
again = seen("again.ass")
print(f"vtt to ass and back: expected {vtt}, seen {again}")
sys.exit(0 if same and again[0][0] < 2.05 and again[0][2] == "AU1" else "the behavior has changed")
PYTHON
"$work/venv/bin/python" "$work/coding.py" "$work"
