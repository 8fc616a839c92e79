// Products of matrices and vectors. Operands may lie in memory in any way.
#include "core/shape.h"
#include "kernels/copy.h"
#include "kernels/matmul.h"
#include "ops/common.h"
#include "ops/tables.h"
#include "ops/windows.h"

namespace pb {
namespace {

// The compiler's names of the types, which is how torch spells them in this one message.
const char* c_name(DType d) {
  static constexpr const char* kNames[kDTypes] = {"bool",  "unsigned char", "signed char", "short int",
                                                  "int",   "long int",      "c10::Half",   "c10::BFloat16",
                                                  "float", "double"};
  return kNames[static_cast<int>(d)];
}

void require_product(const char* kernel, DType d) {
  if (d == DType::Bool) not_implemented(kernel, d);
  require_storage(kernel, d);
}

void check_inner(const Meta& a, const Meta& b) {
  if (a.size(1) == b.size(0)) return;
  fail(ErrorKind::Shape, "mat1 and mat2 shapes cannot be multiplied (", shape_by_x(a.shape()), " and ",
       shape_by_x(b.shape()),
       ")\nThe last axis of the first must equal the first axis of the second: ", a.size(1),
       " != ", b.size(0), ". Transpose one of them, or use einsum.");
}

// A[m, k] B[k, n] from the last two axes of both.
MatmulArgs matrices(const Placed& a, const Placed& b, const Placed& c) {
  const int i = a.meta->ndim - 2, j = b.meta->ndim - 2;
  MatmulArgs x{};
  x.dtype = c.meta->dtype;
  x.m = a.meta->size(i);
  x.k = a.meta->size(i + 1);
  x.n = b.meta->size(j + 1);
  x.a = a.data;
  x.a_row = a.meta->stride(i);
  x.a_col = a.meta->stride(i + 1);
  x.b = b.data;
  x.b_row = b.meta->stride(j);
  x.b_col = b.meta->stride(j + 1);
  x.c = c.data;
  x.c_row = x.n;
  return x;
}

void multiply(const MatmulArgs& x, int64_t batches) {
  GilRelease unlocked(is_long(batches * x.m * x.n * x.k));
  matmul(x);
}

void infer_mm(std::span<const Operand> in, Ints, Metas& out) {
  const Meta &a = *in[0].meta, &b = *in[1].meta;
  if (a.ndim != 2) {
    fail(ErrorKind::Shape, "self must be a matrix\nmm: the first tensor has ", int{a.ndim},
         " dimensions, not 2.");
  }
  if (b.ndim != 2) {
    fail(ErrorKind::Shape, "mat2 must be a matrix\nmm: the second tensor has ", int{b.ndim},
         " dimensions, not 2.");
  }
  check_inner(a, b);
  if (a.dtype != b.dtype) {
    fail(ErrorKind::Dtype, "expected m1 and m2 to have the same dtype, but got: ", c_name(a.dtype),
         " != ", c_name(b.dtype), "\nConvert one of them with .to(other.dtype).");
  }
  require_product("addmm_impl_cpu_", a.dtype);
  const int64_t shape[2] = {a.size(0), b.size(1)};
  out.push_back(Meta::contiguous(a.dtype, shape));
}

void run_mm(const KernelCall& c) { multiply(matrices(c.in[0], c.in[1], c.out[0]), 1); }

void infer_mv(std::span<const Operand> in, Ints, Metas& out) {
  const Meta &a = *in[0].meta, &v = *in[1].meta;
  if (!a.ndim) fail(ErrorKind::Index, "Dimension specified as 0 but tensor has no dimensions");
  if (a.ndim != 2 || v.ndim != 1) {
    fail(ErrorKind::Shape, "vector + matrix @ vector expected, got 1, ", int{a.ndim}, ", ", int{v.ndim},
         "\nmv multiplies a tensor of 2 dimensions with one of 1.");
  }
  if (a.size(1) != v.size(0)) {
    fail(ErrorKind::Shape, "size mismatch, got input (", a.size(0), "), mat (", shape_by_x(a.shape()),
         "), vec (", v.size(0), ")\nThe matrix's last axis must equal the vector's length: ", a.size(1),
         " != ", v.size(0), ".");
  }
  if (a.dtype != v.dtype) {
    fail(ErrorKind::Dtype, "addmv input tensors must have the same dtype, but got ", type_name(v.dtype), ", ",
         type_name(a.dtype), ", and ", type_name(v.dtype), "\nConvert one of them with .to(other.dtype).");
  }
  require_product("addmv_impl_cpu", a.dtype);
  const int64_t shape[1] = {a.size(0)};
  out.push_back(Meta::contiguous(a.dtype, shape));
}

void run_mv(const KernelCall& c) {
  const Meta &a = *c.in[0].meta, &v = *c.in[1].meta;
  MatmulArgs x{};
  x.dtype = a.dtype;
  x.m = a.size(0);
  x.k = a.size(1);
  x.n = x.c_row = x.b_col = 1;
  x.a = c.in[0].data;
  x.a_row = a.stride(0);
  x.a_col = a.stride(1);
  x.b = c.in[1].data;
  x.b_row = v.stride(0);
  x.c = c.out[0].data;
  multiply(x, 1);
}

void infer_dot(std::span<const Operand> in, Ints, Metas& out) {
  const Meta &a = *in[0].meta, &b = *in[1].meta;
  if (a.ndim != 1 || b.ndim != 1) {
    fail(ErrorKind::Shape, "1D tensors expected, but got ", int{a.ndim}, "D and ", int{b.ndim},
         "D tensors\nUse matmul for tensors with more dimensions.");
  }
  if (a.dtype != b.dtype) {
    fail(ErrorKind::Dtype, "dot : expected both vectors to have same dtype, but found ", type_name(a.dtype),
         " and ", type_name(b.dtype), "\nConvert one of them with .to(other.dtype).");
  }
  if (a.numel != b.numel) {
    fail(ErrorKind::Shape, "inconsistent tensor size, expected tensor ", shape_text(a.shape()), " and src ",
         shape_text(b.shape()), " to have the same number of elements, but got ", a.numel, " and ", b.numel,
         " elements respectively\nThe two vectors of a dot product have the same length.");
  }
  require_product("dot", a.dtype);
  out.push_back(Meta::contiguous(a.dtype, {}));
}

void run_dot(const KernelCall& c) {
  const Meta &a = *c.in[0].meta, &b = *c.in[1].meta;
  MatmulArgs x{};
  x.dtype = a.dtype;
  x.m = x.n = x.c_row = x.b_col = 1;
  x.k = a.numel;
  x.a = c.in[0].data;
  x.a_row = 1;
  x.a_col = a.stride(0);
  x.b = c.in[1].data;
  x.b_row = b.stride(0);
  x.c = c.out[0].data;
  x.dot = true;
  multiply(x, 1);
}

void infer_bmm(std::span<const Operand> in, Ints, Metas& out) {
  const Meta &a = *in[0].meta, &b = *in[1].meta;
  if (a.ndim != 3)
    fail(ErrorKind::Shape, "batch1 must be a 3D tensor\nIt has the shape ", shape_text(a.shape()), ".");
  if (b.ndim != 3)
    fail(ErrorKind::Shape, "batch2 must be a 3D tensor\nIt has the shape ", shape_text(b.shape()), ".");
  if (a.size(0) != b.size(0) || a.size(2) != b.size(1)) {
    fail(ErrorKind::Shape, "Expected size for first two dimensions of batch2 tensor to be: [", a.size(0),
         ", ", a.size(2), "] but got: [", b.size(0), ", ", b.size(1), "].\nThe shapes are ",
         shape_text(a.shape()), " and ", shape_text(b.shape()), "; matmul broadcasts batches.");
  }
  if (a.dtype == DType::Bool) require_product("bmm", a.dtype);
  if (a.dtype != b.dtype) {
    fail(ErrorKind::Dtype, "expected scalar type ", type_name(a.dtype), " but found ", type_name(b.dtype),
         "\nConvert one of them with .to(other.dtype).");
  }
  require_product("bmm", a.dtype);
  const int64_t shape[3] = {a.size(0), a.size(1), b.size(2)};
  out.push_back(Meta::contiguous(a.dtype, shape));
}

void run_bmm(const KernelCall& c) {
  MatmulArgs x = matrices(c.in[0], c.in[1], c.out[0]);
  const int64_t step = x.m * x.n;
  x.batch_ndim = 1;
  x.batch_shape = c.out[0].meta->shape_data();
  x.a_batch = c.in[0].meta->stride_data();
  x.b_batch = c.in[1].meta->stride_data();
  x.c_batch = &step;
  multiply(x, x.batch_shape[0]);
}

void infer_addmm(std::span<const Operand> in, Ints, Metas& out) {
  const Meta &bias = *in[0].meta, &a = *in[1].meta, &b = *in[2].meta;
  if (bias.dtype != b.dtype) {
    fail(ErrorKind::Dtype, "self and mat2 must have the same dtype, but got ", type_name(bias.dtype), " and ",
         type_name(b.dtype), "\nConvert one of them with .to(other.dtype).");
  }
  if (a.dtype != b.dtype) {
    fail(ErrorKind::Dtype, "mat1 and mat2 must have the same dtype, but got ", type_name(a.dtype), " and ",
         type_name(b.dtype), "\nConvert one of them with .to(other.dtype).");
  }
  if (a.ndim != 2) fail(ErrorKind::Shape, "mat1 must be a matrix, got ", int{a.ndim}, "-D tensor");
  if (b.ndim != 2) fail(ErrorKind::Shape, "mat2 must be a matrix, got ", int{b.ndim}, "-D tensor");
  check_inner(a, b);
  const int64_t shape[2] = {a.size(0), b.size(1)};
  expand_window(bias, shape);
  require_product("addmm_impl_cpu_", a.dtype);
  out.push_back(Meta::contiguous(a.dtype, shape));
}

void add_in_place(const View& to, const View& other) {
  static const BlockRow* row = [] {
    const BlockRow* found = nullptr;
    for (const BlockRow& r : kernels().elementwise)
      if (std::string_view(r.name) == "add") found = &r;
    return found;
  }();
  const Ready ready(other, to.dtype, true);
  if (const int64_t n = elements_of(to)) {
    row->fn[static_cast<int>(to.dtype)](to.data, to.data, ready.view().data, nullptr, n);
  }
}

void run_addmm(const KernelCall& c) {
  const Meta& bias = *c.in[0].meta;
  MatmulArgs x = matrices(c.in[1], c.in[2], c.out[0]);
  GilRelease unlocked(is_long(x.m * x.n * x.k));
  if (bias.ndim == 1 && bias.is_contiguous && bias.numel == x.n) {
    x.bias_row = c.in[0].data;
    return matmul(x);
  }
  const Dims strides = expand_window(bias, c.out[0].meta->shape()).strides;
  const int64_t row_shape[1] = {x.n};
  if (strides[0] == 0) {
    const Ready row(View{c.in[0].data, x.dtype, 1, row_shape, &strides.v[1]}, x.dtype, true);
    x.bias_row = row.view().data;
    return matmul(x);
  }
  matmul(x);
  add_in_place(c.out[0].view(), View{c.in[0].data, x.dtype, 2, c.out[0].meta->shape_data(), strides.v});
}

}  // namespace

std::span<const KernelRow> product_rows() {
  static constexpr KernelRow kRows[] = {
      {"mm", infer_mm, run_mm, false},
      {"mv", infer_mv, run_mv, false},
      {"dot", infer_dot, run_dot, false},
      {"bmm", infer_bmm, run_bmm, false},
      {"addmm_bias", infer_addmm, run_addmm, false},
  };
  return kRows;
}

}  // namespace pb
