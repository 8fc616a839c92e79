#include "bindings/conversion.h"

#include <span>

#include "bindings/functions.h"
#include "bindings/tensor.h"

namespace pb::py {
namespace {

Function refuse("pullback.conversion", "refuse"), convert("pullback.conversion", "convert");
Function check_device("pullback.types", "check_device"), device("pullback.types", "device");
Function dtype_of("pullback.arguments", "dtype_of");

bool names_dtype(PyObject* o) {
  return is_dtype(o) || o == reinterpret_cast<PyObject*>(&PyFloat_Type) ||
         o == reinterpret_cast<PyObject*>(&PyLong_Type) || o == reinterpret_cast<PyObject*>(&PyBool_Type);
}
bool names_device(PyObject* o) {
  if (o == Py_None || PyUnicode_Check(o)) return true;
  if (PyLong_Check(o)) return !PyBool_Check(o);
  const int is = PyObject_IsInstance(o, device.get());
  check(is);
  return is;
}

// The arguments of to(), in any of its forms: (device, dtype, non_blocking, copy), without the device, or without
// both and with another tensor instead.
class Wanted {
 public:
  // False where they fit no form.
  bool read(PyObject* const* args, Py_ssize_t n, PyObject* kwnames) {
    if (n > 4) return false;
    PyObject* other = nullptr;
    for (Py_ssize_t k = 0; kwnames && k < PyTuple_GET_SIZE(kwnames); ++k)
      if (!read_named(PyTuple_GET_ITEM(kwnames, k), args[n + k], other)) return false;
    std::span<PyObject* const> rest(args, static_cast<size_t>(n));
    if (other && is_tensor(other)) {
      dtype_ = own_dtype(other);
    } else if (other) {
      return false;
    } else if (!rest.empty()) {
      rest = rest.subspan(read_first(rest));
    }
    for (PyObject* flag : rest)
      if (!PyBool_Check(flag)) return false;
    if (rest.size() == 2) copy_ = rest[1];
    return rest.size() <= 2 && (dtype_ == Py_None || names_dtype(dtype_));
  }

  PyObject* of(PyObject* t) const {
    if (PyLong_Check(place_)) {
      fail(ErrorKind::Runtime,
           "Cannot access accelerator device when none is available.\npullback runs on CPUs only.");
    }
    if (place_ != Py_None) own(check_device(place_));
    PyObject* now = own_dtype(t);
    Owned dtype = Owned::borrow(dtype_ == Py_None ? now : dtype_);
    if (!is_dtype(dtype.get())) dtype = own(dtype_of(own(text("to")).get(), dtype.get()));
    const int copy = PyObject_IsTrue(copy_);
    check(copy);
    if (dtype.get() == now && !copy && format_ == Py_None) return Py_NewRef(t);
    return convert(t, dtype.get(), copy_, format_);
  }

 private:
  static PyObject* own_dtype(PyObject* t) { return dtype_object(as_tensor(t)->var.array.meta->dtype); }

  bool read_named(PyObject* name, PyObject* value, PyObject*& other) {
    auto is = [&](const char* known) { return PyUnicode_CompareWithASCIIString(name, known) == 0; };
    if (is("dtype")) dtype_ = value;
    else if (is("device")) place_ = value;
    else if (is("copy")) copy_ = value;
    else if (is("memory_format")) format_ = value;
    else if (is("other")) other = value;
    else return is("non_blocking");
    return true;
  }

  // How many of the positional arguments say what to convert to.
  size_t read_first(std::span<PyObject* const> rest) {
    if (is_tensor(rest[0])) dtype_ = own_dtype(rest[0]);
    else if (names_dtype(rest[0])) dtype_ = rest[0];
    else if (!names_device(rest[0])) return 0;
    else place_ = rest[0];
    if (place_ != rest[0] || rest.size() == 1 || (rest[1] != Py_None && !names_dtype(rest[1]))) return 1;
    dtype_ = rest[1];
    return 2;
  }

  PyObject *place_ = Py_None, *dtype_ = Py_None, *copy_ = Py_False, *format_ = Py_None;
};

PyObject* to(PyObject* self, PyObject* const* args, Py_ssize_t n, PyObject* kwnames) {
  return guarded([&] {
    Wanted wanted;
    if (wanted.read(args, n, kwnames)) return wanted.of(self);
    const CallObjects given = call_objects(args, n, kwnames);
    return refuse(given.positional.get(), given.keywords.get());
  });
}

}  // namespace

PyMethodDef conversion_methods[] = {
    {"to", method(to), METH_FASTCALL | METH_KEYWORDS,
     "The tensor with another dtype; itself if nothing changes. Devices other than the CPU raise.\n"
     "\n"
     "Dtypes    any that tensors have, to any other\n"
     "Gradient  converted back to this tensor's dtype\n"
     "Errors    DeviceError for another device\n"
     "Example   >>> torch.tensor([1.7, -1.7]).to(torch.int64)\n"
     "          tensor([ 1, -1])\n"},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace pb::py
