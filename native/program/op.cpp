#include "program/op.h"

#include <map>
#include <optional>

#include "core/shape.h"
#include "core/small.h"

namespace pb {
namespace {

DType g_default_dtype = DType::Float32;

DType dtype_of_kind(Scalar::Kind kind) {
  switch (kind) {
    case Scalar::Kind::Bool: return DType::Bool;
    case Scalar::Kind::Int: return DType::Int64;
    default: return g_default_dtype;
  }
}

// The layout of an elementwise result: that of its operands where they agree, else dense in their axes' order.
Ref<Meta> result_meta(DType dtype, std::span<const Operand> in, const Dims& shape) {
  bool contiguous = true, alike = true;
  const Meta* first = nullptr;
  for (const Operand& o : in) {
    if (!o.meta) {
      if (shape.n != 0) alike = contiguous = false;  // a number is a tensor without axes
      continue;
    }
    if (!first) first = o.meta;
    const bool whole = Dims(o.meta->shape()) == shape;
    contiguous = contiguous && whole && o.meta->is_contiguous;
    alike = alike && whole && (o.meta == first || Dims(o.meta->strides()) == Dims(first->strides()));
  }
  if (!first || contiguous) return Meta::contiguous(dtype, shape);
  if (alike && first->is_dense) return Meta::intern(dtype, shape, first->strides());
  Small<Dims, 4> strides(in.size());
  size_t n = 0;
  for (const Operand& o : in)
    if (o.meta) strides[n++] = expand_strides(*o.meta, shape);
  return Meta::intern(dtype, shape, strides_in_order_of(shape, strides.span().first(n)));
}

// Torch has sentences of its own for the mistakes that people make most.
[[noreturn]] void refuse_dtype(const Op& op, DType d) {
  if (d == DType::Bool && op.name == "neg") {
    fail(ErrorKind::Runtime,
         "Negation, the `-` operator, on a bool tensor is not supported. If you are trying to invert ",
         "a mask, use the `~` or `logical_not()` operator instead.");
  }
  if (d == DType::Bool && op.name == "relu") {
    fail(ErrorKind::Runtime,
         "Boolean inputs not supported for relu\nConvert the tensor first, for example with .float().");
  }
  static const std::map<std::string, std::string> kernels = {{"floor_divide", "div_floor_cpu"},
                                                             {"bitwise_left_shift", "lshift_cpu"},
                                                             {"bitwise_right_shift", "rshift_cpu"},
                                                             {"ceil", "ceil_vml_cpu"},
                                                             {"floor", "floor_vml_cpu"},
                                                             {"round", "round_vml_cpu"},
                                                             {"trunc", "trunc_vml_cpu"},
                                                             {"pow", "pow"},
                                                             {"pow_number", "pow"},
                                                             {"rpow", "pow"}};
  const auto other = kernels.find(op.name);
  const std::string kernel = other == kernels.end() ? op.name + "_cpu" : other->second;
  fail(ErrorKind::NotImplemented, "\"", kernel, "\" not implemented for '", info(d).scalar_name,
       "'\nConvert the tensor first, for example with .float().");
}

void refuse_bools(std::span<const Operand> in) {
  size_t bools = 0;
  for (const Operand& o : in) bools += o.meta ? o.meta->dtype == DType::Bool : o.kind == Scalar::Kind::Bool;
  if (bools == 2) {
    fail(ErrorKind::Runtime,
         "Subtraction, the `-` operator, with two bool tensors is not supported. Use the `^` or ",
         "`logical_xor()` operator instead.");
  }
  if (bools) {
    fail(ErrorKind::Runtime,
         "Subtraction, the `-` operator, with a bool tensor is not supported. If you are trying to invert ",
         "a mask, use the `~` or `logical_not()` operator instead.");
  }
}

// Of all operands together. An error names the sizes in the operands' order.
Dims broadcast_shape(const Op& op, std::span<const Operand> in) {
  Dims shape;
  for (size_t k = 0; k < in.size(); ++k) {
    if (!in[k].meta) continue;
    int axis = 0;
    const Dims before = shape;
    if (!broadcast_into(shape, in[k].meta->shape(), &axis)) {
      const int shift = shape.n - in[k].meta->ndim;
      fail(ErrorKind::Shape, "The size of tensor a (", shape[axis], ") must match the size of tensor b (",
           in[k].meta->size(axis - shift), ") at non-singleton dimension ", axis, "\n", op.name,
           ": the shapes ", shape_text(before), " and ", shape_text(in[k].meta->shape()),
           " do not broadcast: counted from the right, sizes must be equal or one of them 1. ",
           "Use reshape, unsqueeze or transpose on one of them.");
    }
  }
  return shape;
}

}  // namespace

DType default_dtype() { return g_default_dtype; }
void set_default_dtype(DType d) { g_default_dtype = d; }

DType common_dtype(std::span<const Operand> in) {
  std::optional<DType> axes, zero_dim, number;
  auto join = [](std::optional<DType>& into, DType d) { into = into ? promote(*into, d) : d; };
  for (const Operand& o : in) {
    if (!o.meta) join(number, dtype_of_kind(o.kind));
    else if (o.meta->ndim == 0) join(zero_dim, o.meta->dtype);
    else join(axes, o.meta->dtype);
  }
  std::optional<DType> result = axes;
  for (const auto& lower : {zero_dim, number}) {
    if (!lower) continue;
    if (!result) result = lower;
    else if (info(*lower).category > info(*result).category) result = lower;
  }
  return result.value_or(g_default_dtype);
}

ElementwiseTypes elementwise_types(const Op& op, std::span<const Operand> in, std::span<const int64_t> ints) {
  switch (op.typing) {
    case Typing::Same: {
      const DType d = common_dtype(in);
      return {d, d};
    }
    case Typing::Float: {
      DType d = common_dtype(in);
      if (!is_float(d)) d = g_default_dtype;
      return {d, d};
    }
    case Typing::Compare: return {common_dtype(in), DType::Bool};
    case Typing::Logical: return {common_dtype(in), DType::Bool};
    case Typing::Where: {
      const DType d = common_dtype(in.subspan(1));
      return {d, d};
    }
    case Typing::Cast: {
      const DType d = static_cast<DType>(ints.back());
      return {d, d};
    }
  }
  return {DType::Float32, DType::Float32};
}

Ref<Meta> elementwise_result(const Op& op, std::span<const Operand> in, std::span<const int64_t> ints) {
  return result_meta(elementwise_types(op, in, ints).out, in, broadcast_shape(op, in));
}

void infer(const Op& op, std::span<const Operand> in, std::span<const int64_t> ints, Metas& out) {
  if (op.family == Family::View) {
    Ref<Meta> meta;
    int64_t offset = 0;
    if (!op.view->view(*in[0].meta, Ints(ints), meta, offset)) {
      Ref<Meta> packed = Meta::contiguous(in[0].meta->dtype, in[0].meta->shape());
      op.view->view(*packed, Ints(ints), meta, offset);
    }
    out.push_back(std::move(meta));
    return;
  }
  if (op.family == Family::Kernel) {
    op.kernel->infer(in, Ints(ints), out);
    return;
  }
  if (op.name == "sub") refuse_bools(in);
  out.push_back(elementwise_result(op, in, ints));
  const DType compute = elementwise_types(op, in, ints).compute;
  if (op.block && op.typing != Typing::Cast && !op.block->fn[static_cast<int>(compute)])
    refuse_dtype(op, compute);
}

}  // namespace pb
