#include "bindings/conversion.h"

#include <algorithm>
#include <initializer_list>

#include "bindings/functions.h"
#include "bindings/tensor.h"

namespace pb::py {
namespace {

Function refuse("pullback.conversion", "refuse"), convert("pullback.conversion", "convert");
Function check_device("pullback.types", "check_device"), device("pullback.types", "device");
Function format("pullback.types", "memory_format"), is_index("pullback.types", "is_index");
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
  if (is || is_tensor(o) || !PyIndex_Check(o)) return is;
  return own(is_index(o)).get() == Py_True;
}
bool names_format(PyObject* o) {
  if (o == Py_None) return true;
  const int is = PyObject_IsInstance(o, format.get());
  check(is);
  return is;
}

// The arguments of to(), in any of its forms: (device, dtype, non_blocking, copy), without the device, or without
// both and with another tensor instead.
class Wanted {
 public:
  // False where they fit no form.
  bool read(PyObject* const* args, Py_ssize_t n, PyObject* kwnames) {
    return fits({kDtype, kNonBlocking, kCopy}, args, n, kwnames) ||
           fits({kDevice, kDtype, kNonBlocking, kCopy}, args, n, kwnames) ||
           fits({kTensor, kNonBlocking, kCopy}, args, n, kwnames);
  }

  PyObject* of(PyObject* t) const {
    if (place() != Py_None) own(check_device(place()));
    PyObject* now = own_dtype(t);
    const Owned dtype = wanted_dtype(now);
    PyObject* copy = copies() ? Py_True : Py_False;
    if (dtype.get() == now && !copies() && format_of() == Py_None) return Py_NewRef(t);
    return convert(t, dtype.get(), copy, format_of());
  }

  // (device, dtype, non_blocking, memory_format), for modules, which have many tensors.
  PyObject* tell() const {
    Owned place = Owned::borrow(this->place());
    if (copies())
      fail(ErrorKind::Runtime, ".to() does not accept copy argument\nA module is converted in place.");
    if (given_[kTensor]) place = Owned::borrow(Py_None);
    else if (place.get() != Py_None) place = own(device(place.get()));
    const Owned dtype = wanted_dtype(Py_None);
    PyObject* later = given_[kNonBlocking] ? given_[kNonBlocking] : Py_False;
    return check(PyTuple_Pack(4, place.get(), dtype.get(), later, format_of()));
  }

 private:
  enum Kind { kDevice, kDtype, kTensor, kNonBlocking, kCopy, kFormat, kKinds };

  static PyObject* own_dtype(PyObject* t) { return dtype_object(as_tensor(t)->var.array.meta->dtype); }
  static PyObject* dtype_like(PyObject* o) {
    if (is_tensor(o)) return own_dtype(o);
    return dtype_object(PyBool_Check(o) ? DType::Bool : PyFloat_Check(o) ? DType::Float64 : DType::Int64);
  }
  PyObject* place() const { return given_[kDevice] ? given_[kDevice] : Py_None; }
  bool copies() const { return given_[kCopy] == Py_True; }
  PyObject* format_of() const { return given_[kFormat] ? given_[kFormat] : Py_None; }

  Owned wanted_dtype(PyObject* otherwise) const {
    if (given_[kTensor]) return Owned::borrow(dtype_like(given_[kTensor]));
    PyObject* dtype = given_[kDtype];
    if (!dtype || dtype == Py_None) return Owned::borrow(otherwise);
    return is_dtype(dtype) ? Owned::borrow(dtype) : own(dtype_of(own(text("to")).get(), dtype));
  }

  static int named(PyObject* name) {
    static constexpr const char* kNames[kKinds] = {"device",       "dtype", "tensor",
                                                   "non_blocking", "copy",  "memory_format"};
    for (int k = 0; k < kKinds; ++k)
      if (PyUnicode_CompareWithASCIIString(name, kNames[k]) == 0) return k;
    return kKinds;
  }

  bool fits(std::initializer_list<Kind> form, PyObject* const* args, Py_ssize_t n, PyObject* kwnames) {
    const Kind* kinds = form.begin();
    if (n > static_cast<Py_ssize_t>(form.size())) return false;
    std::fill_n(given_, kKinds, nullptr);
    for (Py_ssize_t k = 0; k < n; ++k) {
      if (!takes(kinds[k], args[k], form.size())) return false;
      given_[kinds[k]] = args[k];
    }
    for (Py_ssize_t k = 0; kwnames && k < PyTuple_GET_SIZE(kwnames); ++k) {
      const int kind = named(PyTuple_GET_ITEM(kwnames, k));
      const bool known = kind == kFormat || std::find(kinds, form.end(), kind) != form.end();
      if (!known || given_[kind] || !takes(static_cast<Kind>(kind), args[n + k], form.size())) return false;
      given_[kind] = args[n + k];
    }
    return form.size() == 4 || given_[kinds[0]];
  }

  // `form`: how many arguments the form has; only the longest does without a dtype.
  static bool takes(Kind kind, PyObject* o, size_t form) {
    switch (kind) {
      case kDevice: return names_device(o);
      case kDtype: return names_dtype(o) || (form == 4 && o == Py_None);
      case kTensor:
        return is_tensor(o) || PyFloat_Check(o) || PyLong_Check(o);  // a number stands for a tensor
      case kFormat: return names_format(o);
      default: return PyBool_Check(o);
    }
  }

  PyObject* given_[kKinds] = {};
};

PyObject* refuse_all(PyObject* const* args, Py_ssize_t n, PyObject* kwnames) {
  if (n == 5 && !kwnames)
    fail(ErrorKind::Type, "to() takes from 0 to 4 positional arguments but ", n, " were given");
  const CallObjects given = call_objects(args, n, kwnames);
  return refuse(given.positional.get(), given.keywords.get());
}

PyObject* to(PyObject* self, PyObject* const* args, Py_ssize_t n, PyObject* kwnames) {
  return guarded([&] {
    Wanted wanted;
    return wanted.read(args, n, kwnames) ? wanted.of(self) : refuse_all(args, n, kwnames);
  });
}

PyObject* parse_to(PyObject*, PyObject* const* args, Py_ssize_t n, PyObject* kwnames) {
  return guarded([&] {
    Wanted wanted;
    return wanted.read(args, n, kwnames) ? wanted.tell() : refuse_all(args, n, kwnames);
  });
}

}  // namespace

PyMethodDef conversion_functions[] = {
    {"parse_to", method(parse_to), METH_FASTCALL | METH_KEYWORDS, "What the arguments of to() ask for."},
    {nullptr, nullptr, 0, nullptr},
};

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
