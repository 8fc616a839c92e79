// Why a call fits none of a function's overloads, in torch's words.
#pragma once
#include "bindings/op_function.h"

namespace pb::py {

struct Refused {
  const std::string& name;
  const std::vector<Overload>& overloads;
  bool in_place;
  bool method;
};

[[noreturn]] void refuse(const Refused& f, PyObject* const* args, Py_ssize_t n, PyObject* kwnames);

}  // namespace pb::py
