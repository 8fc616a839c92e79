// New tensors from Python's own sizes and numbers. What is to be refused, or is of another kind (tensors and NumPy's
// numbers among the elements), is left to Python, which has the words for it: None.
#include "bindings/creation.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <vector>

#include "bindings/tensor.h"
#include "core/scalar.h"
#include "core/shape.h"
#include "kernels/creation.h"
#include "tape/tape.h"

namespace pb::py {
namespace {

// Whether the elements are those in memory: a subclass may count or iterate in its own way, and only that way is asked.
bool is_listed(PyObject* o) {
  if (PyList_CheckExact(o) || PyTuple_CheckExact(o)) return true;
  if (!PyTuple_Check(o)) return false;
  const PyTypeObject *own = Py_TYPE(o), *plain = &PyTuple_Type;
  return own->tp_iter == plain->tp_iter && own->tp_as_sequence->sq_length == plain->tp_as_sequence->sq_length;
}

// Bounds of arange beyond this are left to the checks of Python.
constexpr int64_t kLongest = int64_t{1} << 53;

void release_python(void* owner) {
  if (Py_IsInitialized()) Py_DECREF(static_cast<PyObject*>(owner));
}

// None where a default is to be taken; nothing for what is no dtype, or one without storage.
std::optional<DType> stored_dtype(PyObject* o, DType otherwise) {
  if (o != Py_None && !is_dtype(o)) return {};
  const DType d = o == Py_None ? otherwise : dtype_from(o);
  return visit_dtype(d, []<class T>() {}) ? std::optional(d) : std::nullopt;
}

// (2, 3) or ((2, 3),), all of them plain integers of which no one is negative.
bool read_sizes(PyObject* args, std::vector<int64_t>& sizes) {
  if (PyTuple_GET_SIZE(args) == 1 && is_listed(PyTuple_GET_ITEM(args, 0))) args = PyTuple_GET_ITEM(args, 0);
  const Py_ssize_t n = PySequence_Fast_GET_SIZE(args);
  for (Py_ssize_t k = 0; k < n; ++k) {
    PyObject* o = PySequence_Fast_GET_ITEM(args, k);
    if (!PyLong_CheckExact(o)) return false;
    int overflow = 0;
    const int64_t size = PyLong_AsLongLongAndOverflow(o, &overflow);
    if (overflow || size < 0) return false;
    sizes.push_back(size);
  }
  return n <= kMaxDims;
}

bool fits_into_memory(const std::vector<int64_t>& sizes, DType d) {
  int64_t bytes = size_of(d);
  for (int64_t s : sizes)
    if (__builtin_mul_overflow(bytes, s, &bytes)) return false;
  return true;
}

// A tensor with all elements `value`, or as the memory is for None. Memory that fails is refused first, as in torch.
PyObject* filled(Ref<Meta> meta, PyObject* value) {
  Scalar s;
  if (value != Py_None && (is_tensor(value) || !scalar_from(value, s))) Py_RETURN_NONE;
  const Array a = Array::allocate(std::move(meta));
  if (value != Py_None) {
    require_fits(s, a.meta->dtype);
    if (a.meta->numel) fill_elements(a, s);
  }
  return wrap_array(a);
}

// new_tensor(sizes, dtype, value): with all elements the same, or as the memory is for None.
PyObject* new_of_sizes(PyObject*, PyObject* const* args, Py_ssize_t n) {
  return guarded([&]() -> PyObject* {
    if (n != 3 || !PyTuple_Check(args[0]))
      fail(ErrorKind::Type, "new_tensor() takes sizes, a dtype and a value");
    const std::optional<DType> d = stored_dtype(args[1], default_dtype());
    std::vector<int64_t> sizes;
    if (!d || !read_sizes(args[0], sizes) || !fits_into_memory(sizes, *d)) Py_RETURN_NONE;
    return filled(Meta::contiguous(*d, sizes), args[2]);
  });
}

// new_like(tensor, dtype, value): of the same sizes, and strides if it is dense, else order of the axes.
PyObject* new_like(PyObject*, PyObject* const* args, Py_ssize_t n) {
  return guarded([&]() -> PyObject* {
    if (n != 3 || !is_tensor(args[0]))
      fail(ErrorKind::Type, "new_like() takes a tensor, a dtype and a value");
    const Meta& m = *as_tensor(args[0])->var.array.meta;
    const std::optional<DType> d = stored_dtype(args[1], m.dtype);
    if (!d) Py_RETURN_NONE;
    const Dims strides[1] = {m.strides()};
    const Dims dense = m.is_dense ? strides[0] : strides_in_order_of(m.shape(), strides);
    return filled(Meta::intern(*d, m.shape(), dense), args[2]);
  });
}

// range_of(bounds, dtype): arange(end), arange(start, end), arange(start, end, step) of plain numbers.
PyObject* range_of(PyObject*, PyObject* const* args, Py_ssize_t n) {
  return guarded([&]() -> PyObject* {
    if (n != 2 || !PyTuple_Check(args[0])) fail(ErrorKind::Type, "range_of() takes bounds and a dtype");
    const Py_ssize_t given = PyTuple_GET_SIZE(args[0]);
    if (given < 1 || given > 3) Py_RETURN_NONE;
    Scalar s[3];
    bool floats = false;
    for (Py_ssize_t k = 0; k < given; ++k) {
      PyObject* o = PyTuple_GET_ITEM(args[0], k);
      if (!(PyLong_CheckExact(o) || PyFloat_CheckExact(o)) || !scalar_from(o, s[k])) Py_RETURN_NONE;
      floats |= s[k].kind == Scalar::Kind::Float;
    }
    if (given == 1) std::swap(s[0], s[1]);
    if (given < 3) s[2] = Scalar::of_int(1);
    const std::optional<DType> d = stored_dtype(args[1], floats ? default_dtype() : DType::Int64);
    if (!d || *d == DType::Bool || (floats && !is_float(*d))) Py_RETURN_NONE;
    const auto counted = [&](auto start, auto end, auto step) -> PyObject* {
      for (const auto x : {start, end, step})
        if (!(x > -kLongest && x < kLongest)) Py_RETURN_NONE;
      if (step > 0 ? start > end : step == 0 || start < end) Py_RETURN_NONE;
      const int64_t count = arange_length(start, end, step);
      const Array a = Array::allocate(Meta::contiguous(*d, {&count, 1}));
      if (count) arange(*d, start, step, count, a.data());
      return wrap_array(a);
    };
    if (is_float(*d)) return counted(s[0].as_double(), s[1].as_double(), s[2].as_double());
    return counted(s[0].i, s[1].i, s[2].i);
  });
}

// The dtype of a buffer's elements in the machine's own byte order.
std::optional<DType> dtype_of_format(const char* format, Py_ssize_t itemsize) {
  if (!format || !format[0] || format[1]) return {};
  switch (format[0]) {
    case '?': return DType::Bool;
    case 'B': return DType::UInt8;
    case 'f': return DType::Float32;
    case 'd': return DType::Float64;
    case 'i':
    case 'l':
    case 'q':
      return itemsize == 8 ? DType::Int64 : itemsize == 4 ? std::optional(DType::Int32) : std::nullopt;
    default: return {};
  }
}

struct Buffer {
  explicit Buffer(PyObject* o) : held(PyObject_GetBuffer(o, &view, PyBUF_FORMAT | PyBUF_STRIDED_RO) == 0) {
    if (!held) PyErr_Clear();
  }
  ~Buffer() {
    if (held) PyBuffer_Release(&view);
  }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  Py_buffer view;
  bool held;
};

// The strides in bytes as the array has them. Its buffer shows others for axes without a second element.
bool read_strides(PyObject* array, const Py_buffer& view, std::vector<int64_t>& strides) {
  if (std::all_of(view.shape, view.shape + view.ndim, [](Py_ssize_t s) { return s > 1; })) {
    strides.assign(view.strides, view.strides + view.ndim);
    return true;
  }
  const Owned own_strides = own(PyObject_GetAttrString(array, "strides"));
  if (!PyTuple_Check(own_strides.get()) || PyTuple_GET_SIZE(own_strides.get()) != view.ndim) return false;
  for (int k = 0; k < view.ndim; ++k) {
    strides.push_back(PyLong_AsSsize_t(PyTuple_GET_ITEM(own_strides.get(), k)));
    if (strides.back() == -1 && PyErr_Occurred()) throw PythonError();
  }
  return true;
}

// from_array(array, to_read): a tensor over a NumPy array's memory; None for arrays that cannot be one, or are only to
// be read and not `to_read`.
PyObject* from_array(PyObject*, PyObject* const* args, Py_ssize_t n) {
  return guarded([&]() -> PyObject* {
    if (n != 2) fail(ErrorKind::Type, "from_array() takes an array and a truth value");
    const Buffer b(args[0]);
    if (!b.held || (b.view.readonly && args[1] != Py_True) || b.view.ndim > kMaxDims) Py_RETURN_NONE;
    const std::optional<DType> d = dtype_of_format(b.view.format, b.view.itemsize);
    if (!d || b.view.itemsize != size_of(*d)) Py_RETURN_NONE;
    std::vector<int64_t> sizes(b.view.shape, b.view.shape + b.view.ndim), strides;
    if (!read_strides(args[0], b.view, strides)) Py_RETURN_NONE;
    for (int64_t& stride : strides) {
      if (stride < 0 || stride % b.view.itemsize) Py_RETURN_NONE;
      stride /= b.view.itemsize;
    }
    return borrowed(b.view.buf, Meta::intern(*d, sizes, strides), args[0]);
  });
}

// Nested lists of Python's numbers: sizes from the first elements, then every element against these sizes.
class Numbers {
 public:
  // Whether there is nothing else, with the same sizes everywhere.
  bool read(PyObject* data) {
    for (PyObject* at = data; is_listed(at); at = PySequence_Fast_GET_ITEM(at, 0)) {
      sizes_.push_back(PySequence_Fast_GET_SIZE(at));
      if (sizes_.size() > static_cast<size_t>(kMaxDims)) return false;
      if (sizes_.back() == 0) break;
    }
    return walk(data, 0, [this](PyObject* o) {
      floats_ |= PyFloat_CheckExact(o);
      ints_ |= PyLong_CheckExact(o);
      return PyFloat_CheckExact(o) || PyLong_CheckExact(o) || PyBool_Check(o);
    });
  }

