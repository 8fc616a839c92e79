#include "bindings/python.h"

#include <array>
#include <new>

namespace pb::py {
namespace {

std::array<PyObject*, static_cast<size_t>(ErrorKind::Count)>& classes() {
  static std::array<PyObject*, static_cast<size_t>(ErrorKind::Count)> c{};
  return c;
}

PyObject* fallback(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::Value: return PyExc_ValueError;
    case ErrorKind::Type: return PyExc_TypeError;
    case ErrorKind::Index: return PyExc_IndexError;
    case ErrorKind::NotImplemented: return PyExc_NotImplementedError;
    case ErrorKind::Overflow: return PyExc_OverflowError;
    case ErrorKind::Device: return PyExc_AssertionError;
    default: return PyExc_RuntimeError;
  }
}

}  // namespace

void set_error_class(ErrorKind kind, PyObject* cls) {
  Py_XINCREF(cls);
  Py_XSETREF(classes()[static_cast<size_t>(kind)], cls);
}

CallObjects call_objects(PyObject* const* args, Py_ssize_t n, PyObject* kwnames) {
  CallObjects p{own(PyTuple_New(n)), own(PyDict_New())};
  for (Py_ssize_t i = 0; i < n; ++i) PyTuple_SET_ITEM(p.positional.get(), i, Py_NewRef(args[i]));
  for (Py_ssize_t k = 0; kwnames && k < PyTuple_GET_SIZE(kwnames); ++k)
    check(PyDict_SetItem(p.keywords.get(), PyTuple_GET_ITEM(kwnames, k), args[n + k]));
  return p;
}

void raise(const std::exception& e) {
  if (dynamic_cast<const PythonError*>(&e)) return;
  if (const auto* ours = dynamic_cast<const Error*>(&e)) {
    PyObject* cls = classes()[static_cast<size_t>(ours->kind())];
    PyErr_SetString(cls ? cls : fallback(ours->kind()), ours->what());
    return;
  }
  if (dynamic_cast<const std::bad_alloc*>(&e)) {
    PyErr_NoMemory();
    return;
  }
  PyErr_SetString(PyExc_RuntimeError, e.what());
}

}  // namespace pb::py
