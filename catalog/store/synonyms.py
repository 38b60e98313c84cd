"""Synonyms and abbreviations of machine learning and the sciences (``SYNONYMS`` in ``wordforms.js``).

Sources: the task names of the Hugging Face Hub (https://huggingface.co/tasks), the entry terms of MeSH for imaging and
physiological measurements (https://meshb.nlm.nih.gov), and the lists of abbreviations that Wikipedia has for remote
sensing, natural language processing and speech. Everyday words are not in it: their synonyms depend on the sentence.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from catalog.store.wordforms import stem

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST_SYNONYM_WORDS: Final = 4
_START: Final = 2
"""Letters that all forms of a word begin with."""
SYNONYMS: Final = """
asr|automatic speech recognition|speech recognition|speech to text
tts|text to speech|speech synthesis
ner|named entity recognition
nli|natural language inference|textual entailment|rte
mt|nmt|machine translation|parallel corpus|parallel text|bitext
qa|question answering
vqa|visual question answering
pos tagging|part of speech tagging|pos
ocr|optical character recognition|text recognition
nlp|natural language processing
ir|information retrieval
llm|large language model
rl|reinforcement learning
slu|spoken language understanding
sentiment analysis|opinion mining
toxicity|hate speech|offensive language|abusive language
summarization|summary
dialogue|conversation
paraphrase|semantic similarity
remote sensing|satellite imagery|satellite image|earth observation
aerial imagery|aerial photography|orthophoto
sar|synthetic aperture radar
lidar|laser scanning|point cloud
rgbd|depth image|depth map|depth camera
pose estimation|keypoint detection
face|facial
landmark|keypoint
autonomous driving|self driving|autonomous vehicle
robot|robotic
xray|x ray|radiography|radiograph
mri|magnetic resonance imaging
fmri|functional magnetic resonance imaging
ct|computed tomography
ultrasound|ultrasonography|sonography
eeg|electroencephalography|electroencephalogram
ecg|ekg|electrocardiography|electrocardiogram
emg|electromyography
medical|biomedical|clinical
medical imaging|radiology
tumor|neoplasm|cancer|carcinoma
histopathology|histology
covid|covid19|coronavirus|sars cov 2
genome|genomic
weather|meteorology|meteorological
earthquake|seismic|seismology
ocean|marine|oceanography
bird|avian
handwriting|handwritten
tweet|twitter
email|e mail
audio|sound
math|arithmetic
time series|timeseries
multilingual|cross lingual
commonsense|common sense
person re identification|reid
"""
_LINES: Final = SYNONYMS.strip().split("\n")


def synonyms(words: Sequence[str]) -> list[tuple[str, ...]]:
    """Return the other phrases of the groups that have this phrase, in any of its forms."""
    starts = [word[:_START] for word in words]
    wanted = _stems(words)
    found: list[tuple[str, ...]] = []
    for line in _LINES:
        if all(start in line for start in starts):  # stemming all groups would take longer than the search
            group = [tuple(phrase.split(" ")) for phrase in line.split("|")]
            if wanted in map(_stems, group):
                found += [phrase for phrase in group if _stems(phrase) != wanted]
    return found


def _stems(words: Sequence[str]) -> tuple[str, ...]:
    return tuple(stem(word) if word.isascii() and word.isalpha() else word for word in words)
