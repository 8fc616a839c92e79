// The native side of a primitive or composite: how its outputs look, and what runs it.
#pragma once
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/meta.h"
#include "core/scalar.h"
#include "kernels/table.h"
#include "runtime/pool.h"

namespace pb {

enum class Family : uint8_t {
  Elementwise,  // a row of kernels().elementwise
  View,         // the same bytes under another meta
  Kernel,       // a step of its own: reductions, products, indexing
  Composite     // a program traced from Python
};

// How an elementwise op finds the type it computes in, and the type of its output.
enum class Typing : uint8_t {
  Same,       // common type in, common type out
  Float,      // integers become the default float type
  Compare,    // common type in, bool out
  Logical,    // any type in, bool out
  Where,      // bool, then two of a common type
  Cast,       // the type is a parameter
};

// The integer parameters of a call, in the order of its signature (see bindings/signature.h for the encoding).
class Ints {
 public:
  Ints() = default;
  explicit Ints(std::span<const int64_t> v) : v_(v) {}
  int64_t next() { return at_ < v_.size() ? v_[at_++] : 0; }
  bool flag() { return next() != 0; }
  std::span<const int64_t> list() {
    const size_t n = static_cast<size_t>(next());
    auto s = v_.subspan(at_, n);
    at_ += n;
    return s;
  }
  // A missing optional is encoded as 0, a present one as 1 followed by its value.
  bool has() { return next() != 0; }
  double real() {
    const int64_t bits = next();
    double d;
    __builtin_memcpy(&d, &bits, 8);
    return d;
  }
  size_t left() const { return v_.size() - at_; }

 private:
  std::span<const int64_t> v_;
  size_t at_ = 0;
};

struct Operand {  // what shape functions see of an argument
  const Meta* meta = nullptr;  // null: a scalar
  Scalar::Kind kind = Scalar::Kind::Int;
};

using Metas = PooledVector<Ref<Meta>>;
using InferFn = void (*)(std::span<const Operand> in, Ints ints, Metas& out);

struct Placed {  // an array with its address
  void* data;
  const Meta* meta;
  View view() const { return {data, meta->dtype, meta->ndim, meta->shape_data(), meta->stride_data()}; }
};

struct KernelCall {
  std::span<const Placed> in;
  std::span<const Placed> out;
  std::span<const Scalar> scalars;
  std::span<const int64_t> ints;
};
using RunFn = void (*)(const KernelCall&);

struct KernelRow {
  const char* name;
  InferFn infer;
  RunFn run;
  bool contiguous_inputs;  // the binder copies inputs that are not
  // Does the op return its only input unchanged for these sizes? Then nothing runs.
  bool (*is_identity)(const Meta& in, Ints ints) = nullptr;
  bool shape_only = false;  // no elements of the inputs are read: they need not exist
  bool runs_python = false;  // other threads may run meanwhile, however few elements there are
  // The result begins as the first input, over which it may lie (start_as), and then changes at some places.
  bool changes_first = false;
  // An op that adds up its only input: the axes (by bit) along which it does.
  uint32_t (*summed_axes)(const Meta& in, Ints ints) = nullptr;
};

// The view under `ints`: meta and offset (elements). False: no such view exists, copy to contiguous and ask again.
using ViewFn = bool (*)(const Meta& in, Ints ints, Ref<Meta>& out, int64_t& offset);
struct ViewRow {
  const char* name;
  ViewFn view;
};

constexpr KernelRow changing_first(const char* name, InferFn infer, RunFn run) {
  return {.name = name, .infer = infer, .run = run, .contiguous_inputs = false, .changes_first = true};
}

std::span<const KernelRow> kernel_rows();
std::span<const ViewRow> view_rows();

class RuleProgram;

// What a tensor that is changed in place may share with the other operands: anything, all or nothing, or nothing.
enum class Apart : uint8_t { No, Part, All };

struct Op {
  std::string name;
  std::string node_name;  // "MulBackward0"
  std::string number_node_name;  // where the second operand is a number, if that has a name of its own
  Family family = Family::Composite;
  Typing typing = Typing::Same;
  const BlockRow* block = nullptr;
  const KernelRow* kernel = nullptr;
  const ViewRow* view = nullptr;
  int id = 0;
  bool differentiable = true;
  bool divides = false;  // integers by the second operand, which must not hold a zero
  bool uniform = false;  // one value for every element: overlapping ones may be written
  Apart apart = Apart::Part;
  bool checks_calls = false;  // the declaration looks at the arguments of every call from Python
  void* declaration = nullptr;  // borrowed PyObject: the Python declaration (immortal), or null
};

// Output metas of one application (not for composites).
void infer(const Op& op, std::span<const Operand> in, std::span<const int64_t> ints, Metas& out);

// That of an elementwise op, whether or not there is a kernel for the types.
Ref<Meta> elementwise_result(const Op& op, std::span<const Operand> in, std::span<const int64_t> ints);

DType default_dtype();
void set_default_dtype(DType d);

// The common type of operands as torch finds it: tensors with axes, then 0-dim tensors, then numbers;
// a later group counts only if its category is higher.
DType common_dtype(std::span<const Operand> in);

struct ElementwiseTypes { DType compute, out; };
ElementwiseTypes elementwise_types(const Op& op, std::span<const Operand> in, std::span<const int64_t> ints);

}  // namespace pb
