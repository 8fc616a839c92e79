// What Python hangs on nodes, as the garbage collector and the tape see it.
#include "bindings/function_node.h"
#include "bindings/node_object.h"
#include "bindings/saved_hooks.h"
#include "tape/pushed.h"

namespace pb::py {

bool PyNodeExtras::shows_gradients() const {
  if (!post_hooks || !PyDict_GET_SIZE(post_hooks.get())) return false;
  const Owned module = own(PyImport_ImportModule("pullback.func.hooks"));
  return own(PyObject_CallMethod(module.get(), "any_runs", "O", post_hooks.get())).get() == Py_True;
}

int visit_node(Node& n, visitproc visit, void* arg) {
  if (auto* e = static_cast<PyNodeExtras*>(n.extras.get())) {
    for (auto& [nr, dict] : e->tensor_hooks) Py_VISIT(dict.get());
    for (const Owned* o : {&e->pre_hooks, &e->post_hooks, &e->accumulate_hooks, &e->metadata, &e->parent})
      Py_VISIT(o->get());
    if (const int status = visit_packed(e->packed, visit, arg)) return status;
  }
  for (const Pushed* p = pushed_of(n); p; p = p->next())
    if (const int status = visit_packed(p->packed, visit, arg)) return status;
  Py_VISIT(context_of(n));
  return 0;
}

void clear_node(Node& n) {
  if (auto* e = static_cast<PyNodeExtras*>(n.extras.get())) {
    const auto hooks = std::move(e->tensor_hooks);
    e->tensor_hooks.clear();
    for (Owned* o : {&e->pre_hooks, &e->post_hooks, &e->accumulate_hooks, &e->metadata, &e->parent})
      *o = Owned();
    if (!e->packed.empty()) n.release_saved();
  }
  release_pushed(n);
  clear_context(n);
}

}  // namespace pb::py
