"""Facets of a dataset from its tags, fields and metadata, by a table: task, modality, language, format.

::

    tag        ml.task.image-classification, task_categories:image-classification, image classification
    field      a field of media type image/jpeg, or called image
    metadata   task, tasks, task_categories, modality, modalities, language, languages, inLanguage

A tag with a namespace (``task:…``, ``content.language.…``) gives its value, by the table under its usual name; without
one only what the table has. Sources of the table: the tasks and modalities of the Hugging Face Hub
(https://huggingface.co/tasks, https://huggingface.co/docs/hub/datasets-cards), the tags of TensorFlow Datasets
(https://www.tensorflow.org/datasets/catalog), and the languages of ISO 639-1 with most datasets there.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from catalog.schema import Scalar
from catalog.store.tokenizer import fold

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from catalog.records import Dataset
    from catalog.schema import SampleType

DERIVED: Final = ("task", "modality", "language", "format")
"""The facets of this module."""
_TASKS: Final = """
image classification|fine grained image classification|multi class image classification|image recognition
object detection|object recognition
image segmentation|semantic segmentation|instance segmentation|panoptic segmentation
depth estimation|monocular depth estimation
pose estimation|keypoint detection|human pose estimation
image captioning|image to text|image description
text to image|conditional image generation|text to image generation
image generation|unconditional image generation
image to image|image to image translation|super resolution|image super resolution|image denoising|style transfer
video classification|action recognition|activity recognition
object tracking|tracking|video object tracking
face recognition|face verification|facial recognition
optical character recognition|ocr|text recognition|handwriting recognition
visual question answering|vqa
speech recognition|automatic speech recognition|asr|speech to text
text to speech|tts|speech synthesis
audio classification|sound classification|speaker identification|keyword spotting
music generation|text to audio
text classification|sentiment analysis|sentiment classification|topic classification|toxicity prediction|hate speech
token classification|named entity recognition|ner|part of speech tagging|pos tagging
question answering|open domain question answering|extractive question answering|reading comprehension
text summarization|summarization|summarisation|abstractive text summarization|document summarization
machine translation|translation
text generation|language modelling|language modeling|causal language modeling
natural language inference|nli|textual entailment
sentence similarity|semantic similarity|semantic textual similarity|paraphrase identification
dialogue|conversational|dialog|dialogue generation
dependency parsing|parsing|syntactic parsing
coreference resolution
information retrieval|text retrieval|document retrieval|passage retrieval
tabular classification|classification
tabular regression|regression
time series forecasting|forecasting
anomaly detection|unsupervised anomaly detection|outlier detection
reinforcement learning|robotics|imitation learning|offline reinforcement learning
recommendation|recommender systems
graph learning|graph ml|node classification|link prediction
point cloud segmentation|point cloud classification|3d object detection
"""
_MODALITIES: Final = """
image|images|img|photo|photos|picture|pictures|rgb d|rgbd
text|texts|sentence|document|documents|dialogue
audio|sound|speech|waveform|music|voice
video|videos|clip
tabular|table|tables|categorical
time series|timeseries|trajectory|signal|sensor
3d|point cloud|pointcloud|points|mesh|voxel|lidar
geospatial|remote sensing|satellite imagery|aerial imagery
graph|graphs
"""
_LANGUAGES: Final = (
    "ar Arabic|bg Bulgarian|bn Bengali|ca Catalan|cs Czech|cy Welsh|da Danish|de German|el Greek|en English|es Spanish"
    "|et Estonian|eu Basque|fa Persian|fi Finnish|fr French|ga Irish|gl Galician|gu Gujarati|he Hebrew|hi Hindi"
    "|hr Croatian|hu Hungarian|hy Armenian|id Indonesian|is Icelandic|it Italian|ja Japanese|ka Georgian|kk Kazakh"
    "|km Khmer|kn Kannada|ko Korean|la Latin|lo Lao|lt Lithuanian|lv Latvian|mk Macedonian|ml Malayalam|mn Mongolian"
    "|mr Marathi|ms Malay|mt Maltese|my Burmese|ne Nepali|nl Dutch|no Norwegian|pa Punjabi|pl Polish|ps Pashto"
    "|pt Portuguese|ro Romanian|ru Russian|sa Sanskrit|si Sinhala|sk Slovak|sl Slovenian|so Somali|sq Albanian"
    "|sr Serbian|sv Swedish|sw Swahili|ta Tamil|te Telugu|tg Tajik|th Thai|tl Tagalog|tr Turkish|uk Ukrainian|ur Urdu"
    "|uz Uzbek|vi Vietnamese|yo Yoruba|zh Chinese|zu Zulu|af Afrikaans|am Amharic|az Azerbaijani|be Belarusian"
)
_NAMESPACED: Final = re.compile(
    r"(?:^|.*[.:/])(?:(?P<task>tasks?|task[_-](?:categories|ids))|(?P<modality>modality|modalities|data-type)"
    r"|(?P<language>languages?|lang))[.:/](?P<value>.+)"
)
_KEYS: Final = {
    "task": "task", "tasks": "task", "task_categories": "task", "modality": "modality", "modalities": "modality",
    "language": "language", "languages": "language", "inLanguage": "language",
}  # fmt: skip
_BLANK: Final = re.compile(r"[\s_./-]+")
_MOST_VALUES: Final = 100
_LONGEST: Final = 60


def _table(lines: str) -> dict[str, str]:
    groups = [line.split("|") for line in lines.strip().split("\n")]
    return {name: group[0] for group in groups for name in group}


_KNOWN: Final[Mapping[str, Mapping[str, str]]] = {
    "task": _table(_TASKS),
    "modality": _table(_MODALITIES),
    "language": {
        **{entry[:2]: entry[3:] for entry in _LANGUAGES.split("|")},
        **{entry[3:].lower(): entry[3:] for entry in _LANGUAGES.split("|")},
    },
}


def derived_facets(record: Dataset, sample_type: SampleType | None) -> dict[str, tuple[str, ...]]:
    """Return the values of a dataset for each facet of :data:`DERIVED`, each once. ``sample_type`` is its schema's."""
    return with_fields(facets_of_record(record), sample_type)


