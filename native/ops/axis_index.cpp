// Slices along one axis at positions held in a tensor, look-up tables, masks, one-hot rows.
#include "core/shape.h"
#include "kernels/copy.h"
#include "ops/common.h"
#include "ops/tables.h"

namespace pb {
namespace {

void push_copy_of(const Meta& m, Metas& out) { out.push_back(Meta::contiguous(m.dtype, m.shape())); }

int64_t size_at(const Meta& m, int axis) { return m.ndim ? m.size(axis) : 1; }

// The shape without one axis.
Dims slice_shape(const Meta& m, int dim) {
  Dims shape(m.shape());
  if (m.ndim) shape.erase(dim);
  return shape;
}

[[noreturn]] void fail_out_of_range(const IndexFault& fault) {
  fail(ErrorKind::Index, "index out of range in self\nIndex ", fault.index, " for an axis of size ",
       fault.size, ".");
}

// --- index_select

void infer_index_select(std::span<const Operand> in, Ints ints, Metas& out) {
  const Meta &self = *in[0].meta, &index = *in[1].meta;
  const int dim = wrap_axis(ints.next(), self.ndim);
  if (index.ndim > 1) {
    fail(ErrorKind::Index, "index_select(): Index is supposed to be a vector\nIt has the shape ",
         shape_text(index.shape()), ".");
  }
  if (self.ndim == 0 && index.numel != 1) {
    fail(ErrorKind::Runtime, "index_select(): Index to scalar can have only 1 value, got ", index.numel,
         " value(s)");
  }
  if (!is_index_type(index.dtype)) {
    fail(ErrorKind::Dtype, "index_select(): Expected dtype int32 or int64 for index\nIt is ",
         info(index.dtype).name, "; convert it with .long().");
  }
  require_storage("index_select_cpu", self.dtype);
  Dims shape(self.shape());
  if (self.ndim) shape[dim] = index.numel;
  out.push_back(Meta::contiguous(self.dtype, shape));
}

void run_index_select(const KernelCall& c) {
  const int dim = wrap_axis(Ints(c.ints).next(), c.in[0].meta->ndim);
  IndexFault fault;
  {
    GilRelease unlocked(is_long(c.out[0].meta->numel));
    const Ready index = long_index(c.in[1]);
    fault = index_select(c.in[0].view(), dim, index.view(), c.out[0].view());
  }
  if (!fault) return;
  if (dim == 1) {  // torch has another way through the data for this axis, and other words there
    fail(ErrorKind::Runtime, "INDICES element is out of DATA bounds, id=", fault.index,
         " axis_dim=", fault.size, "\nIndex ", fault.index, " for an axis of size ", fault.size, ".");
  }
  fail_out_of_range(fault);
}

// --- index_add, index_copy, index_fill

void infer_index_add(std::span<const Operand> in, Ints ints, Metas& out) {
  const Meta &self = *in[0].meta, &index = *in[1].meta, &source = *in[2].meta;
  const int dim = wrap_axis(ints.next(), self.ndim);
  if (index.ndim > 1) {
    fail(ErrorKind::Index, "index_add_(): Index is supposed to be a vector, but got dim: ", int{index.ndim},
         " with type: ", type_name(index.dtype), " and size: ", shape_text(index.shape()));
  }
  if (!is_index_type(index.dtype)) {
    fail(ErrorKind::Dtype,
         "index_add_(): Expected dtype int32/int64 for index but got: ", type_name(index.dtype),
         "\nConvert it with .long().");
  }
  if (self.dtype != source.dtype) {
    fail(ErrorKind::Dtype, "index_add_(): self (", type_name(self.dtype), ") and source (",
         type_name(source.dtype),
         ") must have the same scalar type\nConvert the source with .to(self.dtype).");
  }
  if (dim != 0 && dim >= source.ndim) {
    fail(ErrorKind::Shape, "index_add_(): Indexing dim ", dim,
         " is out of bounds of the source tensor with dim ", int{source.ndim},
         "\nThe source has as many dimensions as the tensor.");
  }
  if (index.numel != size_at(source, dim)) {
    if (!source.ndim) fail(ErrorKind::Index, "Dimension specified as 0 but tensor has no dimensions");
    fail(ErrorKind::Shape, "index_add_(): Number of indices (", index.numel,
         ") should be equal to source.size(dim): (", size_at(source, dim), "), for dim: ", dim);
  }
  if (self.ndim != source.ndim || !(slice_shape(self, dim) == slice_shape(source, dim))) {
    fail(ErrorKind::Shape,
         "source tensor shape must match self tensor shape, excluding the specified dimension. ",
         "Got self.shape = ", shape_text(self.shape()), " source.shape = ", shape_text(source.shape()));
  }
  require_storage("index_add_cpu_", self.dtype);
  push_copy_of(self, out);
}

void run_index_add(const KernelCall& c) {
  const int dim = wrap_axis(Ints(c.ints).next(), c.in[0].meta->ndim);
  alignas(8) char alpha[8];
  store_scalar(c.scalars[0], c.out[0].meta->dtype, alpha);
  IndexFault fault;
  {
    GilRelease unlocked(is_long(c.out[0].meta->numel));
    start_as(c.out[0], c.in[0]);
    const Ready index = long_index(c.in[1]);
    fault = index_add(c.out[0].view(), dim, index.view(), c.in[2].view(), alpha);
  }
  // torch reports the same mistake in two ways, according to the way that it takes through the data.
  const int ndim = c.in[0].meta->ndim;
  if (fault && (ndim <= 1 || c.scalars[0].as_double() != 1)) fail_out_of_range(fault);
  check_fault(fault, ErrorKind::Runtime);
}

std::string spaced(const Dims& sizes) {
  std::string text;
  for (int a = 0; a < sizes.n; ++a) text += (a ? " " : "") + std::to_string(sizes[a]);
  return text;
}

void check_index_copy_shapes(const Meta& self, const Meta& source, int dim) {
  const Dims to = slice_shape(self, dim), from = slice_shape(source, dim);
  if (to == from) return;
  fail(ErrorKind::Shape, "index_copy_(): Source/destination tensor must have same slice shapes. ",
       "Destination slice shape: ", spaced(to), " at dimension ", dim,
       " and source slice shape: ", spaced(from), " at dimension 0.");
}

void infer_index_copy(std::span<const Operand> in, Ints ints, Metas& out) {
  const Meta &self = *in[0].meta, &index = *in[1].meta, &source = *in[2].meta;
  const int dim = wrap_axis(ints.next(), self.ndim);
  if (index.ndim > 1) {
    fail(ErrorKind::Index, "index_copy_(): Index should have dimension 1 or 0 (got ", int{index.ndim}, ")");
  }
  if (source.ndim == 0 && index.numel != 1) {
    fail(ErrorKind::Index, "index_copy_(): When source is scalar, index should have one element (got ",
         index.numel, ")");
  }
  if (source.ndim != self.ndim && source.ndim != 0 && self.ndim != 0) {
    fail(ErrorKind::Index,
         "index_copy_(): When source and destination are not scalars, their dimensionality must ",
         "match. Source dimensionality (", int{source.ndim}, "), destination dimensionality (",
         int{self.ndim}, ")");
  }
  if (index.dtype != DType::Int64) {
    fail(ErrorKind::Dtype, "index_copy_(): Expected a long tensor for index, but got ",
         type_name(index.dtype), "\nConvert it with .long().");
  }
  if (self.dtype != source.dtype) {
    fail(ErrorKind::Dtype, "index_copy_(): self and source expected to have the same dtype, but got (self) ",
         type_name(self.dtype), " and (source) ", type_name(source.dtype),
         "\nConvert the source with .to(self.dtype).");
  }
  check_index_copy_shapes(self, source, dim);
  const int64_t given = size_at(source, dim);
  if (index.numel != given) {
    fail(ErrorKind::Index, "index_copy_(): Number of indices (", index.numel,
         ") should be equal to source.size(dim) (", given, ")");
  }
  require_storage("index_copy_cpu", self.dtype);
  push_copy_of(self, out);
}

void run_index_copy(const KernelCall& c) {
  const int dim = wrap_axis(Ints(c.ints).next(), c.in[0].meta->ndim);
  IndexFault fault;
  {
    GilRelease unlocked(is_long(c.out[0].meta->numel));
    start_as(c.out[0], c.in[0]);
    const AtLeastOne self(c.out[0].view()), source(c.in[2].view());
    fault = index_copy(self.view, dim, c.in[1].view(), source.view);
  }
  check_fault(fault, ErrorKind::Index, "index_copy_(): ");
}

void infer_index_fill(std::span<const Operand> in, Ints ints, Metas& out) {
  const Meta &self = *in[0].meta, &index = *in[1].meta;
  wrap_axis(ints.next(), self.ndim);
  if (index.dtype != DType::Int64) {
    fail(ErrorKind::Index, "index_fill_(): Expected dtype int64 for index.\nIt is ", info(index.dtype).name,
         "; convert it with .long().");
  }
  if (index.ndim > 1) {
    fail(ErrorKind::Runtime, "Index has to be a vector/scalar\nIt has the shape ", shape_text(index.shape()),
         ".");
  }
  require_storage("index_fill_cpu", self.dtype);
  push_copy_of(self, out);
}

void run_index_fill(const KernelCall& c) {
  const int dim = wrap_axis(Ints(c.ints).next(), c.in[0].meta->ndim);
  alignas(8) char number[8];
  require_fits(c.scalars[0], c.out[0].meta->dtype);
  store_scalar(c.scalars[0], c.out[0].meta->dtype, number);
  IndexFault fault;
  {
    GilRelease unlocked(is_long(c.out[0].meta->numel));
    start_as(c.out[0], c.in[0]);
    fault = index_fill(AtLeastOne(c.out[0].view()).view, dim, c.in[1].view(), number);
  }
  check_fault(fault, ErrorKind::Index);
}

// --- embedding

void check_embedding_index(const Meta& index, const char* op) {
  if (is_index_type(index.dtype)) return;
  fail(ErrorKind::Dtype,
       "Expected tensor for argument #1 'indices' to have one of the following scalar types: ",
       "Long, Int; but got torch.", info(index.dtype).legacy, " instead (while checking arguments for ", op,
       ")\nConvert the indices with .long().");
}

void infer_embedding(std::span<const Operand> in, Ints, Metas& out) {
  const Meta &weight = *in[0].meta, &index = *in[1].meta;
  if (weight.ndim != 2) {
    fail(ErrorKind::Shape, "'weight' must be 2-D\nIt has the shape ", shape_text(weight.shape()), ".");
  }
  check_embedding_index(index, "embedding");
  require_storage("index_select_cpu", weight.dtype);
  std::vector<int64_t> shape(index.shape().begin(), index.shape().end());
  shape.push_back(weight.size(1));
  out.push_back(Meta::contiguous(weight.dtype, shape));
}

void run_embedding(const KernelCall& c) {
  IndexFault fault;
  {
    GilRelease unlocked(is_long(c.out[0].meta->numel));
    const Ready index = long_index(c.in[1]);
    fault = embedding(c.in[0].view(), index.view(), c.out[0].view());
  }
  if (fault) fail_out_of_range(fault);
}

void infer_embedding_backward(std::span<const Operand> in, Ints ints, Metas& out) {
  const Meta &grad = *in[0].meta, &index = *in[1].meta;
  check_embedding_index(index, "embedding_backward");
  require_float("embedding_backward", grad.dtype);
  bool fits = grad.ndim == index.ndim + 1;
  for (int a = 0; a < index.ndim && fits; ++a) fits = grad.size(a) == index.size(a);
  if (!fits) {
    fail(ErrorKind::Shape, "embedding_backward: expected a gradient of shape ", shape_text(index.shape()),
         " and one axis more, but got ", shape_text(grad.shape()));
  }
  const int64_t shape[2] = {ints.next(), grad.size(index.ndim)};
  out.push_back(Meta::contiguous(grad.dtype, shape));
}

void run_embedding_backward(const KernelCall& c) {
  Ints ints(c.ints);
  ints.next();
  const int64_t padding = ints.next();
  IndexFault fault;
  {
    GilRelease unlocked(is_long(c.out[0].meta->numel + c.in[0].meta->numel));
    const Ready index = long_index(c.in[1]);
    fault = embedding_backward(c.in[0].view(), index.view(), c.out[0].view(), padding, ints.flag());
  }
  if (fault) fail_out_of_range(fault);
}

// --- masked_scatter, one_hot

Dims masked_shape(const Meta& self, const Meta& mask) {
  Dims shape(mask.shape());
  int axis = 0;
  if (broadcast_into(shape, self.shape(), &axis)) return shape;
  const int n = std::max(self.ndim, mask.ndim);
  fail(ErrorKind::Shape, "The size of tensor a (", mask.size(axis - (n - mask.ndim)),
       ") must match the size of tensor b (", self.size(axis - (n - self.ndim)),
       ") at non-singleton dimension ", axis, "\nThe mask must broadcast with the tensor.");
}

void infer_masked_scatter(std::span<const Operand> in, Ints, Metas& out) {
  const Meta &self = *in[0].meta, &mask = *in[1].meta, &source = *in[2].meta;
  const Dims shape = masked_shape(self, mask);
  if (self.dtype != source.dtype) {
    fail(ErrorKind::Dtype, "masked_scatter: expected self and source to have same dtypes but got",
         type_name(self.dtype), " and ", type_name(source.dtype),
         "\nConvert the source with .to(self.dtype).");
  }
  if (mask.dtype != DType::Bool) {
    fail(ErrorKind::Dtype, "masked_scatter_ only supports boolean masks, but got mask with dtype ",
         type_name(mask.dtype), "\nConvert it with .bool().");
  }
  require_storage("masked_scatter", self.dtype);
  out.push_back(Meta::contiguous(self.dtype, shape));
}

void run_masked_scatter(const KernelCall& c) {
  const View out = c.out[0].view();
  const Dims from = expand_strides(*c.in[0].meta, c.out[0].meta->shape());
  const Dims where = expand_strides(*c.in[1].meta, c.out[0].meta->shape());
  IndexFault fault;
  {
    GilRelease unlocked(is_long(c.out[0].meta->numel));
    strided_copy(out, View{c.in[0].data, out.dtype, out.ndim, out.shape, from.v});
    const Ready source(c.in[2].view(), out.dtype, true);
    fault = masked_scatter(out, View{c.in[1].data, DType::Bool, out.ndim, out.shape, where.v}, source.view());
  }
  if (!fault) return;
  fail(ErrorKind::Runtime, "Number of elements of source < number of ones in mask\nThe mask takes ",
       fault.index, " elements, the source has ", fault.size, ".");
}

void infer_one_hot(std::span<const Operand> in, Ints ints, Metas& out) {
  const Meta& m = *in[0].meta;
  const int64_t classes = ints.next();
  if (m.dtype != DType::Int64) {
    fail(ErrorKind::Dtype,
         "one_hot is only applicable to index tensor of type LongTensor.\nConvert it with .long().");
  }
  if (m.numel == 0 && classes <= 0) {
    fail(ErrorKind::Runtime, "Can not infer total number of classes from empty tensor.\nGive num_classes.");
  }
  if (classes < 1) {
    fail(ErrorKind::Runtime, "Class values must be smaller than num_classes.\nnum_classes is ", classes, ".");
  }
  std::vector<int64_t> shape(m.shape().begin(), m.shape().end());
  shape.push_back(classes);
  out.push_back(Meta::contiguous(DType::Int64, shape));
}

void run_one_hot(const KernelCall& c) {
  IndexFault fault;
  {
    GilRelease unlocked(is_long(c.out[0].meta->numel));
    fill_zero(c.out[0].view());
    fault = one_hot(c.in[0].view(), Ints(c.ints).next(), static_cast<int64_t*>(c.out[0].data));
  }
  if (!fault) return;
  fail(ErrorKind::Runtime,
       fault.index < 0 ? "Class values must be non-negative."
                       : "Class values must be smaller than num_classes.",
       "\nThe class is ", fault.index, ", num_classes is ", fault.size, ".");
}

}  // namespace

std::span<const KernelRow> axis_index_rows() {
  static constexpr KernelRow kRows[] = {
      {"index_select", infer_index_select, run_index_select, false},
      changing_first("index_add", infer_index_add, run_index_add),
      changing_first("index_copy", infer_index_copy, run_index_copy),
      changing_first("index_fill", infer_index_fill, run_index_fill),
      {"embedding", infer_embedding, run_embedding, false},
      {"embedding_backward", infer_embedding_backward, run_embedding_backward, false},
      {"masked_scatter", infer_masked_scatter, run_masked_scatter, false},
      {"one_hot", infer_one_hot, run_one_hot, false},
  };
  return kRows;
}

}  // namespace pb