  const std::vector<int64_t>& sizes() const { return sizes_; }
  DType dtype() const {
    const bool empty = !sizes_.empty() && sizes_.back() == 0;
    return floats_ || empty ? default_dtype() : ints_ ? DType::Int64 : DType::Bool;
  }

  // False for a number that the type does not hold.
  template <class T> bool write(PyObject* data, T* to) const {
    return walk(data, 0, [&](PyObject* o) { return put(o, *to++); });
  }

 private:
  template <class F> bool walk(PyObject* o, size_t depth, F&& leaf) const {  // no deeper than there are axes
    if (depth == sizes_.size()) return !is_listed(o) && leaf(o);
    if (!is_listed(o) || PySequence_Fast_GET_SIZE(o) != sizes_[depth]) return false;
    PyObject** items = PySequence_Fast_ITEMS(o);
    for (int64_t k = 0; k < sizes_[depth]; ++k)
      if (!walk(items[k], depth + 1, leaf)) return false;
    return true;
  }

  template <class T> static bool put(PyObject* o, T& to) {
    if (PyFloat_CheckExact(o)) return put_float(PyFloat_AS_DOUBLE(o), to);
    if constexpr (std::is_floating_point_v<T>) {
      const double d = PyLong_AsDouble(o);
      if (d == -1.0 && PyErr_Occurred()) return PyErr_Clear(), false;
      to = static_cast<T>(d);
      return true;
    } else {
      int overflow = 0;
      const int64_t i = PyLong_AsLongLongAndOverflow(o, &overflow);
      to = static_cast<T>(std::is_same_v<T, bool> ? i != 0 : i);
      return !overflow && (std::is_same_v<T, bool> || static_cast<int64_t>(to) == i);
    }
  }
  template <class T> static bool put_float(double d, T& to) {
    if constexpr (std::is_floating_point_v<T>) {
      to = static_cast<T>(d);
      return true;
    } else if constexpr (std::is_same_v<T, bool>) {
      to = d != 0;
      return true;
    } else {
      constexpr T kMin = std::numeric_limits<T>::min(), kMax = std::numeric_limits<T>::max();
      const double end = 2.0 * (kMax / 2 + 1);  // kMax + 1 is a double, kMax of int64 is none
      if (!(d >= static_cast<double>(kMin) && d < end) || d > static_cast<double>(kMax)) return false;
      to = static_cast<T>(d);
      return true;
    }
  }

