"""The model card of trained weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from htnet.core.provenance import License, Provenance
from htnet.core.registry import Registry

#: Placeholder for the repository in the card of a weights folder, until it is published.
REPOSITORY = "OWNER/REPOSITORY"
#: Introduction to the scores that leak.
_LEAKS = (
    "These epochs were chosen by the tested subjects' own labels, as published code does. The scores are therefore too "
    "high for people who were not tested, and are here only to be compared with published ones."
)
_FLOW_LIMITS = (
    "Trained on posed or induced expressions of few people in laboratories. The answer is an estimate of facial "
    "movement, not of what a person feels. Do not use it for decisions about people."
)
_GENERATED_LIMITS = (
    "Trained on generated movement, not on people. The answer is an estimate of facial movement, not of what a "
    "person feels. Do not use it for decisions about people."
)


@dataclass(frozen=True)
class CardText:
    """Texts of the card for models with one kind of input.

    Attributes:
        purpose: purpose of the models.
        tags: the Hub's tags.
        input: text on the input, from the content of ``config.json``.
        limits: text on the limitations, from the same content.
        snippet: Python code that loads the weights and uses them; "{weights}" is the placeholder for their name.
    """

    purpose: str
    tags: tuple[str, ...]
    input: Callable[[Mapping[str, Any]], str]
    limits: Callable[[Mapping[str, Any]], str]
    snippet: str


#: By `htnet.models.EmotionModel.input_kind`.
CARD_TEXTS: Registry[str, CardText] = Registry("htnet.hub.card")


def register_card_text(input_kind: str, text: CardText) -> None:
    """Register the card texts for models of another input kind."""
    CARD_TEXTS.add(input_kind, text)


def _temperature(temperature: float, training: Mapping[str, Any]) -> str:
    how = f"; {training['calibration']}" if "calibration" in training else ""
    return f"{temperature:.4g}, by which scores are divided before the softmax{how}"


def model_card(config: Mapping[str, Any]) -> str:
    """Markdown card with the Hub's YAML header.

    Args:
        config: content of the weights folder's ``config.json``.
    """
    training, text = config["training"], CARD_TEXTS.get(config.get("input_kind", ""), CARD_TEXTS["flow"])
    temperature = config["temperature"]
    provenance = Provenance.from_dict(config["provenance"])
    rows = [
        ("Architecture", f"{config['architecture']} ({config['model']})"),
        ("Classes", ", ".join(config["labels"])),
        *([("Classes without a training sample", ", ".join(provenance.unlearned))] if provenance.unlearned else []),
        *([("Action units", ", ".join(map(str, units)))] if (units := config["config"].get("action_units")) else []),
        *([("Temperature", _temperature(temperature, training))] if temperature != 1 else []),
        ("Data", provenance.data_in_words),
        *([("Generated images", training["generated"])] if "generated" in training else []),
        *([("Started from", start)] if (start := provenance.started_from) else []),
        ("Samples", training.get("samples", "not stated")),
        *([("Samples with action units", training["units_annotated"])] if "units_annotated" in training else []),
        ("Subjects", training.get("subjects", "not stated")),
        ("Protocol", training.get("protocol", "not stated")),
        ("Recipe", (config["recipe"] or {}).get("name", "not stated")),
        ("Source", training.get("source", f"htnet {config['htnet']}")),
        ("Terms of use", f"{provenance.license_in_words} (`{provenance.license_expression}`)"),
    ]
    lines = [
        "---",
        "library_name: htnet",
        *_license_lines(provenance.licenses),
        "pipeline_tag: image-classification",
        "tags:",
        *(f"- {tag}" for tag in text.tags),
        "---",
        "",
        f"# {config['model']} for {text.purpose}",
        "",
        "| | |",
        "|---|---|",
        *(f"| {name} | {value} |" for name, value in rows),
        "",
        "## Use",
        "",
        *_own_model(config),
        "```python",
        *([f"import {module}  # registers the model"] if (module := _module(config)) else []),
        text.snippet.format(weights=REPOSITORY),
        "```",
        "",
        "## Input",
        "",
        f"{text.input(config)} `config.json` contains the whole specification, and htnet applies it.",
        "",
    ]
    if metrics := training.get("metrics"):
        lines += ["## Metrics", "", *_scores(metrics)]
    if leaking := training.get("leaking_metrics"):
        lines += ["## Metrics that leak", "", _LEAKS, "", *_scores(leaking)]
    lines += [
        "## Limits",
        "",
        text.limits(config),
        "",
    ]
    return "\n".join(lines)


def _module(config: Mapping[str, Any]) -> str:
    """The module to import before the weights are loaded; "" for models of htnet, and for those of a script."""
    module = str(config.get("defined_in", ""))
    return "" if module == "__main__" else module


def _own_model(config: Mapping[str, Any]) -> list[str]:
    """Lines on weights whose model is not part of htnet."""
    if "defined_in" not in config:
        return []
    where = f"the module `{module}`" if (module := _module(config)) else "a script or notebook"
    return [
        f"The model is not part of htnet: its class `{config['architecture']}` was defined in {where}. Whoever uses "
        "these weights needs that code, and must run it first, so that it registers the model with "
        "`htnet.register_model`.",
        "",
    ]


def _scores(metrics: Mapping[str, float]) -> list[str]:
    return ["| | |", "|---|---|", *(f"| {name} | {value:.4f} |" for name, value in metrics.items()), ""]


def _license_lines(licenses: frozenset[License]) -> list[str]:
    """Lines of the Hub's header about the terms of use."""
    if licenses == {License.APACHE_2_0}:
        return ["license: apache-2.0"]
    return ["license: other", f"license_name: {'research-only' if License.RESEARCH_ONLY in licenses else 'see-card'}"]


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
            else "  Trained without clips: its motion stream is untrained and not used."
        )
    return text


def _flow_limits(config: Mapping[str, Any]) -> str:
    return _GENERATED_LIMITS if Provenance.from_dict(config["provenance"]).only_generated else _FLOW_LIMITS


_FLOW_SNIPPET = """import htnet

model = htnet.load_pretrained("{weights}")
print(htnet.predict("onset.png", "apex.png", weights="{weights}").label)"""

register_card_text(
    "flow",
    CardText(
        "facial micro-expressions", ("micro-expression", "optical-flow"), _flow_input, _flow_limits, _FLOW_SNIPPET
    ),
)
