"""Tools for grading facial palsy: data, training, evaluation, prediction and pictures."""

from htnet.palsy.evaluate import evaluate_palsy, score_table
from htnet.palsy.grades import GRADES, SCHEMES, GradeScheme, describe_class, grade_scheme
from htnet.palsy.metrics import (
    ClassScores,
    GradeScores,
    grade_scores,
    macro_f1,
    mean_absolute_error,
    quadratic_kappa,
)
from htnet.palsy.predictor import FaceMaps, GradePrediction, GradePredictor, predict_faces
from htnet.palsy.prepare import PALSY_SPEC, align_face, face_spec, gaps, palsy_landmarker, prepare_faces
from htnet.palsy.sources import read_ck_plus, read_grade_csv, read_grade_folders, read_palsy
from htnet.palsy.splits import split_patients, split_table
from htnet.palsy.train import check_face_model, train_palsy

__all__ = [
    "GRADES",
    "PALSY_SPEC",
    "SCHEMES",
    "ClassScores",
    "FaceMaps",
    "GradePrediction",
    "GradePredictor",
    "GradeScheme",
    "GradeScores",
    "align_face",
    "check_face_model",
    "describe_class",
    "evaluate_palsy",
    "face_spec",
    "gaps",
    "grade_scheme",
    "grade_scores",
    "macro_f1",
    "mean_absolute_error",
    "palsy_landmarker",
    "predict_faces",
    "prepare_faces",
    "quadratic_kappa",
    "read_ck_plus",
    "read_grade_csv",
    "read_grade_folders",
    "read_palsy",
    "score_table",
    "split_patients",
    "split_table",
    "train_palsy",
]