  std::vector<int64_t> sizes_;
  bool floats_ = false, ints_ = false;
};

// from_numbers(data, dtype)
PyObject* from_numbers(PyObject*, PyObject* const* args, Py_ssize_t n) {
  return guarded([&]() -> PyObject* {
    if (n != 2) fail(ErrorKind::Type, "from_numbers() takes data and a dtype");
    Numbers numbers;
    if (!numbers.read(args[0])) Py_RETURN_NONE;
    const std::optional<DType> d = stored_dtype(args[1], numbers.dtype());
    if (!d) Py_RETURN_NONE;
    const Array a = Array::allocate(Meta::contiguous(*d, numbers.sizes()));
    bool written = true;
    visit_dtype(*d, [&]<class T>() { written = numbers.write(args[0], static_cast<T*>(a.data())); });
    if (!written) Py_RETURN_NONE;
    return wrap_array(a);
  });
}

PyMethodDef functions[] = {
    {"new_tensor", method(new_of_sizes), METH_FASTCALL,
     "new_tensor(sizes, dtype, value): None where there is something to refuse."},
    {"from_numbers", method(from_numbers), METH_FASTCALL,
     "from_numbers(data, dtype): None where data is more than nested lists of Python's numbers."},
    {"new_like", method(new_like), METH_FASTCALL,
     "new_like(tensor, dtype, value): of the same sizes; None where there is something to refuse."},
    {"range_of", method(range_of), METH_FASTCALL,
     "range_of(bounds, dtype): arange(*bounds); None where there is something to refuse."},
    {"from_array", method(from_array), METH_FASTCALL,
     "from_array(array, to_read): over an array's own memory; None where there is something to refuse."},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace

PyObject* borrowed(void* first, Ref<Meta> meta, PyObject* owner) {
  const DType d = meta->dtype;
  int64_t low = 0, high = 0;
  meta->extent(low, high);
  Array a;
  a.storage = Storage::borrow(static_cast<char*>(first) + low * size_of(d),
                              static_cast<size_t>(high - low) * size_of(d), Py_NewRef(owner), release_python);
  a.offset = -low;
  a.meta = std::move(meta);
  return wrap_array(std::move(a));
}

void init_creation(PyObject* module) { check(PyModule_AddFunctions(module, functions)); }

}  // namespace pb::py
