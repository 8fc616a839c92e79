// The extension module: everything that Python needs of the core and that is not on the path of an operation.
#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <algorithm>

#include "bindings/creation.h"
#include "bindings/foreign.h"
#include "bindings/function_node.h"
#include "bindings/index_key.h"
#include "bindings/journal.h"
#include "bindings/module_call.h"
#include "bindings/module_tensors.h"
#include "bindings/node_object.h"
#include "bindings/op_function.h"
#include "bindings/override.h"
#include "bindings/random.h"
#include "bindings/refusal.h"
#include "bindings/rules.h"
#include "bindings/saved_hooks.h"
#include "bindings/step.h"
#include "bindings/tape.h"
#include "bindings/transform.h"
#include "bindings/tree.h"
#include "bindings/watch.h"
#include "core/shape.h"
#include "kernels/blas.h"
#include "kernels/copy.h"
#include "runtime/allocator.h"
#include "runtime/gil.h"
#include "runtime/threads.h"

namespace nb = nanobind;

namespace pb::py {
namespace {

nb::object steal_checked(PyObject* o) {
  if (!o) throw nb::python_error();
  return nb::steal(o);
}

nb::object empty(const std::vector<int64_t>& sizes, nb::handle dtype) {
  const DType d = dtype_from(dtype.ptr());
  for (int64_t s : sizes) {
    if (s < 0) {
      fail(ErrorKind::Shape, "Trying to create tensor with negative dimension ", s, ": ", shape_text(sizes),
           "\nSizes must be 0 or more.");
    }
  }
  if (!visit_dtype(d, []<class T>() {}))
    fail(ErrorKind::NotImplemented, "torch.", info(d).name,
         " tensors are not supported yet; use float32 or float64");
  int64_t bytes = size_of(d);
  for (int64_t s : sizes) {
    if (__builtin_mul_overflow(bytes, s, &bytes))
      fail(ErrorKind::Runtime, "Storage size calculation overflowed with sizes=", shape_text(sizes));
  }
  return steal_checked(wrap_array(Array::allocate(Meta::contiguous(d, sizes))));
}

nb::object empty_strided(const std::vector<int64_t>& sizes, const std::vector<int64_t>& strides,
                         nb::handle dtype) {
  Ref<Meta> meta = Meta::intern(dtype_from(dtype.ptr()), sizes, strides);
  int64_t bytes = meta->numel ? size_of(meta->dtype) : 0;  // up to one past the last element
  for (size_t i = 0; i < sizes.size() && bytes; ++i) {
    int64_t reach = 0;
    if (strides[i] < 0 || __builtin_mul_overflow((sizes[i] - 1) * size_of(meta->dtype), strides[i], &reach) ||
        __builtin_add_overflow(bytes, reach, &bytes)) {
      fail(ErrorKind::Runtime, "Storage size calculation overflowed with sizes=", shape_text(sizes),
           " and strides=", shape_text(strides),
           "\nStrides must be 0 or more and reach less than 2^63 bytes.");
    }
  }
  Array a;
  a.storage = Storage::allocate(static_cast<size_t>(bytes));
  a.meta = std::move(meta);
  return steal_checked(wrap_array(std::move(a)));
}

bool same_shape(nb::handle a, nb::handle b) {
  if (!is_tensor(a.ptr()) || !is_tensor(b.ptr())) return false;
  return std::ranges::equal(var_of(a.ptr()).array.meta->shape(), var_of(b.ptr()).array.meta->shape());
}

// Memory of another library: `address` of the first element, strides in elements, kept alive by `owner`.
nb::object borrow(uintptr_t address, nb::handle dtype, const std::vector<int64_t>& sizes,
                  const std::vector<int64_t>& strides, nb::object owner) {
  return steal_checked(borrowed(reinterpret_cast<void*>(address),
                                Meta::intern(dtype_from(dtype.ptr()), sizes, strides), owner.ptr()));
}

nb::object op_function(const std::string& name, nb::list overloads, bool is_in_place, nb::object result_type,
                       const std::string& doc) {
  std::vector<Overload> list;
  for (nb::handle o : overloads) {
    nb::tuple pair = nb::cast<nb::tuple>(o);
    list.push_back({parse_signature(nb::cast<std::string>(pair[0])),
                    reinterpret_cast<const Op*>(nb::cast<uintptr_t>(pair[1]))});
    // Errors tell the name that was called; where that is not a public one, the op's.
    if (name.front() != '_') list.back().signature.name = name;
  }
  return steal_checked(make_op_function(name, std::move(list), is_in_place, result_type.ptr(), doc));
}

void init_runtime(nb::module_& m) {
  g_gil.save = [] { return static_cast<void*>(PyEval_SaveThread()); };
  g_gil.restore = [](void* s) { PyEval_RestoreThread(static_cast<PyThreadState*>(s)); };
  m.def("get_num_threads", num_threads);
  m.def("set_num_threads", set_num_threads);
  m.def("isa", [] { return kernels().isa; });
  m.def("set_blas_path", [](const std::string& path) { set_blas_path(path.c_str()); });
  m.def("blas_status", [] { return std::string(blas_status()); });
  m.def("trim_memory", trim);
  m.def("allocator_statistics", [] {
    const AllocatorStats s = allocator_stats();
    nb::dict d;
    d["allocations"] = s.allocations;
    d["cache_hits"] = s.cache_hits;
    d["live_bytes"] = s.live_bytes;
    d["peak_bytes"] = s.peak_bytes;
    d["cached_bytes"] = s.cached_bytes;
    return d;
  });
}

void init_tape(nb::module_& m) {
  m.def("is_grad_enabled", grad_enabled,
        "Whether operations are recorded now, in this thread.\n"
        "\n"
        "Example   >>> torch.is_grad_enabled()\n"
        "          True\n");
  m.def("short_name", short_name);
  m.def("set_grad_enabled", [](bool on) {  // what it was
    const bool before = grad_enabled();
    set_grad_enabled(on);
    return before;
  });
  m.def("is_inference_mode_enabled", inference_mode,
        "Whether inference mode is on, in this thread.\n"
        "\n"
        "Example   >>> torch.is_inference_mode_enabled()\n"
        "          False\n");
  m.def("is_recording", recording);
  m.attr("INFERENCE_SAVED") = kInferenceSaved;
  m.attr("BACKWARD_IN_TRANSFORM") = kBackwardInTransform;
  m.def("set_inference_mode", set_inference_mode);
  m.def(
      "run_backward",
      [](nb::tuple tensors, nb::tuple gradients, nb::object inputs, bool keep, bool create, bool acc,
         nb::tuple along) {
        const std::vector<Ref<Level>> levels = levels_from(along);
        return steal_checked(
            run_backward_py(tensors.ptr(), gradients.ptr(), inputs.ptr(), keep, create, acc, levels));
      },
      nb::arg(), nb::arg(), nb::arg().none(), nb::arg(), nb::arg(), nb::arg(),
      nb::arg("along") = nb::make_tuple());
  m.def("promote_types", [](nb::handle a, nb::handle b) {
    return nb::borrow(dtype_object(promote(dtype_from(a.ptr()), dtype_from(b.ptr()))));
  });
  m.def("result_type", [](nb::args args) {
    std::vector<Operand> in;
    for (nb::handle o : args) {
      Scalar s;
      if (is_tensor(o.ptr())) in.push_back({as_tensor(o.ptr())->var.array.meta.get(), Scalar::Kind::Int});
      else if (scalar_from(o.ptr(), s)) in.push_back({nullptr, s.kind});
      else fail(ErrorKind::Type, "result_type(): arguments must be tensors or numbers");
    }
    return nb::borrow(dtype_object(common_dtype(in)));
  });
  m.def("get_default_dtype", [] { return nb::borrow(dtype_object(default_dtype())); });
  m.def("set_default_dtype", [](nb::handle d) {
    set_default_dtype(dtype_from(d.ptr()));
    clear_plans();
  });
}

void init_python_hooks(nb::module_& m) {
  m.def("set_error_class",
        [](int kind, nb::object cls) { set_error_class(static_cast<ErrorKind>(kind), cls.ptr()); });
  m.def("set_parameter_class",
        [](nb::object cls) { parameter_type = reinterpret_cast<PyTypeObject*>(cls.release().ptr()); });
  m.def("set_tracer_classes",
        [](nb::object symbolic, nb::object tensor) { set_tracer_types(symbolic.ptr(), tensor.ptr()); });
  m.def("set_dispatcher", [](nb::object f) { set_dispatcher(f.ptr()); });
  m.def("set_edge_positions", [](nb::object f) { set_edge_positions(f.ptr()); });
  m.def("op_function", op_function, nb::arg(), nb::arg(), nb::arg(), nb::arg().none(), nb::arg());
  m.def("as_method", [](nb::handle f) { return steal_checked(as_method(f.ptr())); });
  m.def("renamed",
        [](nb::handle f, const std::string& name) { return steal_checked(renamed(f.ptr(), name)); });
  m.def("index_list", [](nb::handle self, nb::handle tensors) {
    return steal_checked(index_list(self.ptr(), tensors.ptr()));
  });
}

}  // namespace
}  // namespace pb::py

