// Functions of the package that native code calls by name, found at their first use.
#pragma once
#include "bindings/python.h"

namespace pb::py {

// An attribute of a module of the package, or an entry of its table of functions.
class Function {
 public:
  constexpr Function(const char* module, const char* name) : module_(module), name_(name) {}
  // What rules and bindings call: an op, or what prepares one's arguments.
  constexpr explicit Function(const char* name) : Function(nullptr, name) {}

  PyObject* get() {
    if (!found_) found_ = find();
    return found_;
  }
  template <class... A> PyObject* operator()(A*... args) {  // new reference
    PyObject* values[] = {args...};
    return check(PyObject_Vectorcall(get(), values, sizeof...(args), nullptr));
  }

 private:
  PyObject* find() const {
    Owned module = own(PyImport_ImportModule(module_ ? module_ : "pullback.trace.tracer"));
    if (module_) return check(PyObject_GetAttrString(module.get(), name_));
    Owned table = own(PyObject_GetAttrString(module.get(), "functions"));
    PyObject* f = PyDict_GetItemString(table.get(), name_);
    if (!f) fail(ErrorKind::Runtime, "no function is called ", name_);
    return Py_NewRef(f);
  }

  const char *module_, *name_;
  PyObject* found_ = nullptr;
};

}  // namespace pb::py
