#pragma once
#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "program/program.h"

namespace pb::py { void init_rules(nanobind::module_& m); }

// A program is handed to Python as a capsule-like object that keeps a count.
namespace nanobind::detail {
template <> struct type_caster<pb::Ref<pb::Program>> {
  NB_TYPE_CASTER(pb::Ref<pb::Program>, const_name("Program"))
  static constexpr const char* kName = "pullback.Program";
  bool from_python(handle src, uint8_t, cleanup_list*) noexcept {
    auto* p = static_cast<pb::Program*>(PyCapsule_GetPointer(src.ptr(), kName));
    if (!p) {
      PyErr_Clear();
      return false;
    }
    value = pb::Ref<pb::Program>(p);
    return true;
  }
  static handle from_cpp(const pb::Ref<pb::Program>& p, rv_policy, cleanup_list*) noexcept {
    p->retain();
    return PyCapsule_New(p.get(), kName, [](PyObject* c) {
      static_cast<pb::Program*>(PyCapsule_GetPointer(c, kName))->release();
    });
  }
};
}  // namespace nanobind::detail