NB_MODULE(_core, m) {
  using namespace pb::py;
  nb::set_leak_warnings(false);
  nb::register_exception_translator([](const std::exception_ptr& p, void*) {
    try {
      std::rethrow_exception(p);
    } catch (const pb::Error& e) { raise(e); } catch (const pb::PythonError& e) {
      raise(e);
    }
  });
  init_dtype(m.ptr());
  init_node_type(m.ptr());
  init_function_node(m.ptr());
  init_override(m.ptr());
  init_module_call(m.ptr());
  init_module_tensors(m.ptr());
  init_size_type(m.ptr());
  init_tensor_type(m.ptr());
  init_op_function(m.ptr());
  init_refusal(m.ptr());
  init_saved_hooks(m.ptr());
  init_runtime(m);
  init_tape(m);
  init_python_hooks(m);
  init_rules(m);
  init_random(m);
  init_step(m.ptr());
  init_creation(m.ptr());
  init_transform(m);
  init_journal(m);
  init_foreign(m);
  init_watch(m);
  init_tree(m.ptr());
  m.def("empty", empty);
  m.def("empty_strided", empty_strided);
  m.def("borrow", borrow);
  m.def("same_shape", same_shape);
  m.def("overlap", [](nb::handle a, nb::handle b) {
    return static_cast<int>(overlap_of(var_of(a.ptr()).array, var_of(b.ptr()).array));
  });
  m.def("check_no_internal_overlap", [](nb::handle t) { check_no_internal_overlap(var_of(t.ptr()).array); });
}
