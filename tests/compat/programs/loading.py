# Datasets, samplers and loaders, and what they refuse.
import numpy as np
import torch
from torch.utils.data import (
    BatchSampler,
    ConcatDataset,
    DataLoader,
    Dataset,
    IterableDataset,
    RandomSampler,
    SequentialSampler,
    Subset,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
    default_collate,
    random_split,
)

torch.manual_seed(0)


class Toy(Dataset):
    def __init__(self, n, transform=None):
        self.n, self.transform = n, transform

    def __len__(self):
        return self.n

    def __getitem__(self, i):
        s = {"x": np.array([i, i * i], dtype=np.float32), "y": i % 3, "name": f"s{i}", "w": float(i) / 2}
        if self.transform:
            s = self.transform(s)
        return s


class ToTensor:
    def __call__(self, s):
        return {**s, "x": torch.from_numpy(s["x"])}


ds = Toy(7, ToTensor())
for b in DataLoader(ds, batch_size=3):
    print(b)
for b in DataLoader(ds, batch_size=3, shuffle=True, drop_last=True):
    print(b["name"], b["y"], b["w"].dtype)
g = torch.Generator().manual_seed(5)
print([b["y"].tolist() for b in DataLoader(ds, 2, shuffle=True, generator=g)])


def pad(batch):
    m = max(len(s) for s in batch)
    out = torch.full((len(batch), m), -1)
    for i, s in enumerate(batch):
        out[i, : len(s)] = torch.as_tensor(s)
    return out, torch.tensor([len(s) for s in batch])


seqs = [[1], [1, 2, 3], [4, 5], [6, 7, 8, 9]]
for x, l in DataLoader(seqs, batch_size=2, collate_fn=pad):
    print(x, l)
w = WeightedRandomSampler([0.1, 0.1, 0.8], 10, replacement=True)
print(list(w), len(w))
print(
    list(SubsetRandomSampler([3, 5, 9])),
    list(RandomSampler(range(5))),
    list(BatchSampler(SequentialSampler(range(7)), 3, False)),
)
print(
    [
        b.tolist()
        for b in DataLoader(torch.arange(6), sampler=SubsetRandomSampler(range(0, 6, 2)), batch_size=2)
    ]
)
print([b.tolist() for b in DataLoader(torch.arange(6), batch_sampler=[[0, 5], [1]])])
a, b, c = random_split(range(10), [5, 3, 2])
print(list(a), list(b), list(c))
print([len(s) for s in random_split(range(10), [0.33, 0.33, 0.34])])
cd = ConcatDataset([Toy(2), Toy(3)])
print(len(cd), cd[3]["name"], cd.cumulative_sizes)
sub = Subset(Toy(5), [4, 0])
print(len(sub), sub[0]["name"], isinstance(sub, Dataset))


class Stream(IterableDataset):
    def __iter__(self):
        return iter(range(5))


dl = DataLoader(Stream(), batch_size=2)
print(list(dl))
td = TensorDataset(torch.arange(8.0).view(4, 2), torch.arange(4))
print(td[1], td[1:3], len(td))
loader = DataLoader(td, batch_size=3, num_workers=0, pin_memory=False)
print(len(loader), loader.batch_size, len(loader.dataset))
it = iter(loader)
x, y = next(it)
print(x.shape, y)
next(it)
try:
    next(it)
except StopIteration:
    print("stop")
print(
    default_collate([(1, 2.0), (3, 4.0)]),
    default_collate(["a", "b"]),
    default_collate([np.float64(2), np.float64(3)]),
)
for bad in [
    lambda: DataLoader(td, batch_size=2, batch_sampler=[[0]]),
    lambda: DataLoader(td, shuffle=True, sampler=SequentialSampler(td)),
    lambda: random_split(range(3), [1, 1]),
    lambda: len(DataLoader(Stream())),
    lambda: TensorDataset(torch.ones(2), torch.ones(3)),
    lambda: next(iter(DataLoader([torch.ones(2), torch.ones(3)], 2))),
    lambda: DataLoader(td, batch_size=0),
    lambda: default_collate([object()]),
]:
    try:
        print(bad())
    except Exception as e:
        print(str(e).split("\n")[0])
torch.manual_seed(1)
print(list(DataLoader(range(6), shuffle=True, batch_size=None)))
ei = enumerate(DataLoader(list(zip(range(4), "abcd")), 2))
print(list(ei))
