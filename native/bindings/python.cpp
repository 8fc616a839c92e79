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
