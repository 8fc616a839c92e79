"""pullback.optim: optimizers under torch's names."""

from pullback.optim import lr_scheduler, optimizer
from pullback.optim.adam import Adam, AdamW
from pullback.optim.optimizer import Optimizer
from pullback.optim.sgd import SGD

__all__ = ["SGD", "Adam", "AdamW", "Optimizer", "lr_scheduler", "optimizer"]
