// Random fills and data-dependent kernels: they take the elements of contiguous tensors as they are.
#include "bindings/random.h"

#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "bindings/tensor.h"
#include "kernels/creation.h"
#include "kernels/index.h"
#include "kernels/random.h"
#include "tape/transform.h"
#include "tape/watch.h"

namespace nb = nanobind;

namespace pb::py {
namespace {

const Array& array_of(nb::handle o) {
  if (!is_tensor(o.ptr())) fail(ErrorKind::Type, "expected a Tensor, got ", Py_TYPE(o.ptr())->tp_name);
  const Var& v = as_tensor(o.ptr())->var;
  if (is_batched(v))
    g_refuse_batch("a random fill, or an operation whose result's size depends on values", false);
  return v.array;
}

// The memory of a dense tensor, filled in the order in which it lies.
struct Target {
  explicit Target(nb::handle o) : array(array_of(o)) {
    if (!array.meta->is_dense) fail(ErrorKind::Runtime, "a random fill needs a dense tensor");
    if (g_before_change) g_before_change(array);
    count_change(*array.storage);
  }
  const Array& array;
  DType dtype() const { return array.meta->dtype; }
  void* data() const { return array.data(); }
  int64_t n() const { return array.meta->numel; }
};

nb::object new_array(DType d, std::vector<int64_t> sizes) {
  return nb::steal(wrap_array(Array::allocate(Meta::contiguous(d, sizes))));
}

void init_fills(nb::module_& m) {
  m.def("fill_uniform", [](nb::handle o, Generator& g, double from, double to) {
    Target t(o);
    fill_uniform(g, t.dtype(), t.data(), t.n(), from, to);
  });
  m.def("fill_normal", [](nb::handle o, Generator& g, double mean, double std) {
    Target t(o);
    if (t.array.meta->is_contiguous) fill_normal(g, t.dtype(), t.data(), t.n(), mean, std);
    else fill_normal_one_by_one(g, t.dtype(), t.data(), t.n(), mean, std);
  });
  m.def("fill_randint", [](nb::handle o, Generator& g, int64_t low, int64_t high) {
    Target t(o);
    fill_randint(g, t.dtype(), t.data(), t.n(), low, high);
  });
  m.def("fill_randint_from", [](nb::handle o, Generator& g, int64_t low) {
    Target t(o);
    fill_randint_from(g, t.dtype(), t.data(), t.n(), low);
  });
  m.def("fill_random", [](nb::handle o, Generator& g) {
    Target t(o);
    fill_random(g, t.dtype(), t.data(), t.n());
  });
  m.def("fill_bernoulli", [](nb::handle o, Generator& g, double p) {
    Target t(o);
    fill_bernoulli(g, t.dtype(), t.data(), t.n(), p);
  });
  m.def("fill_bernoulli_tensor", [](nb::handle o, Generator& g, nb::handle p) {
    Target t(o);
    const Array& a = array_of(p);
    fill_bernoulli(g, t.dtype(), t.data(), t.n(), a.meta->dtype, a.data());
  });
  m.def("are_probabilities", [](nb::handle p) {
    const Array& a = array_of(p);
    return are_probabilities(a.meta->dtype, a.data(), a.meta->numel);
  });
  m.def("fill_randperm", [](nb::handle o, Generator& g) {
    Target t(o);
    fill_randperm(g, t.dtype(), t.data(), t.n());
  });
  m.def("fill_exponential", [](nb::handle o, Generator& g, double lambda) {
    Target t(o);
    fill_exponential(g, t.dtype(), t.data(), t.n(), lambda);
  });
  m.def("fill_geometric", [](nb::handle o, Generator& g, double p) {
    Target t(o);
    fill_geometric(g, t.dtype(), t.data(), t.n(), p);
  });
  m.def("fill_cauchy", [](nb::handle o, Generator& g, double median, double sigma) {
    Target t(o);
    fill_cauchy(g, t.dtype(), t.data(), t.n(), median, sigma);
  });
  m.def("fill_log_normal", [](nb::handle o, Generator& g, double mean, double std) {
    Target t(o);
    fill_log_normal(g, t.dtype(), t.data(), t.n(), mean, std);
  });
  m.def("multinomial", [](nb::handle weights, Generator& g, int64_t samples, bool replacement) {
    const Array& w = array_of(weights);
    const bool one = w.meta->ndim == 1;
    const int64_t rows = one ? 1 : w.meta->size(0), categories = w.meta->size(one ? 0 : 1);
    nb::object out =
        new_array(DType::Int64, one ? std::vector<int64_t>{samples} : std::vector<int64_t>{rows, samples});
    multinomial(g, w.meta->dtype, w.data(), rows, categories, samples, replacement,
                static_cast<int64_t*>(array_of(out).data()));
    return out;
  });
  m.def("randint_is_exact", [](nb::handle dtype, int64_t low, int64_t high) {
    return randint_is_exact(dtype_from(dtype.ptr()), low, high);
  });
}

void init_generator(nb::module_& m) {
  nb::class_<Generator>(m, "_Generator")
      .def(nb::init<>())
      .def("manual_seed", [](Generator& g, uint64_t seed) { g.manual_seed(seed); })
      .def("seed", &Generator::seed)
      .def("initial_seed", &Generator::initial_seed)
      .def("random64", &Generator::random64)
      .def("get_state",
           [](const Generator& g) {
             const auto s = g.get_state();
             return nb::bytes(reinterpret_cast<const char*>(s.data()), s.size());
           })
      .def("set_state", [](Generator& g, nb::bytes b) {
        g.set_state(reinterpret_cast<const uint8_t*>(b.c_str()), b.size());
      });
  m.def("default_generator", []() -> Generator& { return default_generator(); }, nb::rv_policy::reference);
}

void init_sequences(nb::module_& m) {
  m.def("arange_int", [](nb::handle dtype, int64_t start, int64_t end, int64_t step) {
    const int64_t n = arange_length(start, end, step);
    nb::object out = new_array(dtype_from(dtype.ptr()), {n});
    if (n) arange(dtype_from(dtype.ptr()), start, step, n, array_of(out).data());
    return out;
  });
  m.def("arange_float", [](nb::handle dtype, double start, double end, double step) {
    const int64_t n = arange_length(start, end, step);
    nb::object out = new_array(dtype_from(dtype.ptr()), {n});
    if (n) arange(dtype_from(dtype.ptr()), start, step, n, array_of(out).data());
    return out;
  });
  m.def("linspace", [](nb::handle dtype, double start, double end, int64_t n) {
    nb::object out = new_array(dtype_from(dtype.ptr()), {n});
    linspace(dtype_from(dtype.ptr()), start, end, n, array_of(out).data());
    return out;
  });
  m.def("logspace", [](nb::handle dtype, double start, double end, int64_t n, double base) {
    nb::object out = new_array(dtype_from(dtype.ptr()), {n});
    logspace(dtype_from(dtype.ptr()), start, end, n, base, array_of(out).data());
    return out;
  });
  m.def("eye", [](nb::handle dtype, int64_t rows, int64_t columns) {
    nb::object out = new_array(dtype_from(dtype.ptr()), {rows, columns});
    eye(dtype_from(dtype.ptr()), rows, columns, array_of(out).data());
    return out;
  });
}

// --- Results whose sizes depend on elements.

int64_t* longs(nb::handle o) { return static_cast<int64_t*>(array_of(o).data()); }

nb::object nonzero_py(nb::handle o) { return nb::steal(wrap_array(nonzero_rows(o.ptr()))); }

nb::object bincount_py(nb::handle input, nb::handle weights, int64_t minlength) {
  const View v = array_of(input).placed().view();
  int64_t length = 0;
  if (bincount_length(v, minlength, &length))
    fail(ErrorKind::Runtime, "bincount only supports 1-d non-negative integral inputs.");
  if (weights.is_none()) {
    nb::object out = new_array(DType::Int64, {length});
    bincount(v, length, longs(out));
    return out;
  }
  const Array& w = array_of(weights);
  nb::object out = new_array(w.meta->dtype, {length});
  bincount_weighted(v, w.placed().view(), length, array_of(out).data());
  return out;
}

nb::object searchsorted_py(nb::handle sorted, nb::handle values, bool right, nb::handle sorter,
                           nb::handle dtype) {
  const Array& v = array_of(values);
  const auto shape = v.meta->shape();
  nb::object out = new_array(dtype_from(dtype.ptr()), std::vector<int64_t>(shape.begin(), shape.end()));
  View order{};
  if (!sorter.is_none()) order = array_of(sorter).placed().view();
  const IndexFault fault = searchsorted(array_of(sorted).placed().view(), v.placed().view(), right,
                                        sorter.is_none() ? nullptr : &order, array_of(out).placed().view());
  if (fault) fail(ErrorKind::Runtime, "torch.searchsorted(): sorter index out of range");
  return out;
}

nb::object first_of(nb::handle array, int64_t n) {
  const Array& a = array_of(array);
  const int64_t shape[1] = {n};
  return nb::steal(wrap_array({a.storage, Meta::contiguous(a.meta->dtype, shape), a.offset}));
}

// (values, inverse, counts); along an axis the first are the positions of the different slices.
nb::tuple unique_py(nb::handle o, int dim, bool consecutive) {
  const Array& a = array_of(o);
  const View v = a.placed().view();
  const int64_t room = dim < 0 ? a.meta->numel : a.meta->size(dim);
  nb::object values = new_array(dim < 0 ? a.meta->dtype : DType::Int64, {room});
  nb::object inverse = new_array(DType::Int64, {room}), counts = new_array(DType::Int64, {room});
  int64_t n = 0;
  if (dim >= 0) n = unique_slices(v, dim, consecutive, longs(values), longs(inverse), longs(counts));
  else if (consecutive) n = unique_consecutive(v, array_of(values).data(), longs(inverse), longs(counts));
  else n = unique(v, array_of(values).data(), longs(inverse), longs(counts));
  return nb::make_tuple(first_of(values, n), inverse, first_of(counts, n));
}

void init_data_dependent(nb::module_& m) {
  m.def("nonzero", nonzero_py);
  m.def("bincount", bincount_py, nb::arg(), nb::arg().none(), nb::arg());
  m.def("searchsorted", searchsorted_py, nb::arg(), nb::arg(), nb::arg(), nb::arg().none(), nb::arg());
  m.def("unique", unique_py);
}

}  // namespace

Array nonzero_rows(PyObject* tensor) {
  const View v = array_of(tensor).placed().view();
  const int64_t sizes[2] = {count_nonzero(v), v.ndim};
  Array rows = Array::allocate(Meta::contiguous(DType::Int64, sizes));
  if (sizes[0]) nonzero(v, static_cast<int64_t*>(rows.data()));
  return rows;
}

void init_random(nb::module_& m) {
  init_generator(m);
  init_fills(m);
  init_sequences(m);
  init_data_dependent(m);
}

}  // namespace pb::py
