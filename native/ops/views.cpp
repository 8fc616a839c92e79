// Views: the same elements under other sizes and strides.
#include "core/error.h"
#include "core/shape.h"
#include "ops/windows.h"

namespace pb {
namespace {

bool give(const Meta& in, const Window& w, Ref<Meta>& out, int64_t& offset) {
  out = Meta::intern(in.dtype, w.shape, w.strides);
  offset = w.offset;
  return true;
}

bool alias(const Meta& in, Ints, Ref<Meta>& out, int64_t& offset) {
  return give(in, window_of(in), out, offset);
}

bool expand(const Meta& in, Ints ints, Ref<Meta>& out, int64_t& offset) {
  return give(in, expand_window(in, ints.list()), out, offset);
}

bool reshape(const Meta& in, Ints ints, Ref<Meta>& out, int64_t& offset) {
  Window w{resolve_reshape(ints.list(), in.numel), Dims(), 0};
  return view_strides(in, w.shape, w.strides) && give(in, w, out, offset);
}

bool view(const Meta& in, Ints ints, Ref<Meta>& out, int64_t& offset) {
  if (reshape(in, ints, out, offset)) return true;
  fail(ErrorKind::Shape,
       "view size is not compatible with input tensor's size and stride (at least one dimension ",
       "spans across two contiguous subspaces). Use .reshape(...) instead.\nThe tensor has size ",
       shape_text(in.shape()), " and stride ", shape_text(in.strides()), "; .contiguous() copies it first.");
}

bool permute(const Meta& in, Ints ints, Ref<Meta>& out, int64_t& offset) {
  const auto dims = ints.list();
  if (dims.size() != in.ndim) {
    fail(ErrorKind::Shape,
         "permute(sparse_coo): number of dimensions in the tensor input does not match the length ",
         "of the desired ordering of dimensions i.e. input.dim() = ", int{in.ndim},
         " is not equal to len(dims) = ", dims.size(), "\nName every axis of the tensor once.");
  }
  Window w;
  uint32_t seen = 0;
  for (int64_t d : dims) {
    const int a = wrap_axis(d, in.ndim);
    if (seen >> a & 1) {
      fail(ErrorKind::Runtime, "permute(): duplicate dims are not allowed.\nDimension ", a,
           " is named twice.");
    }
    seen |= 1u << a;
    w.shape.push(in.size(a));
    w.strides.push(in.stride(a));
  }
  return give(in, w, out, offset);
}

bool transpose(const Meta& in, Ints ints, Ref<Meta>& out, int64_t& offset) {
  const int a = wrap_axis(ints.next(), in.ndim), b = wrap_axis(ints.next(), in.ndim);
  Window w = window_of(in);
  if (in.ndim) {
    std::swap(w.shape[a], w.shape[b]);
    std::swap(w.strides[a], w.strides[b]);
  }
  return give(in, w, out, offset);
}

bool squeeze(const Meta& in, Ints ints, Ref<Meta>& out, int64_t& offset) {
  const auto dims = ints.list();
  const uint32_t gone = dims.empty() ? 0 : axes_mask(dims, in.ndim);
  Window w;
  for (int a = 0; a < in.ndim; ++a) {
    if (!(gone >> a & 1)) {
      w.shape.push(in.size(a));
      w.strides.push(in.stride(a));
    } else if (in.size(a) != 1) {
      fail(ErrorKind::Shape, "squeeze: dimension ", a, " has size ", in.size(a), ", not 1");
    }
  }
  return give(in, w, out, offset);
}

bool unsqueeze(const Meta& in, Ints ints, Ref<Meta>& out, int64_t& offset) {
  const int dim = wrap_axis(ints.next(), in.ndim + 1);
  if (in.ndim == kMaxDims) fail(ErrorKind::Shape, "pullback supports up to ", kMaxDims, " dimensions");
  Window w = window_of(in);
  w.strides.insert(dim, dim < in.ndim ? in.size(dim) * in.stride(dim) : 1);
  w.shape.insert(dim, 1);
  return give(in, w, out, offset);
}

template <Window (*kWindow)(const Window&, Ints&)>
bool windowed(const Meta& in, Ints ints, Ref<Meta>& out, int64_t& offset) {
  return give(in, kWindow(window_of(in), ints), out, offset);
}

bool as_strided_of_base(const Meta& in, Ints ints, Ref<Meta>& out, int64_t& offset) {
  return give(in, strided_window(ints), out, offset);
}

}  // namespace

std::span<const ViewRow> view_rows() {
  static constexpr ViewRow kRows[] = {
      {"alias", alias},
      {"expand", expand},
      {"view", view},
      {"reshape", reshape},
      {"permute", permute},
      {"transpose", transpose},
      {"squeeze", squeeze},
      {"unsqueeze", unsqueeze},
      {"select", windowed<select_window>},
      {"slice", windowed<slice_window>},
      {"diagonal", windowed<diagonal_window>},
      {"unfold", windowed<unfold_window>},
      {"as_strided_of_base", as_strided_of_base},
  };
  return kRows;
}

}  // namespace pb
