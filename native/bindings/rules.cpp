// Between Python's tracer and the program machinery: programs built from plain tuples, rules asked for by key.
#include "bindings/rules.h"

#include "bindings/tensor.h"
#include "tape/transform.h"

namespace nb = nanobind;

namespace pb::py {
namespace {

PyObject* rule_maker = nullptr;  // pullback.trace.rules.make_rule
PyObject* op_deriver = nullptr;  // pullback._api._derive
PyObject* no_batch_rule = nullptr;  // an exception class of pullback.trace.rules

// A Python exception out of a trace keeps its class on the way through the engine.
template <class F> auto let_through(F&& f) {
  try {
    return f();
  } catch (nb::python_error& e) {
    e.restore();
    throw PythonError();
  }
}

// A rule whose programs are derived in Python, on demand, by the object that traced its forward program.
class TracedRule final : public RuleProgram {
 public:
  TracedRule(nb::object trace) : trace_(std::move(trace)) {}
  ~TracedRule() override {
    if (!Py_IsInitialized()) trace_.release();
  }

  Ref<Program> backward(uint64_t cotangents) override {
    auto& p = programs_[cotangents];
    if (!p) p = let_through([&] { return nb::cast<Ref<Program>>(trace_.attr("backward")(cotangents)); });
    return p;
  }
  const Op* backward_op(uint64_t cotangents) override {
    const Op*& op = ops_[cotangents];
    if (!op)
      op = reinterpret_cast<const Op*>(
          let_through([&] { return nb::cast<uintptr_t>(trace_.attr("backward_op")(cotangents)); }));
    return op;
  }

