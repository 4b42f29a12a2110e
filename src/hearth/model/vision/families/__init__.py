"""The vision families Hearth knows. Adding one is adding its file and its line here."""

from hearth.model.vision.families import (
    clip,
    convnext,
    deit,
    detr,
    dinov2,
    dinov3,
    dpt,
    mobile,
    resnet,
    rtdetr,
    segformer,
    siglip,
    swin,
    vit,
    yolos,
)
from hearth.model.vision.model import Family

FAMILIES: tuple[Family, ...] = (
    vit.FAMILY,
    deit.FAMILY,
    dinov2.FAMILY,
    dinov2.WITH_REGISTERS,
    dinov3.FAMILY,
    clip.FAMILY,
    siglip.FAMILY,
    yolos.FAMILY,
    swin.FAMILY,
    swin.V2,
    resnet.FAMILY,
    convnext.FAMILY,
    convnext.V2,
    segformer.FAMILY,
    dpt.FAMILY,
    dpt.DPT,
    detr.FAMILY,
    rtdetr.FAMILY,
    mobile.FAMILY,
    mobile.VIT,
)

__all__ = ["FAMILIES", "Family"]
