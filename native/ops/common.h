// What native ops share: checks of element types, temporary arrays, index tensors, faults.
#pragma once
#include <memory>
#include <optional>
#include <span>

#include "core/error.h"
#include "core/meta.h"
#include "kernels/index.h"
#include "kernels/table.h"
#include "program/op.h"
#include "runtime/gil.h"

namespace pb {

// From this many elements on, other Python threads may run while a kernel works.
inline bool is_long(int64_t elements) { return elements > (int64_t{1} << 18); }

inline const char* type_name(DType d) { return info(d).scalar_name; }

[[noreturn]] void not_implemented(const char* kernel, DType d);
// Throws not_implemented unless the elements can be computed with at all, or are float32 or float64.
void require_storage(const char* kernel, DType d);
void require_float(const char* kernel, DType d);

// An array of its own for the time of one call. Its view stays valid when it is moved.
class Temp {
 public:
  Temp(DType dtype, std::span<const int64_t> shape);
  const View& view() const { return state_->view; }
  void* data() const { return state_->view.data; }

 private:
  struct Free { void operator()(std::byte* p) const; };
  struct State {
    Dims shape, strides;
    std::unique_ptr<std::byte[], Free> bytes;
    View view;
  };
  std::unique_ptr<State> state_;
};

int64_t elements_of(const View& v);
bool packed(const View& v);  // row-major without gaps

// A row-major copy of `from` in the type `to`.
Temp converted(const View& from, DType to);
// dst = src, converted. Same shape; dst may have any strides.
void copy_converted(const View& dst, const View& src);
void fill_zero(const View& v);
// out = in, where it does not lie over it already: an operation in place changes no more than it names.
void start_as(const Placed& out, const Placed& in);

// A view that becomes int64 and, where asked for, row-major; a copy is made only if it has to be.
class Ready {
 public:
  Ready(const View& v, DType dtype, bool row_major);
  const View& view() const { return temp_ ? temp_->view() : view_; }

 private:
  View view_;
  std::optional<Temp> temp_;
};
inline Ready long_index(const Placed& p) { return Ready(p.view(), DType::Int64, false); }

// A view in which an array without axes has one of size 1.
struct AtLeastOne {
  explicit AtLeastOne(const View& v);
  AtLeastOne(const AtLeastOne&) = delete;
  AtLeastOne& operator=(const AtLeastOne&) = delete;
  int64_t one = 1;
  View view;
};

inline bool is_index_type(DType d) { return d == DType::Int64 || d == DType::Int32; }

// "index 5 is out of bounds for dimension 0 with size 3".
void check_fault(const IndexFault& fault, ErrorKind kind, const char* prefix = "");

}  // namespace pb
