// Elements at positions held in tensors: gather and scatter, indexing by tensors, take and put.
#include <numeric>
#include <optional>
#include <vector>

#include "core/shape.h"
#include "kernels/copy.h"
#include "ops/common.h"
#include "ops/tables.h"

namespace pb {
namespace {

void push_copy_of(const Meta& m, Metas& out) { out.push_back(Meta::contiguous(m.dtype, m.shape())); }

// --- gather and scatter. A tensor without axes counts as one of a single element.

int at_least_one(const Meta& m) { return m.ndim ? m.ndim : 1; }
int64_t size_at(const Meta& m, int axis) { return m.ndim ? m.size(axis) : 1; }

void check_index_type(const char* op, const Meta& index) {
  if (is_index_type(index.dtype) || index.numel == 0) return;
  fail(ErrorKind::Dtype, op, "(): Expected dtype int32/int64 for index\nThe index is ",
       info(index.dtype).name, "; convert it with .long().");
}

void check_same_ndim(const Meta& self, const Meta& other, const char* what, const char* self_name) {
  if (at_least_one(self) == at_least_one(other)) return;
  fail(ErrorKind::Shape, what, " tensor must have the same number of dimensions as ", self_name,
       " tensor\nIt has ", int{other.ndim}, ", the tensor has ", int{self.ndim}, ".");
}

void infer_gather(std::span<const Operand> in, Ints ints, Metas& out) {
  const Meta &self = *in[0].meta, &index = *in[1].meta;
  const int dim = wrap_axis(ints.next(), self.ndim);
  check_index_type("gather", index);
  require_storage("gather_out_cpu", self.dtype);
  if (index.numel != 0) {
    check_same_ndim(self, index, "Index", "input");
    for (int a = 0; a < at_least_one(self); ++a) {
      if (a == dim || size_at(index, a) <= size_at(self, a)) continue;
      fail(ErrorKind::Shape, "Size does not match at dimension ", a, " expected index ",
           shape_text(index.shape()), " to be no larger than self ", shape_text(self.shape()),
           " apart from dimension ", dim);
    }
  }
  out.push_back(Meta::contiguous(self.dtype, index.shape()));
}

void run_gather(const KernelCall& c) {
  if (c.out[0].meta->numel == 0) return;
  const int dim = wrap_axis(Ints(c.ints).next(), c.in[0].meta->ndim);
  IndexFault fault;
  {
    GilRelease unlocked(is_long(c.out[0].meta->numel));
    const Ready index = long_index(c.in[1]);
    const AtLeastOne self(c.in[0].view()), at(index.view()), out(c.out[0].view());
    fault = gather(self.view, dim, at.view, out.view);
  }
  check_fault(fault, ErrorKind::Runtime);
}

// `src` is null where a number is scattered.
void check_scatter(const Meta& self, int dim, const Meta& index, const Meta* src) {
  check_index_type("scatter", index);
  require_storage("scatter_cpu", self.dtype);
  if (src && src->dtype != self.dtype) {
    fail(ErrorKind::Dtype, "scatter(): Expected self.dtype to be equal to src.dtype\nThey are ",
         info(self.dtype).name, " and ", info(src->dtype).name, "; convert src with .to(self.dtype).");
  }
  if (index.numel == 0) return;
  check_same_ndim(self, index, "Index", "self");
  bool fits = true;
  for (int a = 0; a < at_least_one(self) && fits; ++a)
    fits = a == dim || size_at(index, a) <= size_at(self, a);
  for (int a = 0; src && a < at_least_one(self) && fits; ++a) {
    if (src->ndim) wrap_axis(a, src->ndim);  // torch asks src for the size of an axis that it may not have
    fits = size_at(index, a) <= size_at(*src, a);
  }
  if (src) check_same_ndim(*src, index, "Index", "src");
  if (fits) return;
  fail(ErrorKind::Shape, "Expected index ", shape_text(index.shape()), " to be no larger than self ",
       shape_text(self.shape()), " apart from dimension ", dim,
       src ? " and to be no larger size than src " + shape_text(src->shape()) : std::string());
}

template <bool kNumber> void infer_scatter(std::span<const Operand> in, Ints ints, Metas& out) {
  const Meta& self = *in[0].meta;
  const int dim = wrap_axis(ints.next(), self.ndim);
  check_scatter(self, dim, *in[1].meta, kNumber ? nullptr : in[2].meta);
  push_copy_of(self, out);
}

struct ScatterHow {
  Combine combine;
  bool include_self;
};

void run_scatter_how(const KernelCall& c, const View* src, const void* number, ScatterHow how) {
  const int dim = wrap_axis(Ints(c.ints).next(), c.in[0].meta->ndim);
  IndexFault fault;
  {
    GilRelease unlocked(is_long(c.out[0].meta->numel + c.in[1].meta->numel));
    const Ready index = long_index(c.in[1]);
    start_as(c.out[0], c.in[0]);
    const AtLeastOne self(c.out[0].view()), at(index.view());
    if (c.in[1].meta->numel == 0) return;
    if (src) fault = scatter(self.view, dim, at.view, AtLeastOne(*src).view, how.combine, how.include_self);
    else fault = scatter_fill(self.view, dim, at.view, number);
  }
  check_fault(fault, ErrorKind::Runtime);
}

template <Combine kCombine> void run_scatter(const KernelCall& c) {
  const View src = c.in[2].view();
  run_scatter_how(c, &src, nullptr, {kCombine, true});
}

void run_scatter_value(const KernelCall& c) {
  alignas(8) char number[8];
  store_scalar(c.scalars[0], c.out[0].meta->dtype, number);
  run_scatter_how(c, nullptr, number, {Combine::Set, true});
}

void run_scatter_reduce(const KernelCall& c) {
  static constexpr Combine kHow[] = {Combine::Add, Combine::Prod, Combine::Mean, Combine::Amax,
                                     Combine::Amin};
  Ints ints(c.ints);
  ints.next();
  const Combine how = kHow[ints.next()];
  const View src = c.in[2].view();
  run_scatter_how(c, &src, nullptr, {how, ints.flag()});
}

// --- Indexing by tensors

// The index tensors by axis of self, what they broadcast to, and where the next operand is.
struct IndexList {
  std::vector<const Meta*> by_axis;
  std::vector<size_t> operand;  // of each axis that has one
  Dims shape;
  size_t next = 1;
  bool any() const { return next > 1; }
};

template <class At> IndexList read_indices(Ints& ints, At&& meta_at) {
  IndexList list;
  const int64_t count = ints.next();
  for (int64_t a = 0; a < count; ++a) {
    const bool given = ints.flag();
    list.operand.push_back(given ? list.next : 0);
    list.by_axis.push_back(given ? meta_at(list.next++) : nullptr);
  }
  bool fits = true;
  for (const Meta* m : list.by_axis)
    if (m && fits) fits = broadcast_into(list.shape, m->shape());
  if (fits) return list;
  std::string shapes;
  for (const Meta* m : list.by_axis)
    if (m) shapes += (shapes.empty() ? "" : ", ") + shape_text(m->shape());
  fail(ErrorKind::Index, "shape mismatch: indexing tensors could not be broadcast together with shapes ",
       shapes, "\nIndex tensors are paired element by element; reshape them to select a grid.");
}

IndexPlan plan_of(const Meta& self, const IndexList& list) {
  bool taken[kMaxDims] = {};
  for (size_t a = 0; a < list.by_axis.size(); ++a) taken[a] = list.by_axis[a] != nullptr;
  return plan_index(self.shape(), {taken, list.by_axis.size()}, list.shape);
}

IndexList check_indices_of(const Meta& self, std::span<const Operand> in, Ints& ints) {
  IndexList list = read_indices(ints, [&](size_t k) { return in[k].meta; });
  require_storage("index_cpu", self.dtype);
  for (const Meta* m : list.by_axis) {
    if (!m || is_index_type(m->dtype)) continue;
    fail(ErrorKind::Index,
         "tensors used as indices must be long, int, byte or bool tensors\nGot one of type ",
         info(m->dtype).name, "; convert it with .long().");
  }
  if (list.by_axis.size() > self.ndim) {
    fail(ErrorKind::Index, "too many indices for tensor of dimension ", int{self.ndim}, " (got ",
         list.by_axis.size(), ")");
  }
  return list;
}

void infer_index(std::span<const Operand> in, Ints ints, Metas& out) {
  const Meta& self = *in[0].meta;
  const IndexList list = check_indices_of(self, in, ints);
  if (!list.any()) return push_copy_of(self, out);
  const IndexPlan plan = plan_of(self, list);
  out.push_back(Meta::contiguous(self.dtype, plan.shape));
}

// The index tensors as int64 over their common shape.
struct IndexViews {
  std::vector<Ready> ready;
  std::vector<Dims> strides;
  std::vector<std::optional<View>> views;

