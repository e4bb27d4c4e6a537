"""Small generated copies of the official folder trees and annotation sheets.

Frames are noise, each number another; a sheet has the columns, the blank columns and the text above the header of the
real one.
"""

import csv
from functools import cache

import cv2
import numpy as np
import openpyxl

CASME2 = ["Subject", "Filename", None, "OnsetFrame", "ApexFrame", "OffsetFrame", None, "Action Units",
          "Estimated Emotion"]  # fmt: skip
SAMM = ["Subject", "Filename", "Inducement Code", "Onset Frame", "Apex Frame", "Offset Frame", "Duration", "Micro",
        "Action Units", "Estimated Emotion", "Objective Classes", "Notes"]  # fmt: skip
CASME3 = ["Subject", "Filename", "Onset", "Apex", "Offset", "AU", "Objective class", "emotion", "shade"]
MMEW = ["Subject", "Filename", "OnsetFrame", "ApexFrame", "OffsetFrame", "Action Units", "Estimated Emotion",
        "remarks"]  # fmt: skip
FOURDME = ["sub_ID", "fold_name", "Emotion", "Onset", "Apex", "Offset", "AUs", "eye blink", "Positive", "Total"]
PART_A = ["Subject", "Filename", "Onset", "Apex", "Offset", "AU", "Expression type", "Objective class"]
PART_A_MICRO = ["Subject", "Filename", "Onset", "Apex", "Offset", "AU", "Objective class", "emotion"]
PART_A_MACRO = ["sub", "seq", "onset", "apex", "offset", "emotion"]


@cache
def image(suffix, number):
    noise = np.random.default_rng(number).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    return cv2.imencode(suffix, noise)[1].tobytes()


def frames(folder, pattern, numbers):
    folder.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        name = pattern.format(number)
        (folder / name).write_bytes(image(name[name.rindex(".") :], number % 997))


