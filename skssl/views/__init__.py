"""Views: pure functions from a batch to a randomly altered batch, and lists of them.

A view draws from torch's generator, which ``fit`` seeds, and never writes to its input.
Views of images are batched: each image of a batch is altered independently.
"""

from skssl.views._actions import (
    IMAGE_ACTIONS,
    Action,
    Actions,
    blur_action,
    brightness_action,
    crop_action,
    hue_action,
    rotation_action,
    swap_action,
)
from skssl.views._audio import add_hiss, clip_peaks, lose_band, random_spans, reverberate
from skssl.views._clips import Alike, clip_views, random_run
from skssl.views._colors import add_noise, color_jitter, grayscale, solarize
from skssl.views._events import random_slice
from skssl.views._images import (
    blur,
    crop_images,
    erase,
    flip,
    quarter_turns,
    resized_crop,
    rotate,
    shift,
)
from skssl.views._lists import Compose, UserViews, View, Views, original
from skssl.views._presets import IMAGE_PRESETS, MultiCrop, image_views
from skssl.views._series import (
    SERIES_PRESETS,
    crop_time,
    jitter,
    mask_frequencies,
    mask_time,
    overlapping_crops,
    permute_time,
    rescale,
    series_views,
)
from skssl.views._table import altered, column_windows, mask_cells, swap_cells, swap_columns
from skssl.views._tokens import drop_tokens, mask_tokens, random_chunk

__all__ = [
    "IMAGE_ACTIONS",
    "IMAGE_PRESETS",
    "Action",
    "Actions",
    "Alike",
    "SERIES_PRESETS",
    "Compose",
    "MultiCrop",
    "UserViews",
    "View",
    "Views",
    "add_hiss",
    "add_noise",
    "altered",
    "blur",
    "blur_action",
    "brightness_action",
    "clip_peaks",
    "column_windows",
    "clip_views",
    "color_jitter",
    "drop_tokens",
    "crop_action",
    "crop_images",
    "crop_time",
    "erase",
    "flip",
    "grayscale",
    "hue_action",
    "image_views",
    "jitter",
    "lose_band",
    "mask_cells",
    "mask_tokens",
    "mask_frequencies",
    "mask_time",
    "original",
    "overlapping_crops",
    "permute_time",
    "quarter_turns",
    "random_run",
    "random_spans",
    "random_chunk",
    "random_slice",
    "rescale",
    "resized_crop",
    "reverberate",
    "rotation_action",
    "rotate",
    "series_views",
    "shift",
    "solarize",
    "swap_action",
    "swap_cells",
    "swap_columns",
]