  IndexViews(const KernelCall& c, const IndexList& list) : views(list.by_axis.size()) {
    ready.reserve(views.size());
    strides.reserve(views.size());
    for (size_t a = 0; a < views.size(); ++a) {
      if (!list.by_axis[a]) continue;
      ready.push_back(long_index(c.in[list.operand[a]]));
      const View& v = ready.back().view();
      Dims& s = strides.emplace_back();
      s.n = list.shape.n;
      const int shift = s.n - v.ndim;
      for (int k = 0; k < s.n; ++k) s[k] = k < shift || v.shape[k - shift] == 1 ? 0 : v.strides[k - shift];
      views[a] = View{v.data, DType::Int64, s.n, list.shape.v, s.v};
    }
  }
};

// torch counts the index tensors, not the axes.
void check_list_fault(const IndexFault& fault, const IndexList& list) {
  if (!fault) return;
  IndexFault counted = fault;
  counted.axis = 0;
  for (int a = 0; a < fault.axis; ++a) counted.axis += list.by_axis[static_cast<size_t>(a)] != nullptr;
  check_fault(counted, ErrorKind::Index);
}

void run_index(const KernelCall& c) {
  Ints ints(c.ints);
  const IndexList list = read_indices(ints, [&](size_t k) { return c.in[k].meta; });
  IndexFault fault;
  {
    GilRelease unlocked(is_long(c.out[0].meta->numel));
    if (!list.any()) return strided_copy(c.out[0].view(), c.in[0].view());
    const IndexViews indices(c, list);
    fault = index(c.in[0].view(), indices.views, c.out[0].view());
  }
  check_list_fault(fault, list);
}

void infer_index_put(std::span<const Operand> in, Ints ints, Metas& out) {
  const Meta& self = *in[0].meta;
  const IndexList list = check_indices_of(self, in, ints);
  const Meta& values = *in[list.next].meta;
  std::vector<int64_t> target(self.shape().begin(), self.shape().end());
  if (list.any()) target = plan_of(self, list).shape;
  const int shift = static_cast<int>(target.size()) - values.ndim;
  bool fits = true;
  for (int a = 0; a < values.ndim; ++a)
    if (values.size(a) != 1)
      fits &= a + shift >= 0 && target[static_cast<size_t>(a + shift)] == values.size(a);
  if (!fits) {
    fail(ErrorKind::Shape, "shape mismatch: value tensor of shape ", shape_text(values.shape()),
         " cannot be broadcast to indexing result of shape ", shape_text(target));
  }
  if (values.dtype != self.dtype) {
    fail(ErrorKind::Dtype, "Index put requires the source and destination dtypes match, got ",
         type_name(self.dtype), " for the destination and ", type_name(values.dtype),
         " for the source.\nConvert the values with .to(destination.dtype).");
  }
  push_copy_of(self, out);
}

// Without any index tensor all of self is meant: every position of its first axis, in order.
void put_everywhere(const View& self, const View& values, bool accumulate) {
  const AtLeastOne all(self);
  std::vector<int64_t> positions(static_cast<size_t>(all.view.shape[0]));
  std::iota(positions.begin(), positions.end(), int64_t{0});
  const int64_t one = 1;
  const std::optional<View> first[1] = {View{positions.data(), DType::Int64, 1, all.view.shape, &one}};
  index_put(all.view, first, values, accumulate);
}

void run_index_put(const KernelCall& c) {
  Ints ints(c.ints);
  const IndexList list = read_indices(ints, [&](size_t k) { return c.in[k].meta; });
  const bool accumulate = ints.flag();
  const View values = c.in[list.next].view(), out = c.out[0].view();
  IndexFault fault;
  {
    GilRelease unlocked(is_long(c.out[0].meta->numel));
    start_as(c.out[0], c.in[0]);
    if (!list.any()) return put_everywhere(out, values, accumulate);
    const IndexViews indices(c, list);
    fault = index_put(out, indices.views, values, accumulate);
  }
  check_list_fault(fault, list);
}

// --- take and put: positions in the flattened tensor

void check_long_index(const char* op, const Meta& index) {
  if (index.dtype == DType::Int64) return;
  fail(ErrorKind::Dtype, op, "(): Expected a long tensor for index, but got ", type_name(index.dtype),
       "\nConvert it with .long().");
}

void check_flat_fault(const IndexFault& fault) {
  if (!fault) return;
  fail(ErrorKind::Index, "out of range: tried to access index ", fault.index, " on a tensor of ", fault.size,
       " elements.\nThe tensor counts as flat here.");
}

void infer_take(std::span<const Operand> in, Ints, Metas& out) {
  const Meta &self = *in[0].meta, &index = *in[1].meta;
  check_long_index("take", index);
  require_storage("take_cpu", self.dtype);
  if (self.numel == 0 && index.numel != 0) {
    fail(ErrorKind::Index, "take(): tried to take from an empty tensor\n", index.numel,
         " elements were asked for.");
  }
  out.push_back(Meta::contiguous(self.dtype, index.shape()));
}

void run_take(const KernelCall& c) {
  IndexFault fault;
  {
    GilRelease unlocked(is_long(c.out[0].meta->numel));
    fault = take(c.in[0].view(), c.in[1].view(), c.out[0].view());
  }
  check_flat_fault(fault);
}

void infer_put(std::span<const Operand> in, Ints, Metas& out) {
  const Meta &self = *in[0].meta, &index = *in[1].meta, &source = *in[2].meta;
  check_long_index("put_", index);
  require_storage("put_cpu", self.dtype);
  if (self.dtype != source.dtype) {
    fail(ErrorKind::Dtype, "put_(): self and source expected to have the same dtype, but got self.dtype = ",
         type_name(self.dtype), " and source.dtype = ", type_name(source.dtype),
         "\nConvert the source with .to(self.dtype).");
  }
  if (source.numel != index.numel) {
    fail(ErrorKind::Index, "put_(): Expected source and index to have the same number of elements, but got ",
         "source.numel() = ", source.numel, ", index.numel() = ", index.numel);
  }
  push_copy_of(self, out);
}

void run_put(const KernelCall& c) {
  IndexFault fault;
  {
    GilRelease unlocked(is_long(c.out[0].meta->numel));
    start_as(c.out[0], c.in[0]);
    fault = put(c.out[0].view(), c.in[1].view(), c.in[2].view(), Ints(c.ints).flag());
  }
  check_flat_fault(fault);
}

}  // namespace

std::span<const KernelRow> indexing_rows() {
  static constexpr KernelRow kRows[] = {
      {"gather", infer_gather, run_gather, false},
      changing_first("scatter", infer_scatter<false>, run_scatter<Combine::Set>),
      changing_first("scatter_value", infer_scatter<true>, run_scatter_value),
      changing_first("scatter_add", infer_scatter<false>, run_scatter<Combine::Add>),
      changing_first("scatter_reduce", infer_scatter<false>, run_scatter_reduce),
      {"index", infer_index, run_index, false},
      changing_first("index_put", infer_index_put, run_index_put),
      {"take", infer_take, run_take, false},
      changing_first("put", infer_put, run_put),
  };
  return kRows;
}

}  // namespace pb
