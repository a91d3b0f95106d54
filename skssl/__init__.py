"""Self-supervised learning as scikit-learn transformers.

Names are loaded when they are first used: ``import skssl`` itself costs next to nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0.dev0"

__all__ = [
    "BYOL",
    "BiGAN",
    "CPC",
    "BarlowTwins",
    "BinningPretext",
    "CoLES",
    "Colorization",
    "ContextSSL",
    "DINO",
    "DenoisingAudio",
    "DenoisingAutoencoder",
    "EMPSSL",
    "EmbeddingDisplay",
    "EmbeddingOutlierDetector",
    "FineTunedClassifier",
    "FineTunedRegressor",
    "HiddenUnit",
    "ICL",
    "IJEPA",
    "InContextClassifier",
    "InContextImputer",
    "InContextRegressor",
    "Inpainting",
    "Jigsaw",
    "LFR",
    "LabelBudgetDisplay",
    "LeJEPA",
    "LossCurveDisplay",
    "MMCR",
    "MaskedAutoencoder",
    "MaskedLanguageModel",
    "MaskedSeries",
    "MaskedTable",
    "MembersDisplay",
    "MoCo",
    "MuLaw",
    "MultiTask",
    "NeuTraL",
    "NextStep",
    "NNCLR",
    "NextFrame",
    "NextFrameDisplay",
    "NextToken",
    "PhenotypeTransformer",
    "PretrainedClassifier",
    "PretrainedRegressor",
    "PrototypeClassifier",
    "ReconstructionDisplay",
    "ReconstructionOutlierDetector",
    "RotationPrediction",
    "SCARF",
    "SSGAN",
    "STUNT",
    "SimCLR",
    "SimSiam",
    "SubTab",
    "SwAV",
    "SwitchTab",
    "TextContrast",
    "TextTokenizer",
    "TS2Vec",
    "UnlabeledKFold",
    "VICReg",
    "VIME",
    "ViewsDisplay",
    "WMSE",
    "distill",
    "label_budget_report",
    "load",
    "save",
    "select_to_label",
    "to_bags",
    "to_onnx",
    "transform_to",
]

# Which of our modules to load for each of these names.
_HOMES = {
    "BYOL": "methods._byol",
    "BiGAN": "methods._bigan",
    "CPC": "methods._cpc",
    "BarlowTwins": "methods._barlow_twins",
    "BinningPretext": "methods._binning",
    "CoLES": "methods._coles",
    "Colorization": "methods._colorization",
    "ContextSSL": "methods._context_ssl",
    "DINO": "methods._dino",
    "DenoisingAudio": "methods._denoising_audio",
    "DenoisingAutoencoder": "methods._denoising",
    "EMPSSL": "methods._emp_ssl",
    "EmbeddingDisplay": "inspection",
    "EmbeddingOutlierDetector": "outliers",
    "FineTunedClassifier": "semi_supervised",
    "FineTunedRegressor": "semi_supervised",
    "HiddenUnit": "methods._hidden_unit",
    "ICL": "methods._icl",
    "IJEPA": "methods._ijepa",
    "InContextClassifier": "in_context",
    "InContextImputer": "in_context",
    "InContextRegressor": "in_context",
    "Inpainting": "methods._inpainting",
    "Jigsaw": "methods._jigsaw",
    "LFR": "methods._lfr",
    "LabelBudgetDisplay": "inspection",
    "LeJEPA": "methods._lejepa",
    "LossCurveDisplay": "inspection",
    "MMCR": "methods._mmcr",
    "MaskedAutoencoder": "methods._mae",
    "MaskedLanguageModel": "methods._masked_language_model",
    "MaskedSeries": "methods._masked_series",
    "MaskedTable": "methods._masked_table",
    "MembersDisplay": "inspection",
    "MoCo": "methods._moco",
    "MuLaw": "preprocessing",
    "MultiTask": "methods._multitask",
    "NeuTraL": "methods._neutral",
    "NextStep": "methods._next_step",
    "NNCLR": "methods._nnclr",
    "NextFrame": "methods._next_frame",
    "NextFrameDisplay": "inspection",
    "NextToken": "methods._next_token",
    "PhenotypeTransformer": "preprocessing",
    "PretrainedClassifier": "semi_supervised",
    "PretrainedRegressor": "semi_supervised",
    "PrototypeClassifier": "semi_supervised",
    "ReconstructionDisplay": "inspection",
    "ReconstructionOutlierDetector": "outliers",
    "RotationPrediction": "methods._rotation",
    "SCARF": "methods._scarf",
    "SSGAN": "methods._ssgan",
    "STUNT": "methods._stunt",
    "SimCLR": "methods._simclr",
    "SimSiam": "methods._simsiam",
    "SubTab": "methods._subtab",
    "SwAV": "methods._swav",
    "SwitchTab": "methods._switchtab",
    "TextContrast": "methods._text_contrast",
    "TextTokenizer": "preprocessing",
    "TS2Vec": "methods._ts2vec",
    "UnlabeledKFold": "model_selection",
    "VICReg": "methods._vicreg",
    "VIME": "methods._vime",
    "ViewsDisplay": "inspection",
    "WMSE": "methods._wmse",
    "distill": "semi_supervised",
    "label_budget_report": "evaluation",
    "load": "persistence",
    "save": "persistence",
    "select_to_label": "curation",
    "to_bags": "preprocessing",
    "to_onnx": "persistence",
    "transform_to": "persistence",
}

# Packages and modules that need no import of their own.
_ROOMS = {
    "base",
    "callbacks",
    "curation",
    "datasets",
    "encoders",
    "evaluation",
    "in_context",
    "inspection",
    "losses",
    "methods",
    "metrics",
    "model_selection",
    "outliers",
    "persistence",
    "preprocessing",
    "semi_supervised",
    "views",
}

if TYPE_CHECKING:  # the same names again, for type checkers and editors, which run no code
    from skssl import base as base
    from skssl import callbacks as callbacks
    from skssl import curation as curation
    from skssl import datasets as datasets
    from skssl import encoders as encoders
    from skssl import evaluation as evaluation
    from skssl import in_context as in_context
    from skssl import inspection as inspection
    from skssl import losses as losses
    from skssl import methods as methods
    from skssl import metrics as metrics
    from skssl import model_selection as model_selection
    from skssl import outliers as outliers
    from skssl import persistence as persistence
    from skssl import preprocessing as preprocessing
    from skssl import semi_supervised as semi_supervised
    from skssl import views as views
    from skssl.curation import select_to_label
    from skssl.evaluation import label_budget_report
    from skssl.in_context import InContextClassifier, InContextImputer, InContextRegressor
    from skssl.inspection import (
        EmbeddingDisplay,
        LabelBudgetDisplay,
        LossCurveDisplay,
        MembersDisplay,
        NextFrameDisplay,
        ReconstructionDisplay,
        ViewsDisplay,
    )
    from skssl.methods._barlow_twins import BarlowTwins
    from skssl.methods._bigan import BiGAN
    from skssl.methods._binning import BinningPretext
    from skssl.methods._byol import BYOL
    from skssl.methods._coles import CoLES
    from skssl.methods._colorization import Colorization
    from skssl.methods._context_ssl import ContextSSL
    from skssl.methods._cpc import CPC
    from skssl.methods._denoising import DenoisingAutoencoder
    from skssl.methods._denoising_audio import DenoisingAudio
    from skssl.methods._dino import DINO
    from skssl.methods._emp_ssl import EMPSSL
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
    from skssl.methods._mmcr import MMCR
    from skssl.methods._moco import MoCo
    from skssl.methods._multitask import MultiTask
    from skssl.methods._neutral import NeuTraL
    from skssl.methods._next_frame import NextFrame
    from skssl.methods._next_step import NextStep
    from skssl.methods._next_token import NextToken
    from skssl.methods._nnclr import NNCLR
    from skssl.methods._rotation import RotationPrediction
    from skssl.methods._scarf import SCARF
    from skssl.methods._simclr import SimCLR
    from skssl.methods._simsiam import SimSiam
    from skssl.methods._ssgan import SSGAN
    from skssl.methods._stunt import STUNT
    from skssl.methods._subtab import SubTab
    from skssl.methods._swav import SwAV
    from skssl.methods._switchtab import SwitchTab
    from skssl.methods._text_contrast import TextContrast
    from skssl.methods._ts2vec import TS2Vec
    from skssl.methods._vicreg import VICReg
    from skssl.methods._vime import VIME
    from skssl.methods._wmse import WMSE
    from skssl.model_selection import UnlabeledKFold
    from skssl.outliers import EmbeddingOutlierDetector, ReconstructionOutlierDetector
    from skssl.persistence import load, save, to_onnx, transform_to
    from skssl.preprocessing import MuLaw, PhenotypeTransformer, TextTokenizer, to_bags
    from skssl.semi_supervised import (
        FineTunedClassifier,
        FineTunedRegressor,
        PretrainedClassifier,
        PretrainedRegressor,
        PrototypeClassifier,
        distill,
    )

else:  # unseen by type checkers, so that they report a name that is not there

    def __getattr__(name: str) -> Any:
        """Load a public name or package when it is first used (PEP 562)."""
        if name in _ROOMS:
            return import_module(f"skssl.{name}")
        if name not in _HOMES:
            raise AttributeError(f"module 'skssl' has no attribute {name!r}")
        found = getattr(import_module(f"skssl.{_HOMES[name]}"), name)
        globals()[name] = found  # later uses do not come here
        return found


def __dir__() -> list[str]:
    """List what can be completed: every public name, loaded or not."""
    return sorted({*globals(), *__all__, *_ROOMS})
