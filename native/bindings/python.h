// Small tools for the C API: owned references, and errors carried across.
#pragma once
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <string>
#include <utility>

#include "core/error.h"

namespace pb::py {

// An owned reference to a Python object.
class Owned {
 public:
  Owned() = default;
  explicit Owned(PyObject* o) : o_(o) {}
  static Owned borrow(PyObject* o) {
    Py_XINCREF(o);
    return Owned(o);
  }
  Owned(Owned&& o) noexcept : o_(std::exchange(o.o_, nullptr)) {}
  Owned(const Owned& o) : o_(o.o_) { Py_XINCREF(o_); }
  Owned& operator=(Owned o) noexcept {
    std::swap(o_, o.o_);
    return *this;
  }
  ~Owned() { Py_XDECREF(o_); }
  PyObject* get() const { return o_; }
  PyObject* release() { return std::exchange(o_, nullptr); }
  explicit operator bool() const { return o_ != nullptr; }

 private:
  PyObject* o_ = nullptr;
};

// The result of a C API call, or the exception it has set.
inline PyObject* check(PyObject* o) {
  if (!o) throw PythonError();
  return o;
}
inline Owned own(PyObject* o) { return Owned(check(o)); }
inline void check(int status) {
  if (status < 0) throw PythonError();
}

// The Python exception class of a kind, from pullback/errors.py.
void set_error_class(ErrorKind kind, PyObject* cls);
void raise(const std::exception& e);

// Runs f, turning C++ exceptions into Python ones.
template <class F> PyObject* guarded(F&& f) {
  try {
    return f();
  } catch (const std::exception& e) {
    raise(e);
    return nullptr;
  }
}
template <class F> int guarded_status(F&& f) {
  try {
    f();
    return 0;
  } catch (const std::exception& e) {
    raise(e);
    return -1;
  }
}

// Around a step into what may hold itself: RecursionError where it goes on for ever.
class Deeper {
 public:
  explicit Deeper(const char* where) {
    if (Py_EnterRecursiveCall(where)) throw PythonError();
  }
  ~Deeper() { Py_LeaveRecursiveCall(); }
  Deeper(const Deeper&) = delete;
  Deeper& operator=(const Deeper&) = delete;
};

// The arguments of a vectorcall as a tuple and a dict.
struct CallObjects { Owned positional, keywords; };
CallObjects call_objects(PyObject* const* args, Py_ssize_t n, PyObject* kwnames);

// A function of any of the calling conventions, as tables of methods take it.
template <class F> PyCFunction method(F f) {
  return reinterpret_cast<PyCFunction>(reinterpret_cast<void*>(f));
}

inline PyObject* none() { Py_RETURN_NONE; }
inline PyObject* boolean(bool b) { return PyBool_FromLong(b); }
inline PyObject* text(const std::string& s) { return check(PyUnicode_FromStringAndSize(s.data(), s.size())); }

}  // namespace pb::py
