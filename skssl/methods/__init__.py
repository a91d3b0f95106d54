"""Self-supervised methods, one file each."""

from skssl.methods._barlow_twins import BarlowTwins
from skssl.methods._binning import BinningPretext
from skssl.methods._byol import BYOL
from skssl.methods._coles import CoLES
from skssl.methods._colorization import Colorization
from skssl.methods._cpc import CPC
from skssl.methods._denoising import DenoisingAutoencoder
from skssl.methods._denoising_audio import DenoisingAudio
from skssl.methods._dino import DINO
from skssl.methods._hidden_unit import HiddenUnit
from skssl.methods._icl import ICL
from skssl.methods._ijepa import IJEPA
from skssl.methods._inpainting import Inpainting
from skssl.methods._jigsaw import Jigsaw
from skssl.methods._lejepa import LeJEPA
from skssl.methods._lfr import LFR
from skssl.methods._mae import MaskedAutoencoder
from skssl.methods._masked_language_model import MaskedLanguageModel
from skssl.methods._masked_series import MaskedSeries
from skssl.methods._masked_table import MaskedTable
from skssl.methods._moco import MoCo
from skssl.methods._multitask import MultiTask
from skssl.methods._neutral import NeuTraL
from skssl.methods._next_frame import NextFrame
from skssl.methods._next_step import NextStep
from skssl.methods._next_token import NextToken
from skssl.methods._nnclr import NNCLR
from skssl.methods._projections import average, mean_over_pairs, projections, targets_and_views
from skssl.methods._rotation import RotationPrediction
from skssl.methods._scarf import SCARF
from skssl.methods._simclr import SimCLR
from skssl.methods._simsiam import SimSiam
from skssl.methods._stunt import STUNT
from skssl.methods._subtab import SubTab
from skssl.methods._swav import SwAV
from skssl.methods._switchtab import SwitchTab
from skssl.methods._teachers import Queue, follow, rising, teacher_of
from skssl.methods._text_contrast import TextContrast
from skssl.methods._ts2vec import TS2Vec
from skssl.methods._vicreg import VICReg
from skssl.methods._vime import VIME
from skssl.methods._wmse import WMSE

__all__ = [
    "BYOL",
    "CPC",
    "DINO",
    "ICL",
    "IJEPA",
    "LFR",
    "NNCLR",
    "SCARF",
    "STUNT",
    "VIME",
    "WMSE",
    "BarlowTwins",
    "BinningPretext",
    "CoLES",
    "Colorization",
    "DenoisingAudio",
    "DenoisingAutoencoder",
    "HiddenUnit",
    "Inpainting",
    "Jigsaw",
    "LeJEPA",
    "MaskedAutoencoder",
    "MaskedLanguageModel",
    "MaskedSeries",
    "MaskedTable",
    "MoCo",
    "MultiTask",
    "NeuTraL",
    "NextFrame",
    "NextToken",
    "NextStep",
    "Queue",
    "RotationPrediction",
    "SimCLR",
    "SimSiam",
    "SubTab",
    "SwAV",
    "SwitchTab",
    "TextContrast",
    "TS2Vec",
    "VICReg",
    "follow",
    "mean_over_pairs",
    "projections",
    "rising",
    "targets_and_views",
    "teacher_of",
    "average",
]
