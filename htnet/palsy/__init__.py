"""Tools for grading facial palsy: data, training, evaluation, prediction and pictures.

A wing: no other package of htnet imports it, see `htnet.core.wings`. Names are loaded when first used, so hints
and help do not load PyTorch.
"""

# ruff: noqa: F401

from __future__ import annotations

from typing import TYPE_CHECKING

from htnet.core.lazy import serve_lazy_names

if TYPE_CHECKING:
    from htnet.palsy.asymmetry import FaceAsymmetry, RegionAsymmetry, face_asymmetry
    from htnet.palsy.enhanced import HTNetEnhanced, HTNetEnhancedConfig
    from htnet.palsy.evaluate import evaluate_palsy, score_table
    from htnet.palsy.face_augment import FaceAugmentation, augment_faces
    from htnet.palsy.faces import FaceSet, load_face_set, load_split
    from htnet.palsy.folder import FolderGrades, predict_folder
    from htnet.palsy.grades import GRADES, SCHEMES, GradeScheme, describe_class, grade_scheme
    from htnet.palsy.metrics import (
        ClassScores,
        GradeScores,
        grade_scores,
        macro_f1,
        mean_absolute_error,
        quadratic_kappa,
    )
    from htnet.palsy.model import HOUSE_BRACKMANN, HTNetPalsy, HTNetPalsyConfig, PalsyMaps
    from htnet.palsy.predictor import FaceMaps, GradePrediction, GradePredictor, predict_faces
    from htnet.palsy.prepare import PALSY_SPEC, align_face, face_spec, gaps, palsy_landmarker, prepare_faces
    from htnet.palsy.sources import read_ck_plus, read_grade_csv, read_grade_folders, read_palsy
    from htnet.palsy.splits import split_patients, split_table
    from htnet.palsy.train import check_face_model, train_palsy

#: Public names by the module that contains them.
_NAMES = {
    "asymmetry": "FaceAsymmetry RegionAsymmetry face_asymmetry",
    "enhanced": "HTNetEnhanced HTNetEnhancedConfig",
    "evaluate": "evaluate_palsy score_table",
    "face_augment": "FaceAugmentation augment_faces",
    "faces": "FaceSet load_face_set load_split",
    "folder": "FolderGrades predict_folder",
    "grades": "GRADES SCHEMES GradeScheme describe_class grade_scheme",
    "metrics": "ClassScores GradeScores grade_scores macro_f1 mean_absolute_error quadratic_kappa",
    "model": "HOUSE_BRACKMANN HTNetPalsy HTNetPalsyConfig PalsyMaps",
    "predictor": "FaceMaps GradePrediction GradePredictor predict_faces",
    "prepare": "PALSY_SPEC align_face face_spec gaps palsy_landmarker prepare_faces",
    "sources": "read_ck_plus read_grade_csv read_grade_folders read_palsy",
    "splits": "split_patients split_table",
    "train": "check_face_model train_palsy",
}

__all__ = [name for names in _NAMES.values() for name in names.split()]

serve_lazy_names(__name__, _NAMES)
