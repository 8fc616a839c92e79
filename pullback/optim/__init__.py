"""pullback.optim: optimizers under torch's names."""

from pullback.optim import lr_scheduler, optimizer
from pullback.optim.adam import Adam, AdamW
from pullback.optim.adaptive import Adadelta, Adagrad, RMSprop
from pullback.optim.lbfgs import LBFGS
from pullback.optim.moments import Adamax, NAdam, RAdam
from pullback.optim.optimizer import Optimizer
from pullback.optim.rprop import ASGD, Rprop
from pullback.optim.sgd import SGD

__all__ = [
    "ASGD",
    "LBFGS",
    "SGD",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "NAdam",
    "Optimizer",
    "RAdam",
    "RMSprop",
    "Rprop",
    "lr_scheduler",
    "optimizer",
]