def facets_of_record(record: Dataset) -> dict[str, tuple[str, ...]]:
    """Return the values that a dataset's record has without its schema."""
    found: dict[str, dict[str, None]] = {facet: {} for facet in DERIVED}
    for facet, value in (*_of_tags(record), *_of_metadata(record.metadata)):
        found[facet][value] = None
    found["format"] = {record.sample_format[:_LONGEST]: None}
    return {facet: tuple(values)[:_MOST_VALUES] for facet, values in found.items()}


def with_fields(values: Mapping[str, tuple[str, ...]], sample_type: SampleType | None) -> dict[str, tuple[str, ...]]:
    """Return the values of a dataset with those of its schema's fields."""
    modalities = dict.fromkeys((*values["modality"], *_of_fields(sample_type)))
    return {**values, "modality": tuple(modalities)[:_MOST_VALUES]}


def _of_tags(record: Dataset) -> Iterator[tuple[str, str]]:
    for tag in record.tags:
        yield from _of_tag(tag)


@lru_cache(maxsize=10_000)
def _of_tag(tag: str) -> tuple[tuple[str, str], ...]:
    match = _NAMESPACED.fullmatch(tag.lower())
    if match is not None:
        facet = next(facet for facet in _KNOWN if match[facet])
        value = _value(facet, match["value"])
        return () if value is None else ((facet, value),)
    bare = _BLANK.sub(" ", fold(tag)).strip()
    return tuple((facet, known[bare]) for facet, known in _KNOWN.items() if bare in known and len(bare) > 2)


def _value(facet: str, text: str) -> str | None:
    """Return the usual name of a value; of an unknown one its own, if it is a task."""
    bare = _BLANK.sub(" ", fold(text)).strip()
    known = _KNOWN[facet].get(bare)
    if known is None and facet == "language":
        known = _KNOWN[facet].get(bare[:2]) if re.fullmatch("[a-z]{2} [a-z]{2,4}", bare) else None  # pt-BR
    return bare[:_LONGEST] if known is None and facet == "task" and bare else known


def _of_metadata(metadata: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    for key, facet in _KEYS.items():
        held = metadata.get(key)
        for one in held[:_MOST_VALUES] if isinstance(held, list) else (held,):
            value = _value(facet, one) if isinstance(one, str) else None
            if value is not None:
                yield facet, value


def _of_fields(sample_type: SampleType | None) -> Iterator[str]:
    """Yield the modalities of fields."""
    if sample_type is None:
        return
    for field in sample_type.fields:
        name = _KNOWN["modality"].get(_BLANK.sub(" ", field.name.lower()))
        if name is not None:
            yield name
    for type_ in sample_type.types():
        kind = type_.media.partition("/")[0] if isinstance(type_, Scalar) and type_.media else ""
        if kind in ("image", "audio", "video", "text"):
            yield kind
