// Signatures written as text, "sum(Tensor input, int[]? dim=None, *, bool keepdim=False)": how a call's
// arguments become operands and integers. pullback/trace/signature.py reads the same text the same way.
//
// Integers are encoded in the order of the parameters:
//   int, size, bool, dtype, str   the value (a dtype's id, a string's position among its choices)
//   float                         the bits of the double
//   T?                            0 if missing, else 1 and then T
//   int[], size[]                 the count, then the values
//   Tensor?                       0 or 1;  Tensor[]: the count;  Tensor?[]: the count, then 0 or 1 each
// Those of type size are symbolic: programs take them as parameters, so that they do not cause a new trace.
#pragma once
#include <algorithm>

#include "bindings/tensor.h"

namespace pb::py {

enum class Kind : uint8_t { Tensor, Operand, Scalar, Int, Size, Bool, Float, DType, Str, Ignored };

struct Parameter {
  std::string name;
  PyObject* key = nullptr;  // interned name
  Kind kind;
  bool list = false, optional = false, optional_items = false;
  bool keyword_only = false, variadic = false;
  bool old = false;  // "Number": a Scalar in a place of old, no tensor; errors do not tell of such overloads
  std::vector<std::string> choices;
  std::string op;  // whose choices they are, for errors
  PyObject* fallback = nullptr;  // the default as a Python object; null: required
};

struct Signature {
  std::string name;
  std::string text;
  std::vector<Parameter> parameters;

  bool is_old() const { return std::ranges::any_of(parameters, &Parameter::old); }
};

Signature parse_signature(const std::string& text);

// A call's arguments in the form of an Application. Holds what it borrows from.
struct BoundCall {
  std::vector<Argument> args;
  std::vector<int64_t> ints;
  uint64_t symbolic = 0;
  PyObject* foreign = nullptr;  // an argument that is neither a plain tensor nor a number: Python decides
  PyTypeObject* subclass = nullptr;
  bool unrelated_classes = false;  // `subclass` does not stand for all of them
  TensorObject* first = nullptr;
  // A list begins with what it should hold and goes on with something else: this overload is meant.
  const Parameter* late = nullptr;
  Py_ssize_t late_item = 0;

  void note_late(const Parameter& p, Py_ssize_t item) {
    if (late) return;
    late = &p;
    late_item = item;
  }
  void push_int(int64_t v, bool is_symbolic = false) {
    if (is_symbolic && ints.size() < 64) symbolic |= uint64_t{1} << ints.size();
    ints.push_back(v);
  }
  void clear() {
    args.clear();
    ints.clear();
    symbolic = 0;
    foreign = nullptr;
    subclass = nullptr;
    unrelated_classes = false;
    first = nullptr;
    late = nullptr;
  }
};

// Puts positional and keyword arguments in the parameters' order (null: not given). False if they do not fit this
// signature; bindings/refusal.h says why.
bool match_arguments(const Signature& s, PyObject* const* args, Py_ssize_t n, PyObject* kwnames,
                     std::vector<PyObject*>& values, Owned& packed);
// Converts matched values. False if a type does not fit.
bool convert_arguments(const Signature& s, std::span<PyObject* const> values, BoundCall& out);
// The position of the parameter with this name, or how many there are.
size_t find_parameter(const Signature& s, PyObject* key);
bool fits(const Parameter& p, PyObject* o);
bool may_be_size(PyObject* o);  // one of the sizes that may be given one by one

// The classes of a trace's values, and of those among them that stand for tensors: always foreign.
void set_tracer_types(PyObject* symbolic, PyObject* tensor);

}  // namespace pb::py
