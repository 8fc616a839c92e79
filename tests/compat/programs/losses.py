# Losses, built in and written out, on random numbers of a fixed seed.
import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(3)
scores, classes = torch.randn(6, 4, requires_grad=True), torch.randint(0, 4, (6,))
a, b = torch.rand(5), torch.rand(5)
print(scores)
print(classes)
for reduction in ("mean", "sum", "none"):
    print(F.cross_entropy(scores, classes, reduction=reduction))
print(nn.CrossEntropyLoss(label_smoothing=0.1, weight=torch.tensor([1.0, 2.0, 0.5, 1.0]))(scores, classes))
print(nn.NLLLoss(ignore_index=2)(F.log_softmax(scores, dim=1), classes))
print(nn.MSELoss()(a, b), nn.L1Loss()(a, b), nn.SmoothL1Loss()(a, b), nn.HuberLoss()(a, b))
print(nn.BCELoss()(torch.sigmoid(a), b), nn.BCEWithLogitsLoss(pos_weight=torch.tensor(2.0))(a, b))
loss = -torch.log(F.softmax(scores, dim=1).gather(1, classes.view(-1, 1))).mean()
loss.backward()
print(loss)
print(scores.grad)
