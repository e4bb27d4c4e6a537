"""An analysis that is killed at any moment is finished by the same call, with the same files."""

import signal

import pytest

from htnet.pipeline.analysis_files import output_files

#: Analyzes a recording and tells each frame.
CHILD = """
import sys
import htnet.recordings.kept as kept
from htnet.pipeline import analysis_files
from htnet.types import Event
from pathlib import Path
kept.EVERY, kept._SHARE = 0.1, 1
analysis_files.load_detector = lambda path=None: lambda curves: [
    Event("macro", 20, 30, 45, track=track.number) for track in curves.tracks
]
job = analysis_files.AnalysisJob(Path(sys.argv[2]), emotions=False)
for done in analysis_files.analyze_files([sys.argv[1]], job, progress=lambda *told: print(*told[1:], flush=True)):
    assert not done.fault, done.fault
"""


@pytest.mark.slow
def test_a_killed_analysis_comes_to_the_same_files(two, tmp_path, warm_python):
    def run(out, killed_at=None):
        analysis = warm_python.start(CHILD, two[0] / "two.mp4", out)
        lines = []
        for line in analysis.stdout:
            lines.append(line.split())
            if killed_at is not None and [stage for stage, _ in lines].count(killed_at[0]) > killed_at[1]:
                analysis.kill()
                break
        done = analysis.end()
        assert done.returncode == (0 if killed_at is None else -signal.SIGKILL), done.stderr
        return lines

    run(tmp_path / "whole")
    for moment in (("measuring", 50), ("measuring", 130), ("recognizing", 25)):
        run(tmp_path / "killed", moment)
        assert not (tmp_path / "killed" / "two.json").exists()
        assert (tmp_path / "killed" / ".two.part").is_file()
    lines = run(tmp_path / "killed")
    assert {stage for stage, _ in lines} == {"recognizing"}, "it was measured before"
    assert sorted(path.name for path in (tmp_path / "killed").iterdir()) == sorted(
        path.name for path in (tmp_path / "whole").iterdir()
    ), "what was kept is taken away"
    names = [path.name for path in output_files(tmp_path, "two")]
    for name in names:
        one, other = ((tmp_path / folder / name).read_bytes() for folder in ("whole", "killed"))
        if name.endswith(".eaf"):  # bears the date and its own place
            one, other = (text.split(b"<TIME_ORDER", 1)[1] for text in (one, other))
        assert one == other, name
