"""Bounding boxes: formats, overlap, and the differences to anchors that detectors learn."""

from torchfunc.layers.augmentation.boxes import affine_transform as affine_transform
from torchfunc.layers.augmentation.boxes import clip_to_image_size as clip_to_image_size
from torchfunc.layers.augmentation.boxes import convert_format as convert_format
from torchfunc.layers.augmentation.boxes import crop as crop
from torchfunc.layers.augmentation.boxes import pad as pad
from torchfunc.utils.bounding_boxes.deltas import decode_deltas_to_boxes as decode_deltas_to_boxes
from torchfunc.utils.bounding_boxes.deltas import encode_box_to_deltas as encode_box_to_deltas
from torchfunc.utils.bounding_boxes.overlap import compute_ciou as compute_ciou
from torchfunc.utils.bounding_boxes.overlap import compute_iou as compute_iou
