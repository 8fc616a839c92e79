"""pullback.optim: optimizers under torch's names."""

from pullback import _on_demand
from pullback.optim import optimizer
from pullback.optim.adam import Adam, AdamW
from pullback.optim.optimizer import Optimizer
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

__getattr__, __dir__ = _on_demand.parts(
    __name__,
    modules=("lr_scheduler",),
    names={
        "adaptive": ("Adadelta", "Adagrad", "RMSprop"),
        "lbfgs": ("LBFGS",),
        "moments": ("Adamax", "NAdam", "RAdam"),
        "rprop": ("ASGD", "Rprop"),
    },
)
