"""Write files for other programs: models, predictions, spotting curves, events and analyses of recordings.

The formats are those of exported models, JSON, CSV, HTML and ELAN.
"""

from htnet.core.deprecated import serve_old_names
from htnet.core.elan import write_elan
from htnet.core.megc import write_megc
from htnet.core.recordings import write_recordings
from htnet.hub.exporting import export_model
from htnet.pipeline.analysis_files import write_analysis
from htnet.pipeline.export import write_curve, write_predictions
from htnet.pipeline.prediction_report import write_prediction_report
from htnet.pipeline.report import write_report

__all__ = [
    "export_model",
    "write_analysis",
    "write_curve",
    "write_elan",
    "write_megc",
    "write_prediction_report",
    "write_predictions",
    "write_recordings",
    "write_report",
]

serve_old_names(__name__)
