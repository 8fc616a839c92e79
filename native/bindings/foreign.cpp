#include "bindings/foreign.h"

#include <nanobind/stl/vector.h>

#include <vector>

#include "bindings/tensor.h"
#include "kernels/copy.h"
#include "ops/foreign.h"

namespace nb = nanobind;

namespace pb::py {
namespace {

PyObject* infer_hook = nullptr;  // (operands, ints) -> [(dtype id, sizes), ...]
PyObject* run_hook = nullptr;    // (inputs, numbers, ints) -> [tensor, ...]

template <class F> auto through(F&& f) {
  try {
    return f();
  } catch (nb::python_error& e) {
    e.restore();
    throw PythonError();
  }
}

nb::tuple int_tuple(std::span<const int64_t> values) {
  nb::list l;
  for (int64_t v : values) l.append(v);
  return nb::tuple(l);
}

void infer(std::span<const Operand> in, Ints ints, Metas& out) {
  through([&] {
    nb::list operands, numbers;
    for (const Operand& o : in) {
      if (o.meta)
        operands.append(nb::make_tuple(static_cast<int>(o.meta->dtype), int_tuple(o.meta->shape())));
      else operands.append(nb::make_tuple(static_cast<int>(o.kind)));
    }
    while (ints.left()) numbers.append(ints.next());
    for (nb::handle r : nb::borrow(infer_hook)(operands, numbers)) {
      const auto sizes = nb::cast<std::vector<int64_t>>(r[1]);
      out.push_back(Meta::contiguous(static_cast<DType>(nb::cast<int>(r[0])), sizes));
    }
  });
}

// A tensor of its own: whoever keeps the kernel's argument keeps its memory.
nb::object copied(const Placed& p) {
  Array a = Array::allocate(Meta::contiguous(p.meta->dtype, p.meta->shape()));
  strided_copy(a.placed().view(), p.view());
  return nb::steal(wrap_array(std::move(a)));
}

void run(const KernelCall& c) {
  through([&] {
    nb::list inputs, numbers;
    for (const Placed& p : c.in) inputs.append(copied(p));
    for (const Scalar& s : c.scalars) numbers.append(nb::steal(scalar_object(s)));
    size_t k = 0;
    for (nb::handle r : nb::borrow(run_hook)(inputs, numbers, int_tuple(c.ints))) {
      const Array& from = as_tensor(r.ptr())->var.array;
      strided_copy(c.out[k].view(), from.placed().view());
      ++k;
    }
  });
}

}  // namespace

void init_foreign(nb::module_& m) {
  g_foreign_kernels = {infer, run};
  m.def("set_foreign_hooks", [](nb::object infer_with, nb::object run_with) {
    Py_XSETREF(infer_hook, infer_with.release().ptr());
    Py_XSETREF(run_hook, run_with.release().ptr());
  });
}

}  // namespace pb::py
