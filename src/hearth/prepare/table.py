"""The kinds of models, and how bundles of each are made."""

from __future__ import annotations

from collections.abc import Mapping

from hearth.model.kinds import ENCODER, TEXT, VISION, KindName
from hearth.prepare.encoder import EncoderPreparer
from hearth.prepare.preparer import Preparer
from hearth.prepare.text import TextPreparer
from hearth.prepare.vision import VisionPreparer

PREPARERS: Mapping[KindName, Preparer] = {
    each.kind: each for each in (EncoderPreparer(), VisionPreparer(), TextPreparer())
}
ANY_KIND: tuple[KindName, ...] = (ENCODER, VISION, TEXT)
"""In the order in which they are asked whether a model is theirs. What is nobody's the last refuses, in its words."""
