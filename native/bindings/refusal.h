// Why a call fits none of a function's overloads, in torch's words.
#pragma once
#include "bindings/op_function.h"

namespace pb::py {

struct Refused {
  const std::string& name;
  const std::vector<Overload>& overloads;
  bool in_place;
  bool method;
  bool several;  // torch has several signatures where one is enough here: it tells of them all
};

[[noreturn]] void refuse(const Refused& f, PyObject* const* args, Py_ssize_t n, PyObject* kwnames);

}  // namespace pb::py
