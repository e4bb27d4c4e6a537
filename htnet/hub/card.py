"""The card that goes with trained weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from htnet.hub.registry import AS_THE_CODE, GENERATED, RESEARCH_ONLY

#: Between terms of use that hold together.
_BESIDES = "; besides, "

_FLOW_LIMITS = (
    "Trained on posed or induced expressions of few people in laboratories. The answer is a guess about facial "
    "movement, not about what somebody feels, and not fit for decisions about people."
)
_GENERATED_LIMITS = (
    "Trained on generated movement, not on people. The answer is a guess about facial movement, not about what "
    "somebody feels, and not fit for decisions about people."
)
_FACE_LIMITS = (
    "Not a medical device. A grade says how uneven a face looks in one picture; House and Brackmann grade a moving "
    "face. Light from one side and a turned head look like a palsy. Not fit for decisions about people."
)


def _temperature(temperature: float, training: Mapping[str, Any]) -> str:
    how = f"; {training['calibration']}" if "calibration" in training else ""
    return f"{temperature:.4g}, by which scores are divided before the softmax{how}"


def model_card(config: Mapping[str, Any]) -> str:
    """Markdown card with the Hub's YAML header.

    Args:
        config: content of the weights folder's ``config.json``.
    """
    training, faces = config["training"], config.get("input_kind") == "face"
    temperature = config["temperature"]
    licence = training.get("licence", "not stated")
    rows = [
        ("Architecture", f"{config['architecture']} ({config['model']})"),
        ("Classes", ", ".join(config["labels"])),
        *([("Action units", ", ".join(map(str, units)))] if (units := config["config"].get("action_units")) else []),
        *([("Temperature", _temperature(temperature, training))] if temperature != 1 else []),
        ("Data", training.get("dataset", "not stated")),
        *([("Generated images", training["generated"])] if "generated" in training else []),
        *([("Started from", start)] if (start := training.get("started_from")) else []),
        ("Samples", training.get("samples", "not stated")),
        ("Subjects", training.get("subjects", "not stated")),
        ("Protocol", training.get("protocol", "not stated")),
        ("Recipe", (config["recipe"] or {}).get("name", "not stated")),
        ("Source", training.get("source", f"htnet {config['htnet']}")),
        ("Terms of use", licence),
    ]
    lines = [
        "---",
        "library_name: htnet",
        *_licence_lines(licence),
        "pipeline_tag: image-classification",
        "tags:",
        *(["- facial-palsy"] if faces else ["- micro-expression", "- optical-flow"]),
        "---",
        "",
        f"# {config['model']} for {'grades of facial palsy' if faces else 'facial micro-expressions'}",
        "",
        "| | |",
        "|---|---|",
        *(f"| {name} | {value} |" for name, value in rows),
        "",
        "## Input",
        "",
        f"{_face_input(config['preprocess']) if faces else _flow_input(config)} `config.json` holds the "
        "whole specification, and htnet applies it.",
        "",
    ]
    if metrics := training.get("metrics"):
        lines += ["## Metrics", "", "| | |", "|---|---|"]
        lines += [f"| {name} | {value:.4f} |" for name, value in metrics.items()]
        lines += [""]
    lines += [
        "## Limits",
        "",
        _FACE_LIMITS if faces else _GENERATED_LIMITS if training.get("dataset") == GENERATED else _FLOW_LIMITS,
        "",
    ]
    return "\n".join(lines)


def joined_terms(*licences: str) -> str:
    """Terms of use of weights that come from several sources: all terms, research only first.

    Those of weights without licensed data, `htnet.hub.AS_THE_CODE`, ask nothing of what is made from them.

    Args:
        *licences: terms of each source; what this function gave before may be among them.
    """
    terms = dict.fromkeys(term for licence in licences for term in licence.split(_BESIDES))
    if len(terms) > 1:
        terms.pop(AS_THE_CODE, None)
    return _BESIDES.join(sorted(terms, key=lambda term: term != RESEARCH_ONLY))


def _licence_lines(licence: str) -> list[str]:
    """What the Hub's header says of the terms of use."""
    if licence.startswith("Apache-2.0") and _BESIDES not in licence:
        return ["license: apache-2.0"]
    return ["license: other", f"license_name: {'research-only' if 'research' in licence else 'see-card'}"]


def _flow_input(config: Mapping[str, Any]) -> str:
    spec, extras = config["preprocess"], config.get("extra_inputs", ())
    text = (
        f"Flow by {spec['flow']} from onset to apex on a {spec['face_size']} px face warped by one similarity to the "
        f"template points; channels {', '.join(spec['channels'])}, {spec['size']} px, each scaled to 0..255 per image; "
        f"regions: {spec['layout']}, cut at the {spec['region_points']} points."
    )
    if "points68" in extras:
        text += " It also reads 68 facial points, estimated from five where no more are measured."
    if "motion" in extras:
        frames = spec["clip_frames"]
        text += (
            f" It also reads the motion of the clip at {frames} moments from onset to offset."
            if frames
            else " Trained without clips: its motion stream has learned nothing and is shown nothing."
        )
    return text


def _face_input(spec: Mapping[str, Any]) -> str:
    return (
        f"One face, warped by one similarity to the template points on {spec['face_size']} px and resized to "
        f"{spec['size']} px; red, green, blue, 0..255."
    )
