#include "bindings/refusal.h"

#include <string>
#include <unordered_map>

#include "bindings/functions.h"

namespace pb::py {
namespace {

// Torch names a call's keywords in the order in which such a table holds them.
PyObject* hashed_order(PyObject*, PyObject* names) {
  return guarded([&]() -> PyObject* {
    std::unordered_map<std::string, PyObject*> table;
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(names); ++i) {
      PyObject* name = PyList_GET_ITEM(names, i);
      const char* key = PyUnicode_AsUTF8(name);
      if (!key) throw PythonError();
      table.emplace(key, name);
    }
    Owned out = own(PyList_New(0));
    for (const auto& [key, name] : table)
      if (PyList_Append(out.get(), name) < 0) throw PythonError();
    return out.release();
  });
}

PyMethodDef functions[] = {
    {"hashed_order", hashed_order, METH_O, "A list of names in the order of a hash table."},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace

PyObject* refuse(PyObject* function, PyObject* const* args, Py_ssize_t n, PyObject* kwnames) {
  static Function of_op("pullback.refusal", "of_op");
  PyObject *type = nullptr, *error = nullptr, *trace = nullptr;
  PyErr_Fetch(&type, &error, &trace);
  if (type) PyErr_NormalizeException(&type, &error, &trace);
  Owned hold_type(type), hold_error(error), hold_trace(trace);
  const CallObjects p = call_objects(args, n, kwnames);
  return of_op(function, p.positional.get(), p.keywords.get(), error ? error : Py_None);
}

void init_refusal(PyObject* module) { check(PyModule_AddFunctions(module, functions)); }

}  // namespace pb::py
