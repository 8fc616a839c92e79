#include "bindings/reading.h"

#include <type_traits>

#include "bindings/tensor.h"

namespace pb::py {
namespace {

// ---- nested lists ----------------------------------------------------------------------------------------------

template <class T> PyObject* number(T v) {
  if constexpr (std::is_same_v<T, bool>) return PyBool_FromLong(v);
  else if constexpr (std::is_integral_v<T>) return PyLong_FromLongLong(v);
  else return PyFloat_FromDouble(v);
}

template <class T> PyObject* list_of(const Meta& m, const T* first, int axis) {
  const int64_t n = m.size(axis), step = m.stride(axis);
  const bool innermost = axis + 1 == m.ndim;
  Owned list = own(PyList_New(n));
  for (int64_t i = 0; i < n; ++i) {
    const T* at = first + i * step;
    PyList_SET_ITEM(list.get(), i, check(innermost ? number(*at) : list_of(m, at, axis + 1)));
  }
  return list.release();
}

PyObject* tolist(PyObject* self, PyObject*) {
  return guarded([&] {
    const Array a = readable(self);
    const Meta& m = *a.meta;
    if (m.ndim == 0) return check(scalar_object(load_scalar(m.dtype, a.data())));
    PyObject* list = nullptr;
    visit_dtype(m.dtype, [&]<class T>() { list = list_of(m, static_cast<const T*>(a.data()), 0); });
    return list;
  });
}

// ---- NumPy -----------------------------------------------------------------------------------------------------

// What is used of NumPy's table of C functions, whose places stay the same: its headers are not needed.
class NumPy {
 public:
  NumPy() {
    Owned module(PyImport_ImportModule("numpy._core._multiarray_umath"));
    if (!module) {  // before NumPy 2
      PyErr_Clear();
      module = own(PyImport_ImportModule("numpy.core._multiarray_umath"));
    }
    const Owned capsule = own(PyObject_GetAttrString(module.get(), "_ARRAY_API"));
    auto** table = static_cast<void**>(PyCapsule_GetPointer(capsule.get(), nullptr));
    if (!table) throw PythonError();
    array_type_ = static_cast<PyTypeObject*>(table[2]);
    new_array_ = reinterpret_cast<NewArray>(table[93]);
    set_base_ = reinterpret_cast<SetBase>(table[282]);
  }

  // An array over memory that `owner` holds.
  PyObject* view(const Array& a, Owned owner) const {
    const Meta& m = *a.meta;
    Py_ssize_t sizes[kMaxDims], steps[kMaxDims];
    for (int i = 0; i < m.ndim; ++i) {
      sizes[i] = m.size(i);
      steps[i] = m.stride(i) * size_of(m.dtype);
    }
    constexpr int kAlignedAndWriteable = 0x0100 | 0x0400;
    Owned array = own(new_array_(array_type_, m.ndim, sizes, type_number(m.dtype), steps,
                                 m.numel ? a.data() : a.storage->data(), 0, kAlignedAndWriteable, nullptr));
    check(set_base_(array.get(), owner.release()));  // keeps the reference, even where it fails
    return array.release();
  }

 private:
  using NewArray = PyObject* (*)(PyTypeObject*, int, const Py_ssize_t*, int, const Py_ssize_t*, void*, int,
                                 int, PyObject*);
  using SetBase = int (*)(PyObject*, PyObject*);

  static int type_number(DType d) {
    switch (d) {
      case DType::Bool: return 0;
      case DType::UInt8: return 2;
      case DType::Int32: return 5;
      case DType::Int64: return sizeof(long) == sizeof(int64_t) ? 7 : 9;
      case DType::Float32: return 11;
      case DType::Float64: return 12;
      default: fail(ErrorKind::Type, "Got unsupported ScalarType ", info(d).scalar_name);
    }
  }

  PyTypeObject* array_type_;
  NewArray new_array_;
  SetBase set_base_;
};

PyObject* numpy_view(PyObject* self, PyObject*) {
  return guarded([&] {
    static const NumPy& numpy = *new NumPy();
    const Array a = readable(self);
    return numpy.view(a, own(wrap_array(a)));
  });
}

}  // namespace

PyMethodDef reading_methods[] = {
    {"tolist", tolist, METH_NOARGS,
     "The elements as nested lists of Python numbers.\n"
     "\n"
     "Example   >>> torch.tensor([[1, 2], [3, 4]]).tolist()\n"
     "          [[1, 2], [3, 4]]\n"},
    {"_numpy_view", numpy_view, METH_NOARGS, "A NumPy array over the tensor's memory, which it holds."},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace pb::py