 private:
  nb::object trace_;
  std::map<uint64_t, Ref<Program>> programs_;
  std::map<uint64_t, const Op*> ops_;
};

nb::tuple describe(const Operand& o) {
  if (!o.meta) return nb::make_tuple(static_cast<int>(o.kind));
  nb::list shape, strides;
  for (int64_t s : o.meta->shape()) shape.append(s);
  for (int64_t s : o.meta->strides()) strides.append(s);
  return nb::make_tuple(static_cast<int>(o.meta->dtype), nb::tuple(shape), nb::tuple(strides));
}

Ref<RuleProgram> make_rule(const RuleKey& key) {
  try {
    nb::list operands, ints;
    for (const Operand& o : key.operands) operands.append(describe(o));
    for (int64_t v : key.ints) ints.append(v);
    nb::object declaration = nb::borrow(static_cast<PyObject*>(key.op->declaration));
    nb::object trace = nb::borrow(rule_maker)(declaration, operands, ints, key.symbolic, key.need);
    Ref<TracedRule> rule(new TracedRule(trace));
    rule->forward = nb::cast<Ref<Program>>(trace.attr("forward"));
    rule->visible = nb::cast<int>(trace.attr("visible"));
    for (nb::handle s : trace.attr("saves"))
      rule->saves.push_back({nb::cast<bool>(s[0]), nb::cast<int32_t>(s[1])});
    return Ref<RuleProgram>(rule.get());
  } catch (nb::python_error& e) {
    if (no_batch_rule && e.matches(no_batch_rule)) throw NoBatchRule();
    e.restore();
    throw PythonError();
  }
}

const Op* derive_op(const Op& op, Derived kind, uint64_t mask, uint64_t need) {
  nb::object declaration = nb::borrow(static_cast<PyObject*>(op.declaration));
  return reinterpret_cast<const Op*>(let_through([&] {
    return nb::cast<uintptr_t>(nb::borrow(op_deriver)(declaration, static_cast<int>(kind), mask, need));
  }));
}

Scalar scalar_of(nb::handle o) {
  Scalar s;
  if (!scalar_from(o.ptr(), s)) fail(ErrorKind::Type, "program: not a number");
  return s;
}

Ref<Program> build_program(nb::dict d) {
  Ref<Program> p(new Program());
  p->inputs = nb::cast<int>(d["inputs"]);
  p->scalars = nb::cast<int>(d["scalars"]);
  p->params = nb::cast<int>(d["params"]);
  for (nb::handle e : d["ints"])
    p->ints.push_back(
        {static_cast<IntExpr::Kind>(nb::cast<int>(e[0])), nb::cast<int64_t>(e[1]), nb::cast<int64_t>(e[2])});
  for (nb::handle e : d["numbers"]) {
    ScalarExpr x;
    x.kind = static_cast<ScalarExpr::Kind>(nb::cast<int>(e[0]));
    x.a = nb::cast<int32_t>(e[1]);
    x.b = nb::cast<int32_t>(e[2]);
    x.constant = scalar_of(e[3]);  // for the others: of the right kind, whatever its value
    p->numbers.push_back(x);
  }
  for (nb::handle g : d["guards"])
    p->guards.push_back({static_cast<Guard::Relation>(nb::cast<int>(g[0])), nb::cast<int32_t>(g[1]),
                         nb::cast<int32_t>(g[2]), nb::cast<bool>(g[3])});
  for (nb::handle v : d["values"])
    p->values.push_back(
        {static_cast<Value::Kind>(nb::cast<int>(v[0])), nb::cast<int32_t>(v[1]), nb::cast<int32_t>(v[2])});
  for (nb::handle i : d["instructions"]) {
    Instruction x;
    x.op = reinterpret_cast<const Op*>(nb::cast<uintptr_t>(i[0]));
    for (nb::handle v : i[1]) x.in.push_back(nb::cast<int32_t>(v));
    for (nb::handle q : i[2]) x.params.push_back({nb::cast<bool>(q[0]), nb::cast<int64_t>(q[1])});
    x.first_out = nb::cast<int32_t>(i[3]);
    x.outputs = nb::cast<int32_t>(i[4]);
    p->instructions.push_back(std::move(x));
  }
  for (nb::handle v : d["outputs"]) p->outputs.push_back(nb::cast<int32_t>(v));
  for (nb::handle v : d["in_place"]) p->in_place.push_back(nb::cast<int32_t>(v));
  p->verify();
  p->find_reads();
  return p;
}

// Metas of an op's results: list of (dtype, shape, strides).
nb::list infer_py(uintptr_t op, nb::list operands, const std::vector<int64_t>& ints) {
  std::vector<Operand> in;
  Metas held;
  for (nb::handle o : operands) {
    nb::tuple t = nb::cast<nb::tuple>(o);
    if (t.size() == 1) {
      in.push_back({nullptr, static_cast<Scalar::Kind>(nb::cast<int>(t[0]))});
      continue;
    }
    held.push_back(Meta::intern(static_cast<DType>(nb::cast<int>(t[0])), nb::cast<std::vector<int64_t>>(t[1]),
                                nb::cast<std::vector<int64_t>>(t[2])));
    in.push_back({held.back().get(), Scalar::Kind::Int});
  }
  Metas out;
  infer(*reinterpret_cast<const Op*>(op), in, ints, out);
  nb::list result;
  for (const auto& m : out) result.append(describe({m.get(), Scalar::Kind::Int}));
  return result;
}

uintptr_t register_op_py(const std::string& name, const std::string& node_name, const std::string& family,
                         int typing, const std::string& kernel, bool differentiable, nb::object declaration) {
  Op op;
  op.name = name;
  op.node_name = node_name;
  op.differentiable = differentiable;
  op.typing = static_cast<Typing>(typing);
  op.number_node_name = nb::cast<std::string>(nb::getattr(declaration, "number_node_name", nb::str("")));
  op.divides = nb::cast<bool>(nb::getattr(declaration, "divides", nb::bool_(false)));
  op.uniform = nb::cast<bool>(nb::getattr(declaration, "uniform", nb::bool_(false)));
  const nb::object apart = nb::getattr(declaration, "apart", nb::str("part"));
  op.apart = apart.is_none() ? Apart::No : nb::cast<std::string>(apart) == "all" ? Apart::All : Apart::Part;
  op.checks_calls = nb::hasattr(declaration, "check_call");
  op.declaration = declaration.release().ptr();  // declarations live as long as the process
  if (family == "elementwise") {
    op.family = Family::Elementwise;
    for (const BlockRow& r : kernels().elementwise)
      if (kernel == r.name) op.block = &r;
    if (!op.block) fail(ErrorKind::Value, "no elementwise kernel named '", kernel, "'");
  } else if (family == "view") {
    op.family = Family::View;
    for (const ViewRow& r : view_rows())
      if (kernel == r.name) op.view = &r;
    if (!op.view) fail(ErrorKind::Value, "no view named '", kernel, "'");
  } else if (family == "kernel") {
    op.family = Family::Kernel;
    for (const KernelRow& r : kernel_rows())
      if (kernel == r.name) op.kernel = &r;
    if (!op.kernel) fail(ErrorKind::Value, "no kernel named '", kernel, "'");
  }
  return reinterpret_cast<uintptr_t>(register_op(std::move(op)));
}

}  // namespace

void init_rules(nb::module_& m) {
  g_make_rule = make_rule;
  g_derive_op = derive_op;
  m.def("set_op_deriver", [](nb::object derive, nb::object exception) {
    Py_XSETREF(op_deriver, derive.release().ptr());
    Py_XSETREF(no_batch_rule, exception.release().ptr());
  });
  m.def("set_rule_maker", [](nb::object f) { Py_XSETREF(rule_maker, f.release().ptr()); });
  m.def("program", build_program);
  m.def("infer", infer_py);
  m.def("register_op", register_op_py, nb::arg("name"), nb::arg("node_name"), nb::arg("family"),
        nb::arg("typing"), nb::arg("kernel"), nb::arg("differentiable"), nb::arg("declaration").none());
  m.def("kernel_names", [] {
    nb::dict d;
    nb::list e, v, k;
    for (const BlockRow& r : kernels().elementwise) e.append(r.name);
    for (const ViewRow& r : view_rows()) v.append(r.name);
    for (const KernelRow& r : kernel_rows()) k.append(r.name);
    d["elementwise"] = e;
    d["view"] = v;
    d["kernel"] = k;
    return d;
  });
  m.def("elementwise_dtypes", [](const std::string& name) {
    nb::list out;
    for (const BlockRow& r : kernels().elementwise)
      if (name == r.name)
        for (int d = 0; d < kDTypes; ++d)
          if (r.fn[d]) out.append(nb::borrow(dtype_object(static_cast<DType>(d))));
    return out;
  });
  m.def("cache_statistics", [] {
    const CacheStatistics s = cache_statistics();
    const Meta::Statistics metas = Meta::statistics();
    nb::dict d;
    d["plan_hits"] = s.plan_hits;
    d["plan_misses"] = s.plan_misses;
    d["plans"] = s.plans;
    d["rules"] = s.rules;
    d["rule_misses"] = s.rule_misses;
    d["bindings"] = s.bindings;
    d["metas"] = metas.live;
    d["metas_retired"] = metas.retired;
    return d;
  });
  m.def("clear_caches", clear_caches);
}

}  // namespace pb::py