def sheet(path, columns, rows, above=()):
    """Write ``rows`` (dicts) as ``.xlsx`` or ``.csv``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    table = [*above, columns, *([row.get(name) for name in columns] for row in rows)]
    if path.suffix == ".xlsx":
        book = openpyxl.Workbook()
        for cells in table:
            book.active.append(cells)
        book.save(path)
    else:
        with path.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows(table)
    return path


def three(onset, apex, offset):
    """Onset, middle, apex and offset, as far as they are numbers of frames within the clip."""
    offset = offset if isinstance(offset, int) else onset
    inside = [apex] if isinstance(apex, int) and onset <= apex <= offset else []
    return sorted({onset, (onset + offset) // 2, *inside, offset})


def casme2(root, rows, tree="Cropped", pattern="reg_img{}.jpg", file="CASME2-coding-20140508.xlsx", as_text=True):
    """Rows: subject number, file name, onset, apex, offset, emotion."""
    cells = []
    for subject, name, onset, apex, offset, emotion in rows:
        values = (f"{subject:02d}" if as_text else subject, name, onset, apex, offset, "4+7", emotion)
        cells.append(dict(zip([c for c in CASME2 if c], values, strict=True)))
        frames(root / tree / f"sub{subject:02d}" / name, pattern, three(onset, apex, offset))
    return sheet(root / file, CASME2, cells)


def samm(root, rows, tree=".", file="SAMM_Micro_FACS_Codes_v2.xlsx", as_text=True):
    """Rows: subject number, file name, onset, apex, offset, emotion."""
    cells = []
    for subject, name, onset, apex, offset, emotion in rows:
        values = (f"{subject:03d}" if as_text else subject, name, "x", onset, apex, offset, 1, "Micro", "AU4", emotion,
                  2, None)  # fmt: skip
        cells.append(dict(zip(SAMM, values, strict=True)))
        frames(root / tree / f"{subject:03d}" / name, f"{subject:03d}_{{:05d}}.jpg", three(onset, apex, offset))
    above = [["SAMM micro-movements"], [], ["Subject", "the number of the person"], *([f"note {i}"] for i in range(10))]
    return sheet(root / file, SAMM, cells, above)


def smic(root, clips, tree="SMIC_all_cropped/HS", pattern="reg_image{:06d}.bmp", first=1203):
    """Clips: names such as ``s1_ne_01``; each has five frames. Non-micro clips lie beside them."""
    emotions = {"ne": "negative", "po": "positive", "sur": "surprise"}
    for name in clips:
        subject, code, _ = name.split("_")
        frames(root / tree / subject / "micro" / emotions[code] / name, pattern, range(first, first + 5))
        frames(root / tree / subject / "non_micro" / f"{subject}_n1", pattern, [1])


def casme3(root, rows, clips=False, file="cas(me)3_part_A_ME_label_JpgIndex_v2.xlsx"):
    """Rows: subject, file name, onset, apex, offset, emotion. Folders say spNo where the sheet says spNO."""
    cells = []
    for subject, name, onset, apex, offset, emotion in rows:
        values = (subject, name, onset, apex, offset, "4", "III", emotion, None)
        cells.append(dict(zip(CASME3, values, strict=True)))
        folder = f"{subject}_{name}_{onset}" if clips else f"{subject}/{name.lower()}/color"
        frames(root / folder.replace("spNO", "spNo"), "{}.jpg", three(onset, apex, offset))
    return sheet(root / file, CASME3, cells)


def mmew(root, rows, file="MMEW_Micro_Exp.xlsx"):
    """Rows: subject number, file name, onset, apex, offset, emotion. Macro-expressions lie beside them."""
    cells = []
    for subject, name, onset, apex, offset, emotion in rows:
        cells.append(dict(zip(MMEW, (subject, name, onset, apex, offset, "1+2", emotion, None), strict=True)))
        last = offset if isinstance(offset, int) else onset
        frames(root / "Micro_Expression" / emotion / name, "{}.jpg", range(1, last + 1))
        frames(root / "Macro_Expression" / f"S{subject:02d}" / emotion, f"S{subject:02d}-07-{{:03d}}.jpg", [1])
    return sheet(root / file, MMEW, cells)


def fourdme(root, rows, tree="gray_micro", file="4DME_Labelling_Micro_release v1.xlsx"):
    """Rows: subject, folder name, onset, apex, offset, emotion."""
    cells = []
    for subject, name, onset, apex, offset, emotion in rows:
        values = (subject, name, emotion, onset, apex, offset, "AU4", 0, 0, 1)
        cells.append(dict(zip(FOURDME, values, strict=True)))
        frames(root / tree / subject / name, "{}.jpg", three(onset, apex, offset))
    return sheet(root / file, FOURDME, cells)


CASME = ["Subject", "Filename", None, "OnsetF", "ApexF1", "ApexF2", "OffsetF", None, "AUs", "Emotion"]
DFME = ["Subject", "Filename", "OnsetFrame", "ApexFrame", "OffsetFrame", "Emotion", "AU"]
SAMM_LV = ["Subject", "Filename", "Inducement Code", "Onset", "Apex", "Offset", "Duration", "Type", "Action Units",
           "Notes"]  # fmt: skip
#: What stands in the columns of CAS(ME)^2, which have no names.
SQUARE = ["subject", "filename", "onset", "apex", "offset", "actionunits", "emotion", "type"]
PART_C = ["sub", "count", "PHY", "onset", "offset", "au", "emotion"]


def casme(root, rows, tree="Cropped", pattern="reg_{name}-{{}}.jpg", file="casme.xlsx"):
    """Rows: subject number, file name, onset, apex, offset, emotion."""
    cells = []
    for subject, name, onset, apex, offset, emotion in rows:
        values = (subject, name, onset, apex, 0, offset, "4+7", emotion)
        cells.append(dict(zip([c for c in CASME if c], values, strict=True)))
        frames(root / tree / f"sub{subject:02d}" / name, pattern.format(name=name), three(onset, apex, offset))
    return sheet(root / file, CASME, cells)


def dfme(root, rows, file="training_full_with_AU.xlsx", tree="train_data"):
    """Rows: subject number, file name, onset, apex, offset, emotion."""
    cells = []
    for subject, name, onset, apex, offset, emotion in rows:
        values = (f"sub{subject:04d}", name, onset, apex, offset, emotion, "AU4+AD38")
        cells.append(dict(zip(DFME, values, strict=True)))
        frames(root / tree / name, "{:05d}.png", three(onset, apex, offset))
    return sheet(root / file, DFME, cells)


#: How the third sheet of CAS(ME)^2 names its stimuli, and the second its participants.
STIMULI = [("0101", "disgust1"), ("0401", "anger1"), ("0502", "happy1")]
PEOPLE = [(15, "s15", 1), (16, "s16", 2)]


def casme_sq(root, rows, file="CAS(ME)^2code_final.xlsx", naming=True):
    """Rows: participant, file name, onset, apex, offset, emotion, and for macro-expressions "macro"."""
    book = openpyxl.Workbook()
    folders, codes = {number: name for _, name, number in PEOPLE}, {video: code for code, video in STIMULI}
    for participant, name, onset, apex, offset, emotion, *kind in rows:
        values = [participant, name, onset, apex, offset, "4+7", emotion, f"{(kind or ['micro'])[0]}-expression", "x"]
        book.active.append(values)
        person = folders[participant]
        folder = root / "rawpic" / person / f"{person[1:]}_{codes[name.partition('_')[0]]}words"
        frames(folder, "img{:04d}.jpg", three(onset, apex or onset, offset or apex))
    if naming:
        for title, table in (("naming rule1", PEOPLE), ("naming rule2", STIMULI)):
            page = book.create_sheet(title)
            for row in table:
                page.append(row)
    root.mkdir(parents=True, exist_ok=True)
    book.save(root / file)
    return root / file


def samm_lv(root, rows, file="SAMM_LongVideos_V2_Release.xlsx"):
    """Rows: file name, onset, apex, offset, type, action units."""
    cells = []
    for name, onset, apex, offset, kind, units in rows:
        subject, video, _ = name.split("_")
        values = (subject, name, video, onset, apex, offset, offset - onset + 1, kind, units, None)
        cells.append(dict(zip(SAMM_LV, values, strict=True)))
        frames(root / "SAMM_longvideos" / f"{subject}_{video}", f"{subject}_{video}_{{:04d}}.jpg", [1, 2])
    above = [["SAMM Long Videos Dataset - FACS Codes"], *([f"note {i}"] for i in range(8))]
    return sheet(root / file, SAMM_LV, cells, above)


def casme3c(root, rows, file="CAS(ME)3_part_C_ME.xlsx"):
    """Rows: subject number, count, onset, offset, action units, emotion."""
    cells = []
    for subject, count, onset, offset, units, emotion in rows:
        values = (subject, count, f"p{subject}", onset, offset, units, emotion)
        cells.append(dict(zip(PART_C, values, strict=True)))
        for kind in ("color", "depth"):
            frames(root / "part_C" / f"{subject:02d}" / "a" / kind, "{}.jpg", [1, 2])
    return sheet(root / file, PART_C, cells)


def casme3a(root, rows, file="CAS(ME)3_part_A_v2.xls.csv", columns=PART_A):
    """Rows: subject, recording, onset, apex, offset, action units, type, objective class."""
    cells = [dict(zip(columns, row, strict=True)) for row in rows]
    for subject, recording, *_ in rows:
        for kind in ("color", "depth"):
            frames(root / "part_A" / subject.replace("spNO", "spNo") / recording.lower() / kind, "{}.jpg", [1, 2])
    return sheet(root / "annotation" / file, columns, cells)
